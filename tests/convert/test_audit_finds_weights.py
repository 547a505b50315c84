"""No float weight of a file is left out of its audit, whatever layer or converter it is from."""

import numpy as np
import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.auditing.layers import audit
from convert.conversion import convert_model
from convert.report import Reason
from convert.runtimes.lce import convert_with_lce
from convert.targets.npz import packed_weights
from convert.tflite.graph import Graph
from onebit.keras import keras, lq, tf
from tests.convert.models import BINARY, randomise

L = keras.layers
BOTH = {**BINARY, "input_quantizer": "ste_sign"}


def on(shape, layer, **options):
    x = keras.Input(shape, **options)
    return keras.Model(x, layer(x))


def attention(layer):
    x = keras.Input((5, 16))
    return keras.Model(x, layer(x, x))


def listed(layer):
    x = keras.Input((5, 16))
    return keras.Model(x, layer([x, x]))


ONE = {"batch_size": 1}
# Layer → a model of it. The weights of each are float32 in its file.
MODELS = {
    "Dense": lambda: on((16,), L.Dense(8)),
    "EinsumDense": lambda: on((5, 16), L.EinsumDense("abc,cd->abd", output_shape=(None, 8))),
    "Conv1D": lambda: on((9, 16), L.Conv1D(8, 3)),
    "Conv1D causal": lambda: on((9, 16), L.Conv1D(8, 3, dilation_rate=2, padding="causal")),
    "Conv1DTranspose": lambda: on((9, 16), L.Conv1DTranspose(8, 3)),
    "Conv2D": lambda: on((9, 9, 4), L.Conv2D(8, 3)),
    "Conv2DTranspose": lambda: on((9, 9, 4), L.Conv2DTranspose(8, 3)),
    "Conv3D": lambda: on((5, 5, 5, 4), L.Conv3D(8, 3)),
    "Conv3DTranspose": lambda: on((5, 5, 5, 4), L.Conv3DTranspose(8, 3)),
    "DepthwiseConv1D": lambda: on((9, 16), L.DepthwiseConv1D(3)),
    "DepthwiseConv2D": lambda: on((9, 9, 4), L.DepthwiseConv2D(3, depth_multiplier=2)),
    "SeparableConv1D": lambda: on((9, 16), L.SeparableConv1D(8, 3)),
    "SeparableConv2D": lambda: on((9, 9, 4), L.SeparableConv2D(8, 3)),
    "LocallyConnected1D": lambda: on((6, 4), L.LocallyConnected1D(3, 3)),
    "LocallyConnected2D": lambda: on((5, 5, 4), L.LocallyConnected2D(3, 3, implementation=2)),
    "LSTM": lambda: on((5, 16), L.LSTM(8)),
    "GRU": lambda: on((5, 16), L.GRU(8)),
    "GRU unrolled": lambda: on((5, 16), L.GRU(8, unroll=True)),
    "SimpleRNN": lambda: on((5, 16), L.SimpleRNN(8)),
    "RNN": lambda: on((5, 16), L.RNN(L.StackedRNNCells([L.LSTMCell(8), L.GRUCell(4)])), **ONE),
    "Bidirectional LSTM": lambda: on((5, 16), L.Bidirectional(L.LSTM(8))),
    "Bidirectional GRU": lambda: on((5, 16), L.Bidirectional(L.GRU(8, return_sequences=True))),
    "ConvLSTM1D": lambda: on((5, 8, 3), L.ConvLSTM1D(4, 3), **ONE),
    "ConvLSTM2D": lambda: on((3, 8, 8, 3), L.ConvLSTM2D(4, 3), **ONE),
    "TimeDistributed": lambda: on((5, 9, 9, 4), L.TimeDistributed(L.Conv2D(8, 3))),
    "MultiHeadAttention": lambda: attention(L.MultiHeadAttention(2, 4)),
    "AdditiveAttention": lambda: listed(L.AdditiveAttention()),
    "BatchNormalization": lambda: on((5, 16), L.BatchNormalization()),
    "LayerNormalization": lambda: on((5, 16), L.LayerNormalization()),
    "GroupNormalization": lambda: on((5, 5, 16), L.GroupNormalization(4)),
    "PReLU": lambda: on((5, 16), L.PReLU()),
    "Embedding": lambda: on((5,), L.Embedding(50, 8), dtype="int32"),
    "SpectralNormalization": lambda: on((9, 9, 4), L.SpectralNormalization(L.Conv2D(8, 3))),
}


