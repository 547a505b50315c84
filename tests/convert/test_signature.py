"""Inputs and outputs in Keras' order, number, structure and names, whatever the model takes."""

import numpy as np
import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.conversion import convert_model
from convert.errors import ConversionError
from convert.keras_model.samples import random_samples
from convert.keras_model.signature import run_keras, signature_of
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.samples import Samples
from convert.tflite.graph import Graph
from convert.tflite.signature import input_names, output_names, write_signature
from convert.verification import verify
from onebit.keras import keras, lq, tf
from tests.convert.models import BINARY, images, randomise

BOTH = {**BINARY, "input_quantizer": "ste_sign"}


def dense(units, **options):
    return lq.layers.QuantDense(units, **BOTH, **options)


def outputs_out_of_order():
    """A detector: LCE orders outputs neither as Keras does nor by name."""
    image = keras.Input((8, 8, 32), name="image")
    x = keras.layers.Flatten()(lq.layers.QuantConv2D(32, 3, **BOTH)(image))
    return keras.Model(image, [dense(4, name="box")(x), dense(6, name="cls")(x)])


def inputs_of_one_shape():
    b, a = keras.Input((32,), name="b"), keras.Input((32,), name="a")
    inner = keras.Model([b, a], dense(8)(keras.layers.Concatenate()([b, a])), name="inner")
    left, right = keras.Input((32,), name="right"), keras.Input((32,), name="left")
    return keras.Model([left, right], inner([right, left]))


def dicts():
    x, y = keras.Input((32,), name="zz"), keras.Input((16,), name="aa")
    return keras.Model({"p": x, "q": y}, {"u": dense(4)(x), "t": dense(5)(y)})


def tuples():
    x, y = keras.Input((32,), name="x"), keras.Input((16,), name="y")
    return keras.Model((x, y), (dense(4, name="second")(x), dense(5, name="first")(y)))


def eleven_outputs():
    image = keras.Input((32,), name="image")
    return keras.Model(image, [dense(i + 2, name=f"o{i}")(image) for i in range(11)])


def passed_through():
    image = keras.Input((32,), name="image")
    x = dense(8, name="d")(image)
    return keras.Model(image, [x, image, x])


