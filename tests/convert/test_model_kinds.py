"""Models as people have them: recurrent, in other float types, distributed, with state."""

import subprocess
import sys

import numpy as np
import pytest

from convert.conversion import convert_model
from convert.errors import ConversionError
from convert.rewrites.fix_large_kernels import fix_large_kernels
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.verification import verify
from onebit.keras import keras, lq, tf
from tests.convert.models import BINARY, images, randomise

L = keras.layers
BOTH = {**BINARY, "input_quantizer": "ste_sign"}


# --- recurrent layers


def recurrent(layer, **options):
    steps = keras.Input((5, 16), **options)
    return randomise(keras.Model(steps, layer(steps)))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="open batch"),
        pytest.param({"batch_size": 1}, id="batch of 1", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "layer",
    [
        lambda: L.LSTM(8),
        lambda: L.LSTM(8, return_sequences=True, go_backwards=True),
        lambda: L.GRU(8),
        pytest.param(lambda: L.GRU(8, reset_after=False), marks=pytest.mark.slow),
        lambda: L.SimpleRNN(8),
        pytest.param(lambda: L.Bidirectional(L.LSTM(8)), marks=pytest.mark.slow),
        lambda: L.TimeDistributed(L.Dense(4)),
    ],
    ids=["lstm", "backwards", "gru", "gru v1", "simple", "bidirectional", "time distributed"],
)
def test_recurrent_layer_computes_the_same_in_every_inference(layer, options):
    model = recurrent(layer(), **options)
    conversion = convert_model(model, samples=[images(20, (5, 16))], with_delegate=False)
    assert conversion.report.verification.verdict == "exact"
    # A file that kept states would answer differently the second time.
    interpreter, x = LceInterpreter(conversion.tflite), [images(1, (5, 16))]
    np.testing.assert_array_equal(interpreter.run(x)[0], interpreter.run(x)[0])


def test_lstm_in_a_subclassed_model_is_a_loop_and_the_model_is_left_as_it_was():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.lstm = L.LSTM(8)

        def call(self, x):
            return self.lstm(x)

    model = Net()
    model(np.zeros((1, 5, 16), np.float32))
    before = dict(vars(model.lstm))
    conversion = convert_model(model, samples=[images(9, (5, 16))], with_delegate=False)
    assert conversion.report.verification.verdict == "exact"
    assert vars(model.lstm) == before


@pytest.mark.slow
def test_fused_lstm_of_another_converter_is_explained():
    model = recurrent(L.LSTM(8), batch_size=1)
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    result = verify(model, content, [images(6, (5, 16))], with_delegate=False)
    assert result.verdict == "mismatch"
    assert any("keeps a recurrent layer's states" in warning for warning in result.warnings)


def test_stateful_layer_is_refused_with_the_fix():
    with pytest.raises(ConversionError, match=r"lstm of .* keeps its state.*stateful=False"):
        convert_model(recurrent(L.LSTM(8, stateful=True, name="lstm"), batch_size=1))


# --- float types and strategies


def conv():
    x = image = keras.Input((8, 8, 32))
    x = lq.layers.QuantConv2D(32, 3, padding="same", **BOTH)(x)
    x = L.Add()([L.BatchNormalization()(x), image])
    x = L.GlobalAveragePooling2D()(x)
    return keras.Model(image, L.Dense(4, activation="softmax", dtype="float32")(x))


def sequential():
    layers = [L.Conv2D(8, 3), lq.layers.QuantConv2D(32, 3, **BOTH), L.Flatten()]
    return keras.Sequential([keras.Input((8, 8, 32)), *layers, lq.layers.QuantDense(4, **BOTH)])


def nested():
    image = keras.Input((8, 8, 32))
    return keras.Model(image, sequential()(image))


def in_policy(policy, build):
    keras.mixed_precision.set_global_policy(policy)
    try:
        return build()
    finally:
        keras.mixed_precision.set_global_policy("float32")


def in_float64(build):
    keras.backend.set_floatx("float64")
    try:
        return build()
    finally:
        keras.backend.set_floatx("float32")


def in_strategy(build):
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        return build()


MODELS = (conv, sequential, nested)
KINDS = {
    "mixed_float16": lambda build: in_policy("mixed_float16", build),
    "mixed_bfloat16": lambda build: in_policy("mixed_bfloat16", build),
    "float16": lambda build: in_policy("float16", build),
    "float64": in_float64,
    "strategy": in_strategy,
}


PAIRS = [
    pytest.param(
        kind,
        build,
        # Each kind and each model once; all pairs are slow.
        marks=[] if (number - place) % len(MODELS) == 0 else [pytest.mark.slow],
    )
    for number, kind in enumerate(KINDS)
    for place, build in enumerate(MODELS)
]


@pytest.mark.parametrize(("kind", "build"), PAIRS)
def test_model_of_another_kind_converts_with_its_weights_in_float32(kind, build):
    model = KINDS[kind](build)
    x = images(6, (8, 8, 32))
    conversion = convert_model(model, samples=x, with_delegate=False)
    assert conversion.report.verification.verdict == "exact"
    noted = any("computes in" in note for note in conversion.report.notes)
    assert noted == (kind != "strategy")
    # Keras itself, in its own type, is as near as that type's rounding: 2^-8 for bfloat16.
    if kind in ("float64", "mixed_float16") and build is conv:
        (found,) = LceInterpreter(conversion.tflite).run([x])
        np.testing.assert_allclose(found, model(x), atol=0.05)


def test_model_stays_in_its_policy_and_so_does_keras():
    model = in_policy("mixed_float16", conv)
    convert_model(model, verification=False)
    assert {layer.compute_dtype for layer in model.layers} == {"float16", "float32"}
    assert keras.mixed_precision.global_policy().name == "float32"


