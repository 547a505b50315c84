"""Layers that Larq Compute Engine leaves float become binary in the file that it writes."""

import numpy as np
import pytest

from convert.conversion import convert_model
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.samples import Samples
from convert.tflite.graph import Graph
from onebit.keras import keras, lq
from tests.convert.models import BINARY, BOTH, images, mlp, mlp_in_numpy, randomise

L = keras.layers


def converted(model):
    """The conversion, verified bit for bit on a few samples."""
    rng = np.random.default_rng(3)
    samples = Samples([rng.normal(size=(9, *i.shape[1:])).astype(np.float32) for i in model.inputs])
    conversion = convert_model(randomise(model), samples=samples, with_delegate=False)
    assert conversion.report.verification.verdict == "exact"
    return conversion


def kinds(conversion):
    return {layer.name: layer.kind for layer in conversion.report.layers if layer.macs}


def op_names(conversion):
    graph = Graph.from_bytes(conversion.tflite)
    return [graph.op_name(op) for op in graph.operators]


def side_by_side(layers):
    """A model of layers that each have an input of their own."""
    inputs = [keras.Input(shape, name=f"input_{i:02}") for i, (shape, _) in enumerate(layers)]
    return keras.Model(inputs, [layer(x) for x, (_, layer) in zip(inputs, layers, strict=True)])


# --- dense layers


def dense(units=12, **options):
    return lq.layers.QuantDense(units, **{**BOTH, **options})


def test_dense_layers_on_tensors_of_any_rank_are_binary():
    model = side_by_side(
        [
            ((33,), dense(use_bias=True)),
            ((64,), dense(activation="relu")),
            ((7, 33), dense()),
            ((3, 5, 40), dense(use_bias=True, activation="tanh")),
            ((32,), dense(kernel_quantizer="magnitude_aware_sign", kernel_constraint=None)),
            ((32,), dense(input_quantizer="approx_sign")),
        ]
    )
    assert list(kinds(converted(model)).values()) == ["binary"] * 6


@pytest.mark.parametrize("value", [0.0, -0.0])
def test_zeros_are_treated_as_larq_does(value):
    image = keras.Input((32,))
    model = randomise(keras.Model(image, dense(4)(image)))
    x = np.full((1, 32), value, np.float32)
    content = convert_model(model, verification=False).tflite
    np.testing.assert_array_equal(LceInterpreter(content).run([x])[0], model(x))


def test_mlp_equals_numpy():
    model = mlp(units=(48, 40))
    x = images(50)
    (outputs,) = LceInterpreter(convert_model(model, verification=False).tflite).run([x])
    # The outputs reach 30; three layers of at most 48 terms round to 2^-24 relative each.
    np.testing.assert_allclose(outputs, mlp_in_numpy(model, x), rtol=0, atol=30 * 3 * 48 * 2.0**-24)


def test_other_quantizers_leave_a_dense_layer_float():
    real = {"kernel_quantizer": None, "kernel_constraint": None}
    ternary = {"kernel_quantizer": "ste_tern", "kernel_constraint": None}
    two_bits = lq.quantizers.DoReFa(2, mode="weights")
    wanted = {
        "plain": (L.Dense(8, name="plain"), "float"),
        "weights": (dense(name="weights", input_quantizer=None), "binary_weights"),
        "inputs": (dense(name="inputs", **real), "float"),
        "ternary_weights": (dense(name="ternary_weights", **ternary), "float"),
        "dorefa": (dense(name="dorefa", input_quantizer=lq.quantizers.DoReFa(2)), "binary_weights"),
        "dorefa_weights": (
            dense(name="dorefa_weights", kernel_quantizer=two_bits, kernel_constraint=None),
            "float",
        ),
    }
    model = randomise(side_by_side([((32,), layer) for layer, _ in wanted.values()]))
    found = kinds(convert_model(model, verification=False))
    assert found == {name: kind for name, (_, kind) in wanted.items()}


def test_subclassed_models_have_binary_dense_layers_too():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = dense(64, name="hidden")

        def call(self, x):
            return self.dense(x)

    model = Net()
    model(np.zeros((1, 64), np.float32))
    conversion = convert_model(randomise(model), verification=False)
    assert kinds(conversion) == {"hidden": "binary"}
    assert conversion.report.notes == []


# --- one-dimensional convolutions


@pytest.mark.parametrize("options", [{}, {"padding": "same", "pad_values": 1.0, "strides": 2}])
def test_sequences_of_a_subclassed_model_are_convolved_in_bits(options):
    """Which cannot be rewritten: a padding then stands between the sign's bits and the layer's."""

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = lq.layers.QuantConv1D(12, 3, name="conv", **{**BOTH, **options})

        def call(self, x):
            return self.conv(x)

    model = Net()
    model(np.zeros((1, 10, 32), np.float32))
    samples = images(9, (10, 32))
    report = convert_model(randomise(model), samples=samples, with_delegate=False).report
    assert [layer.kind for layer in report.layers if layer.macs] == ["binary"]
    assert report.verification.verdict == "exact"
    assert report.verification.compared_layers == ["conv"]