# Loops over steps, of which the LSTM's is quick enough, and the like of other layers.
SLOW = ("Bidirectional LSTM", "Bidirectional GRU", "GRU", "GRU unrolled", "SimpleRNN", "RNN")
SLOW += ("ConvLSTM1D", "ConvLSTM2D", "LocallyConnected1D", "SeparableConv1D")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in MODELS],
)
def test_float_weights_of_a_keras_layer_are_listed_and_fail_the_audit(name, tmp_path):
    model = MODELS[name]()
    randomise(model)
    conversion = convert_model(model, verification=False)
    layers = [layer for layer in conversion.report.layers if layer.kind == "float"]
    # All but a few single numbers: LCE folds statistics, and biases into other biases.
    matrices = [w for w in model.trainable_weights if len(w.shape) > 1]
    weights = sum(int(np.prod(w.shape)) for w in matrices) or 1
    assert sum(layer.float32_bytes for layer in layers) >= 4 * weights
    assert all(layer.reason and layer.reason_code for layer in layers)
    assert conversion.report.totals.other_bytes >= 0
    (tmp_path / "x.tflite").write_bytes(conversion.tflite)
    result = CliRunner().invoke(main, ["audit", str(tmp_path / "x.tflite"), "--fail-if-float"])
    assert (result.exit_code, "layers are float" in result.stderr) == (1, True)


def test_steps_of_a_loop_count_in_the_multiply_accumulates():
    layers = convert_model(on((5, 16), L.GRU(8, name="gru")), verification=False).report.layers
    # 5 steps, three gates of 8 units, from 16 inputs and 8 states.
    assert sum(layer.macs for layer in layers) == 5 * 3 * 8 * (16 + 8)
    assert {layer.name for layer in layers if layer.macs} == {"gru"}


def test_layers_of_all_signatures_are_listed(tmp_path):
    class Two(tf.Module):
        def __init__(self):
            random = np.random.default_rng(0)
            self.a, self.b = (
                tf.Variable(random.normal(size=(16, units)).astype(np.float32)) for units in (8, 4)
            )

        @tf.function(input_signature=[tf.TensorSpec([1, 16])])
        def encode(self, x):
            return {"y": x @ self.a}

        @tf.function(input_signature=[tf.TensorSpec([1, 16])])
        def decode(self, x):
            return {"y": x @ self.b}

    module = Two()
    signatures = {"encode": module.encode, "decode": module.decode}
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(tmp_path), signature_keys=list(signatures)
    )
    layers = audit(converter.convert()).layers
    found = {layer.name.split("/")[0]: sorted(layer.filter_shape) for layer in layers}
    assert found == {"encode": [8, 16], "decode": [4, 16]}


def test_unknown_operator_with_float_numbers_is_listed_as_unknown():
    graph = Graph.from_bytes(convert_model(on((16,), L.Dense(8)), verification=False).tflite)
    (op,) = (op for op in graph.operators if graph.op_name(op) == "FULLY_CONNECTED")
    op.opcodeIndex = graph.make_op("SomeonesDense", [], []).opcodeIndex
    (layer,) = audit(graph).layers
    assert (layer.kind, layer.reason_code) == ("float", Reason.UNKNOWN_OPERATOR)
    assert layer.reason.startswith("unknown: ")
    assert layer.size_bytes >= 4 * 16 * 8


@pytest.mark.parametrize("supported", [tf.float16], ids=["float16"])
def test_weights_in_fewer_bits_are_listed(supported):
    converter = tf.lite.TFLiteConverter.from_keras_model(randomise(on((64,), L.Dense(32))))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [supported]
    (layer,) = audit(converter.convert()).layers
    assert (layer.kind, layer.reason_code) == ("float", Reason.STORED_SMALLER)
    assert layer.size_bytes >= 2 * 64 * 32


@pytest.mark.slow
def test_layers_behind_a_recurrent_operator_export_under_their_own_names():
    x = steps = keras.Input((5, 16), batch_size=1)
    x = L.Flatten()(L.LSTM(32, return_sequences=True)(x))
    model = randomise(keras.Model(steps, lq.layers.QuantDense(48, name="binary", **BINARY)(x)))
    # TensorFlow Lite's own converter makes one fused operator of an LSTM.
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    fused = Graph.from_bytes(converter.convert())
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in map(fused.op_name, fused.operators)
    from convert.passes import run_passes
    from convert.verification.layer_matching import name_tensors

    name_tensors(fused, model)
    run_passes(fused)
    layers = audit(fused).layers
    assert [layer.kind for layer in layers] == ["float", "binary_weights"]
    arrays = packed_weights(fused.to_bytes())
    assert {key.split("/")[0] for key in arrays} == {"binary", "layout"}
    assert arrays["binary/bits"].shape[0] == 48


