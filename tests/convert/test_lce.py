import os

import numpy as np
import pytest

from convert.conversion import convert_model
from convert.errors import ConversionError
from convert.lce import LceInterpreter, convert_with_lce
from convert.lce import lce as lce_package
from onebit.keras import keras, lq, tf
from tests.convert.models import BINARY, images, mlp, randomise


def two_inputs():
    """The order of the names is not that of the inputs and outputs."""
    second, first = keras.Input((8,), name="b"), keras.Input((8,), name="a")
    outputs = [
        lq.layers.QuantDense(5, name=n, **BINARY)(x) for n, x in [("z", first), ("y", second)]
    ]
    return randomise(keras.Model([second, first], outputs))


def subclassed():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = lq.layers.QuantDense(4, input_quantizer="ste_sign", **BINARY)

        def call(self, inputs):
            return self.dense(inputs)

    model = Subclassed()
    model(tf.zeros((1, 32)))
    return model


@pytest.mark.parametrize("build", [mlp, two_inputs, subclassed])
def test_lce_makes_the_same_of_our_saved_model_as_of_keras_own(build, tmp_path):
    model = build()
    model.save(tmp_path, save_format="tf")
    assert convert_with_lce(model) == lce_package.convert_saved_model(str(tmp_path))


def fail_with(cause, diagnostic=""):
    """A converter that prints as MLIR does, past Python, and then raises something less telling."""

    def convert(*arguments, **options):
        os.write(2, diagnostic.encode())
        raise RuntimeError(cause + "\nand much more")

    return convert


def test_failure_tells_the_causes_of_both_attempts(monkeypatch, capfd):
    diagnostic = 'loc("dense_1"): error: op is neither a custom op nor a flex op\n'
    monkeypatch.setattr(lce_package, "convert_saved_model", fail_with("first cause", diagnostic))
    monkeypatch.setattr(lce_package, "convert_keras_model", fail_with("second cause"))
    with pytest.raises(ConversionError) as error:
        convert_with_lce(mlp())
    message = str(error.value)
    assert "by SavedModel: op is neither a custom op nor a flex op; first cause" in message
    assert "by frozen graph: second cause" in message
    assert "\n" not in message
    assert capfd.readouterr().err == ""


def test_second_attempt_counts_when_the_first_fails(monkeypatch):
    model = mlp()
    content = convert_with_lce(model)
    monkeypatch.setattr(lce_package, "convert_saved_model", fail_with("first cause"))
    monkeypatch.setattr(lce_package, "convert_keras_model", lambda model: content)
    assert convert_with_lce(model) == content


def test_unknown_dimensions_are_refused_because_lce_would_take_one():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(4, 3)(image))
    with pytest.raises(ConversionError, match=r"\[None, None, None, 3\].*fixed sizes"):
        convert_model(model)


def test_operator_that_nothing_runs_is_named():
    class Incomplete(keras.layers.Layer):
        def call(self, inputs):
            return tf.raw_ops.Betainc(a=inputs, b=inputs, x=inputs)

    image = keras.Input((8,))
    with pytest.raises(ConversionError, match="uses TensorFlow's Betainc"):
        convert_model(keras.Model(image, Incomplete()(image)))


def test_interpreter_tells_why_it_refuses_a_file():
    content = bytearray(convert_with_lce(mlp()))
    # Another name for the operator: the interpreter does not know it.
    position = content.index(b"LceQuantize")
    content[position : position + 3] = b"Xyz"
    with pytest.raises(ConversionError, match=r"refuses the file: .*XyzQuantize"):
        LceInterpreter(bytes(content))


def test_kernels_agree():
    model = mlp()
    content = convert_model(model).tflite
    inputs = [images(6)]
    outputs = [LceInterpreter(content, k).run(inputs)[0] for k in ("default", "reference")]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], LceInterpreter(content).run(inputs)[0])