# --- poolings


def pooled_net(pool=None, *, gammas="positive", activation=None):
    """conv → (activation) → MaxPool → BN → conv, as BinaryNet has it."""
    x = image = keras.Input((8, 8, 32))
    x = lq.layers.QuantConv2D(32, 3, padding="same", pad_values=1.0, name="conv", **BOTH)(x)
    if activation:
        x = L.Activation(activation)(x)
    x = (pool or L.MaxPooling2D(2))(x)
    x = L.BatchNormalization(name="bn")(x)
    x = lq.layers.QuantConv2D(8, 3, name="next", **BOTH)(x)
    model = randomise(keras.Model(image, x))
    norm = model.get_layer("bn")
    gamma, *rest = norm.get_weights()
    if gammas == "positive":
        norm.set_weights([np.abs(gamma), *rest])
    return model


@pytest.mark.parametrize(
    ("pool", "activation"),
    [
        (L.MaxPooling2D(2), None),
        (L.MaxPooling2D(3, strides=2, padding="same"), "relu"),
    ],
    ids=["windows apart", "overlapping, behind a ReLU"],
)
def test_bits_are_pooled(pool, activation):
    model = pooled_net(pool, activation=activation)
    conversion = convert_model(model, samples=images(9, (8, 8, 32)), with_delegate=False)
    assert conversion.report.verification.verdict == "exact"
    assert op_names(conversion) == ["LceQuantize", "LceBconv2d", "LceBMaxPool2d", "LceBconv2d"]


def test_numbers_are_pooled_where_a_normalisation_turns_their_order():
    conversion = convert_model(pooled_net(gammas="both signs"), with_delegate=False)
    assert conversion.report.verification.verdict == "exact"
    assert "MAX_POOL_2D" in op_names(conversion)


# --- signs that are separate from their layers


def behind_sign(between, layer, sign=None, shape=(4, 4, 32)):
    x = image = keras.Input(shape)
    x = (sign or L.Activation(lq.math.sign, name="sign"))(x)
    for step in between:
        x = step(x)
    return keras.Model(image, layer(x))


def weights_only(**options):
    return lq.layers.QuantDense(12, name="dense", **{**BINARY, **options})


@pytest.mark.parametrize(
    ("between", "sign"),
    [
        ([], None),
        ([L.Flatten()], lq.quantizers.SteSign()),
        ([L.Dropout(0.3), L.Reshape((-1,)), L.Dropout(0.2)], lq.quantizers.SwishSign()),
        ([L.Permute((3, 1, 2)), L.MaxPooling2D(2), L.Flatten()], None),
    ],
    ids=["nothing", "flatten", "dropout", "pool"],
)
def test_sign_may_stand_apart_from_its_layer(between, sign):
    assert kinds(converted(behind_sign(between, weights_only(), sign))) == {"dense": "binary"}


def test_sign_may_stand_in_front_of_a_reshape_and_a_convolution():
    layer = lq.layers.QuantConv2D(8, 3, name="conv", **BINARY)
    model = behind_sign([L.Reshape((8, 8, 32))], layer, shape=(16, 4, 32))
    assert kinds(converted(model)) == {"conv": "binary"}


@pytest.mark.parametrize(
    ("between", "sign"),
    [
        ([L.BatchNormalization()], None),
        ([L.ZeroPadding2D(1)], None),
        ([], L.Activation("relu")),
    ],
    ids=["normalisation", "zeros", "relu"],
)
def test_other_numbers_are_not_taken_for_bits(between, sign):
    model = randomise(behind_sign(between, weights_only(), sign))
    conversion = convert_model(model, with_delegate=False)
    assert kinds(conversion)["dense"] == "binary_weights"
    assert conversion.report.verification.verdict == "exact"


def test_layer_used_on_signs_and_on_numbers_is_binary_once():
    layer = weights_only()
    image = keras.Input((32,))
    signs = L.Activation(lq.quantizers.SteSign())(image)
    model = randomise(keras.Model(image, L.Add()([layer(signs), layer(image)])))
    found = convert_model(model, with_delegate=False).report
    assert sorted(each.kind for each in found.layers if each.macs) == ["binary", "binary_weights"]
    assert found.verification.verdict == "exact"


class Thresholds(lq.quantizers.Quantizer):
    """sign(x − β) with one threshold for each of the 32 channels, which are not weights."""

    precision = 1

    def call(self, inputs):
        return super().call(lq.math.sign(inputs - np.linspace(-1, 1, 32, dtype=np.float32)))


@pytest.mark.parametrize("flattened", [False, True])
def test_quantizer_with_thresholds_per_channel_is_a_sign_where_its_channels_fit(flattened):
    image = keras.Input((4, 32))
    x = L.Dense(32, name="mixing")(L.Flatten()(image)) if flattened else image
    layer = weights_only(input_quantizer=Thresholds())
    model = randomise(keras.Model(image, layer(x)))
    conversion = convert_model(model, samples=images(9, (4, 32)), with_delegate=False)
    assert conversion.report.verification.verdict != "mismatch"
    assert kinds(conversion)["dense"] == "binary"