class TwoArguments(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = dense(32), dense(10)

    def call(self, a, b):
        return self.outer(self.inner(a) + 2 * self.inner(b))


class KeywordArgument(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = dense(8)

    def call(self, x, *, extra=None, mask=None, training=False):
        return self.inner(x) if extra is None else self.inner(x) + extra


class Dicts(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = dense(8)

    def call(self, inputs):
        return {"z": self.inner(inputs["b"]), "y": 2.0 * inputs["a"]}


def called(model, *arguments, **options):
    model(*arguments, **options)
    return model


def zeros(*shape):
    return np.zeros(shape, np.float32)


MODELS = {
    outputs_out_of_order: (["image"], ["box", "cls"]),
    inputs_of_one_shape: (["right", "left"], ["inner"]),
    dicts: (["p", "q"], ["t", "u"]),
    tuples: (["x", "y"], ["second", "first"]),
    eleven_outputs: (["image"], [f"o{i}" for i in range(11)]),
    passed_through: (["image"], ["d", "image", "d_1"]),
    lambda: called(TwoArguments(), zeros(2, 32), zeros(2, 32)): (["a", "b"], ["output_1"]),
    lambda: called(KeywordArgument(), zeros(2, 32), extra=zeros(2, 8)): (
        ["input_1", "extra"],
        ["output_1"],
    ),
    lambda: called(Dicts(), {"a": zeros(2, 3), "b": zeros(2, 32)}): (["a", "b"], ["y", "z"]),
}
IDS = ["outputs", "one shape", "dicts", "tuples", "eleven", "through", "arguments", "keyword",
       "subclassed dicts"]  # fmt: skip


@pytest.mark.parametrize(("build", "names"), MODELS.items(), ids=IDS)
def test_file_has_keras_order_and_names_and_computes_the_same(build, names):
    keras.backend.clear_session()
    model = build()
    samples = random_samples(model, 5, seed=3)
    conversion = convert_model(model, samples=samples, with_delegate=False)
    assert conversion.report.verification.verdict == "exact"
    graph = Graph.from_bytes(conversion.tflite)
    signature = signature_of(model)
    found, expected = run_keras(model, signature, samples.arrays)
    assert input_names(graph) == signature.names
    assert len(output_names(graph)) == len(found)
    if build is not passed_through:  # whose tensors are several outputs
        assert (input_names(graph), output_names(graph)) == names
    for left, right in zip(LceInterpreter(conversion.tflite).run(samples.arrays), expected,
                           strict=True):  # fmt: skip
        np.testing.assert_allclose(left, right, atol=1e-5)


def test_interpreters_show_the_signature():
    conversion = convert_model(outputs_out_of_order(), verification=False)
    (signature,) = Graph.from_bytes(conversion.tflite).signatures()
    assert signature.signatureKey == b"serving_default"
    assert [entry.name for entry in signature.outputs] == [b"box", b"cls"]
    interpreter = tf.lite.Interpreter(
        model_content=convert_model(float_net(), verification=False).tflite
    )
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["a", "b"], "outputs": ["sum"]}
    }
    assert [detail["name"] for detail in interpreter.get_input_details()] == ["b", "a"]


def float_net():
    b, a = keras.Input((3,), name="b"), keras.Input((3,), name="a")
    return keras.Model([b, a], keras.layers.Add(name="sum")([b, a]))


def test_file_of_another_converter_is_matched_by_its_names():
    model = inputs_of_one_shape()
    conversion = convert_model(model, verification=False)
    graph = Graph.from_bytes(conversion.tflite)
    graph.subgraph.inputs = graph.subgraph.inputs[::-1].copy()
    write_signature(graph, ["left", "right"], ["inner"])
    assert verify(model, graph.to_bytes(), random_samples(model, 5)).verdict == "exact"


def test_samples_go_by_name():
    model = inputs_of_one_shape()
    right, left = random_samples(model, 6).arrays
    for inputs in ({"left": left, "right": right}, [right, left], (right, left)):
        result = convert_model(model, samples=Samples(inputs), with_delegate=False)
        assert result.report.verification.verdict == "exact"


@pytest.fixture
def two_inputs(tmp_path):
    inputs_of_one_shape().save(tmp_path / "two.keras")
    return tmp_path / "two.keras"


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_command_takes_one_array_per_input(two_inputs, tmp_path):
    x = images(8, (32,))
    np.savez(tmp_path / "data.npz", left=x, right=-x)
    result = run("model", two_inputs, "-o", tmp_path / "x.tflite",
                 "--verify-data", tmp_path / "data.npz")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "against Keras on 8 data.npz samples: exact" in result.stdout


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"inputs": zeros(4, 32)}, "the model has 2 inputs; name an array after each of them"),
        ({"left": zeros(4, 32)}, "has no array named right; the model's inputs are right, left"),
        ({"left": zeros(4, 32), "right": zeros(3, 32)}, "input left has 4 samples, right has 3"),
    ],
)
def test_command_names_missing_inputs(two_inputs, tmp_path, arrays, message):
    np.savez(tmp_path / "data.npz", **arrays)
    result = run("model", two_inputs, "-o", tmp_path / "x.tflite",
                 "--verify-data", tmp_path / "data.npz")  # fmt: skip
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert message in result.stderr


def test_argument_that_is_not_a_tensor_is_refused():
    class Flag(keras.Model):
        def call(self, x, flag, y):
            return x + y if flag else x

    model = called(Flag(), zeros(2, 3), True, zeros(2, 3))
    with pytest.raises(ConversionError, match=r"not a dense tensor.*default value"):
        convert_model(model)


@pytest.mark.parametrize("size", [1, 4])
def test_model_for_a_fixed_batch_converts_for_one_sample(size):
    x = keras.Input((8, 8, 32), batch_size=size)
    y = keras.layers.Flatten()(lq.layers.QuantConv2D(32, 3, **BOTH)(x))
    model = randomise(keras.Model(x, dense(4)(y)))
    conversion = convert_model(model, samples=[images(9, (8, 8, 32))], with_delegate=False)
    assert conversion.report.verification.verdict == "exact"
    assert Graph.from_bytes(conversion.tflite).shape(0)[0] == 1


def test_model_that_computes_with_its_batch_size_keeps_it():
    x = keras.Input((32,), batch_size=4)
    model = keras.Model(x, tf.reshape(dense(8)(x), [4, 2, 4]))
    conversion = convert_model(model, samples=[images(9, (32,))], with_delegate=False)
    verification = conversion.report.verification
    assert (verification.verdict, verification.samples) == ("exact", 9)
    graph = Graph.from_bytes(conversion.tflite)
    assert graph.shape(int(graph.subgraph.inputs[0])) == [4, 32]