class Product(tf.Module):
    """16×16 float weights where TensorFlow Lite's operators do not expect them."""

    def __init__(self):
        random = np.random.default_rng(0)
        self.w, self.v = (
            tf.Variable(random.normal(size=(16, 16)).astype(np.float32)) for _ in range(2)
        )

    @tf.function(input_signature=[tf.TensorSpec([1, 16])])
    def loop(self, x):
        return tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x @ self.w), (0, x))[1]

    @tf.function(input_signature=[tf.TensorSpec([1, 16])])
    def branch(self, x):
        return tf.cond(tf.reduce_sum(x) > 0, lambda: x @ self.w, lambda: x @ self.v)

    @tf.function(input_signature=[tf.TensorSpec([1, 16])])
    def variable(self, x):
        self.v.assign(self.v * 0.9)
        return x @ self.v

    @tf.function(input_signature=[tf.TensorSpec([1, 16])])
    def left(self, x):
        return self.w @ tf.reshape(x, [16, 1])


@pytest.mark.parametrize(
    ("name", "codes", "macs"),
    [
        ("loop", {Reason.REAL}, 3 * 256),
        ("branch", {Reason.REAL}, 2 * 256),
        ("variable", {Reason.PASSED_IN, Reason.UNKNOWN_OPERATOR}, 256),
        ("left", {Reason.NO_BINARY_OPERATOR}, 256),
    ],
)
def test_weights_in_unusual_places_are_listed_with_true_reasons(name, codes, macs):
    module = Product()
    function = getattr(module, name).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    converter.experimental_enable_resource_variables = name == "variable"
    layers = audit(converter.convert()).layers
    assert {layer.reason_code for layer in layers} == codes
    assert {layer.kind for layer in layers} == {"float"}
    assert sum(layer.macs for layer in layers) == macs
    assert sum(layer.size_bytes for layer in layers) == 4 * 256 * (2 if name == "branch" else 1)


SIGNS = lq.quantizers.SteSign


def causal():
    return on((24, 32), lq.layers.QuantConv1D(32, 3, padding="causal", **BOTH))


def zero_padding():
    x = image = keras.Input((8, 8, 32))
    x = L.ZeroPadding2D(1)(SIGNS()(x))
    return keras.Model(image, lq.layers.QuantConv2D(32, 3, **BINARY)(x))


@pytest.mark.parametrize(
    ("build", "code"),
    [
        (causal, Reason.ZEROS_BETWEEN),
    ],
)
def test_reason_for_what_stands_between_sign_and_layer_is_true(build, code):
    layers = convert_model(randomise(build()), verification=False).report.layers
    layer = next(layer for layer in layers if layer.kind != "float")
    assert (layer.kind, layer.reason_code) == ("binary_weights", code)
    assert layer.fix


def test_fix_for_a_moved_sign_makes_the_layer_binary():
    image = keras.Input((8, 8, 8))
    x = tf.nn.space_to_depth(SIGNS()(image), 2)
    fixed = keras.Model(image, lq.layers.QuantConv2D(32, 3, **BOTH)(x))
    assert convert_model(randomise(fixed), verification=False).report.kinds() == {"binary": 1}


def test_fix_is_not_what_was_just_done():
    image = keras.Input((64,))
    model = randomise(keras.Model(image, lq.layers.QuantDense(64, **BOTH)(image)))
    (layer,) = convert_model(model, passes=False, verification=False).report.layers
    assert (layer.reason_code, layer.fix) == (Reason.NOT_PACKED, "convert with Onebit's passes")
    (layer,) = audit(convert_with_lce(model)).layers
    fix = "convert the Keras model with Onebit"
    assert (layer.reason_code, layer.fix) == (Reason.NOT_PACKED, fix)


def test_allowed_layers_may_be_float(tmp_path):
    x = image = keras.Input((8,))
    x = L.Dense(32, name="stem")(x)
    model = keras.Model(image, lq.layers.QuantDense(4, name="head", **BOTH)(x))
    convert_model(randomise(model), verification=False).save(tmp_path / "x.tflite")
    arguments = ["audit", str(tmp_path / "x.tflite"), "--fail-if-float"]
    assert CliRunner().invoke(main, arguments).exit_code == 1
    assert CliRunner().invoke(main, [*arguments, "--allow", "stem"]).exit_code == 0
    result = CliRunner().invoke(main, [*arguments, "--allow", "stm"])
    assert (result.exit_code, "did you mean stem?" in result.stderr) == (2, True)