def test_global_policy_does_not_reach_the_rewrites():
    model = sequential()
    x = images(4, (8, 8, 32))
    converted = in_policy("mixed_float16", lambda: convert_model(model, samples=x,
                                                                 with_delegate=False))  # fmt: skip
    assert converted.report.verification.verdict == "exact"


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = lq.layers.QuantDense(4, **BOTH)

    def call(self, x):
        return self.dense(x)


@pytest.mark.parametrize(
    ("kind", "fix"), [("mixed_float16", 'the policy "float32"'), ("strategy", "the strategy's")]
)
def test_subclassed_model_of_another_kind_is_refused_with_the_fix(kind, fix):
    def build():
        model = Subclassed()
        model(np.zeros((1, 32), np.float32))
        return model

    with pytest.raises(ConversionError, match=f"float32 models only.*{fix}") as error:
        convert_model(KINDS[kind](build))
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_graph_mode_is_refused_in_one_line():
    code = (
        "import convert\n"
        "from onebit.keras import keras, tf\n"
        "tf.compat.v1.disable_eager_execution()\n"
        "model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])\n"
        "try:\n"
        "    convert.convert_model(model)\n"
        "except convert.ConversionError as error:\n"
        "    print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                            check=True)  # fmt: skip
    assert result.stdout.startswith("TensorFlow is in graph mode")


# --- state beside arguments and weights


@keras.utils.register_keras_serializable("tests")
class Shifted(lq.quantizers.Quantizer):
    precision = 1
    shift = 0.0

    def call(self, x):
        return super().call(lq.math.sign(x - self.shift))


class Temperature(L.Layer):
    value = 1.0

    def call(self, x):
        return x / self.value


class Holder:
    def __init__(self, factor):
        self.factor = factor


class Scaled(L.Layer):
    """Holds objects, arrays and functions that its constructor does not know."""

    def __init__(self, **options):
        super().__init__(**options)
        self.factor, self.function, self.table = 1.0, tf.identity, {"a": [1.0, 2.0]}
        self.array, self.holder = np.ones(8, np.float32), None

    def call(self, x):
        scale = 1.0 if self.holder is None else self.holder.factor
        return scale * self.function(x) * self.factor * self.array * self.table["a"][1]


def with_state():
    quantizer, temperature = Shifted(), Temperature()
    image = keras.Input((8, 8, 32))
    x = lq.layers.QuantConv2D(32, 3, input_quantizer=quantizer, **BINARY)(image)
    x = lq.layers.QuantDense(8, **BOTH)(L.GlobalAveragePooling2D()(x))
    model = randomise(keras.Model(image, temperature(x)))
    quantizer.shift, temperature.value = 0.3, 4.0
    return model


def with_replaced_activation():
    image = keras.Input((32,))
    x = lq.layers.QuantDense(8, activation="relu", **BOTH)(image)
    model = randomise(keras.Model(image, L.Dense(3, activation="relu")(x)))
    model.layers[-1].activation = tf.tanh
    return model


def with_containers():
    image = keras.Input((32,))
    layer = Scaled()
    model = randomise(keras.Model(image, layer(lq.layers.QuantDense(8, **BOTH)(image))))
    layer.factor, layer.function, layer.array = 3.0, tf.abs, np.arange(8, dtype=np.float32)
    layer.table["a"][1] = 5.0
    return model


@pytest.mark.parametrize(
    ("build", "shape"),
    [(with_state, (8, 8, 32)), (with_replaced_activation, (32,)), (with_containers, (32,))],
)
def test_rewrites_keep_what_a_layer_holds_beside_its_arguments(build, shape, monkeypatch):
    monkeypatch.setattr(sys.modules[fix_large_kernels.__module__], "MAX_FOLDED_WEIGHTS", 10)
    model, x = build(), images(12, shape)
    conversion = convert_model(model, samples=x, with_delegate=False)
    assert "fix_large_kernels" in conversion.report.rewrites
    assert conversion.report.verification.verdict == "exact"
    np.testing.assert_allclose(LceInterpreter(conversion.tflite).run([x])[0], model(x), atol=1e-4)


def test_state_that_cannot_be_copied_keeps_the_model_as_it_is(monkeypatch):
    monkeypatch.setattr(sys.modules[fix_large_kernels.__module__], "MAX_FOLDED_WEIGHTS", 10)
    image = keras.Input((32,))
    layer = Scaled(name="scaled")
    model = randomise(keras.Model(image, layer(lq.layers.QuantDense(8, **BOTH)(image))))
    layer.holder = Holder(7.0)
    x = images(12, (32,))
    conversion = convert_model(model, samples=x, with_delegate=False)
    assert conversion.report.verification.verdict == "exact"
    assert conversion.report.rewrites == {}
    assert "scaled (Scaled) holds state that cannot be copied" in conversion.report.notes[0]


def test_functional_model_with_its_own_call_is_converted_as_it_is():
    class Doubled(keras.Model):
        def call(self, inputs, training=None, mask=None):
            return 2.0 * super().call(inputs, training, mask)

    image = keras.Input((32,))
    model = Doubled(image, lq.layers.QuantDense(8, **BOTH)(image))
    x = images(12, (32,))
    conversion = convert_model(model, samples=x, with_delegate=False)
    assert conversion.report.verification.verdict == "exact"
    assert conversion.report.rewrites == {}


def test_the_given_model_is_not_changed():
    model = with_state()
    x = images(3, (8, 8, 32))
    before, names = model(x).numpy(), [layer.name for layer in model.layers]
    convert_model(model, verification=False)
    np.testing.assert_array_equal(model(x), before)
    assert [layer.name for layer in model.layers] == names
