"""The rewrites apart from that of dense layers, which has a file of its own."""

import sys

import numpy as np
import pytest

from convert.conversion import convert_model
from convert.rewrites import rewrite
from convert.rewrites.conv1d_to_conv2d import conv1d_to_conv2d, is_binary_conv1d
from convert.rewrites.fix_large_kernels import fix_large_kernels
from convert.rewrites.norm_before_pool import norm_before_pool
from convert.rewrites.repeat_sign import repeat_sign
from convert.tflite.graph import Graph
from onebit.keras import keras, lq
from tests.convert.models import BINARY, images, randomise


def op_names(content):
    graph = Graph.from_bytes(content)
    return [graph.op_name(op) for op in graph.operators]


# --- conv1d_to_conv2d


def conv1d(filters=12, kernel=3, *, inputs="ste_sign", **options):
    options = {**BINARY, **options}
    return lq.layers.QuantConv1D(filters, kernel, input_quantizer=inputs, **options)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((9, 32), {}),
        ((9, 33), {"use_bias": True, "activation": "relu"}),
        ((10, 32), {"padding": "same"}),
        ((10, 32), {"padding": "same", "strides": 2}),
        ((10, 32), {"padding": "same", "pad_values": 1.0}),
        ((11, 32), {"padding": "same", "pad_values": 1.0, "strides": 3, "kernel": 4}),
        ((10, 40), {"padding": "causal", "dilation_rate": 2}),
        ((12, 32), {"padding": "same", "pad_values": 1.0, "dilation_rate": 3}),
        ((12, 64), {"groups": 2}),
    ],
)
def test_conv1d_as_conv2d_equals_original(shape, options):
    image = keras.Input(shape)
    model = randomise(keras.Model(image, conv1d(**options)(image)))
    rewritten, layers = conv1d_to_conv2d(model)
    assert layers == [model.layers[1].name]
    x = images(5, shape)
    # Biases are added to exact sums in both forms.
    np.testing.assert_array_equal(rewritten(x), model(x))


def test_conv1d_becomes_binary_in_the_file():
    x = image = keras.Input((16, 32))
    for _ in range(2):
        x = conv1d(32, padding="same", pad_values=1.0)(x)
        x = keras.layers.BatchNormalization()(x)
    conversion = convert_model(randomise(keras.Model(image, x)))
    assert [layer.kind for layer in conversion.report.layers] == ["binary", "binary"]


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Conv1D(8, 3),
        conv1d(inputs=None),
        conv1d(inputs="ste_tern"),
        conv1d(kernel_quantizer=None, kernel_constraint=None),
        conv1d(kernel_quantizer="ste_tern", kernel_constraint=None),
    ],
    ids=["plain", "weights only", "ternary inputs", "inputs only", "ternary weights"],
)
def test_other_conv1d_layers_do_not_fire(layer):
    layer.build((None, 9, 32))
    assert not is_binary_conv1d(layer)


# --- norm_before_pool


def pooled_net(pool=None, *, gammas="positive", activation=None, conv=None, tap=False):
    """conv → (activation) → MaxPool → BN → conv, as BinaryNet has it."""
    x = image = keras.Input((8, 8, 32))
    conv = conv or lq.layers.QuantConv2D(
        32, 3, padding="same", pad_values=1.0, input_quantizer="ste_sign", name="conv", **BINARY
    )
    x = conv(x)
    if activation:
        x = keras.layers.Activation(activation)(x)
    pooled = (pool or keras.layers.MaxPooling2D(2, name="pool"))(x)
    x = keras.layers.BatchNormalization(name="bn")(pooled)
    x = lq.layers.QuantConv2D(8, 3, input_quantizer="ste_sign", name="next", **BINARY)(x)
    model = randomise(keras.Model(image, [x, pooled] if tap else x))
    norm = model.get_layer("bn")
    gamma, *rest = norm.get_weights()
    if gammas == "positive":
        gamma = np.abs(gamma)
    elif gammas == "one zero":
        gamma = np.abs(gamma) * (np.arange(32) != 5)
    norm.set_weights([gamma, *rest])
    return model


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize(
    "pool",
    [
        keras.layers.MaxPooling2D(2),
        keras.layers.MaxPooling2D(3, strides=2),
        keras.layers.MaxPooling2D(3, strides=2, padding="same"),
    ],
)
def test_norm_before_pool_equals_original(pool, activation):
    model = pooled_net(pool.__class__.from_config(pool.get_config()), activation=activation)
    rewritten, layers = norm_before_pool(model)
    assert layers == ["bn"]
    assert [layer.name for layer in rewritten.layers] == [layer.name for layer in model.layers]
    x = images(7, (8, 8, 32))
    np.testing.assert_array_equal(rewritten(x), model(x))


def test_norm_before_pool_lets_the_file_pool_bits():
    conversion = convert_model(pooled_net())
    assert conversion.report.rewrites == {"norm_before_pool": ["bn"]}
    assert op_names(conversion.tflite) == [
        "LceQuantize", "LceBconv2d", "LceBMaxPool2d", "LceBconv2d",
    ]  # fmt: skip
    assert "MAX_POOL_2D" in op_names(convert_model(pooled_net(), rewrites=False).tflite)


@pytest.mark.parametrize(
    "options",
    [
        {"gammas": "both signs"},
        {"gammas": "one zero"},
        {"tap": True},
        {"pool": keras.layers.AveragePooling2D(2)},
        {"activation": "tanh"},
        {"conv": keras.layers.DepthwiseConv2D(3)},
    ],
    ids=["negative gamma", "zero gamma", "pool is an output", "average", "tanh", "no Larq layer"],
)
def test_other_poolings_do_not_fire(options):
    model = pooled_net(**options)
    assert norm_before_pool(model) == (model, [])


def test_norm_before_pool_in_sequential_and_nested_models():
    layers = [keras.layers.deserialize(keras.layers.serialize(layer))
              for layer in pooled_net().layers[1:]]  # fmt: skip
    image = keras.Input((8, 8, 32))
    sequential = keras.Sequential([keras.Input((8, 8, 32)), *layers], name="inner")
    model = randomise(keras.Model(image, keras.layers.ReLU()(sequential(image))))
    norm = sequential.get_layer("bn")
    gamma, *rest = norm.get_weights()
    norm.set_weights([np.abs(gamma), *rest])
    x = images(3, (8, 8, 32))
    for original in (sequential, model):
        rewritten, moved = norm_before_pool(original)
        assert moved == ["bn"]
        np.testing.assert_array_equal(rewritten(x), original(x))


# --- repeat_sign


def separate_sign(between, layer, sign=None, shape=(4, 4, 32)):
    x = image = keras.Input(shape)
    x = (sign or keras.layers.Activation(lq.math.sign, name="sign"))(x)
    for step in between:
        x = step(x)
    return randomise(keras.Model(image, layer(x)))


def weights_only(units=12, **options):
    return lq.layers.QuantDense(units, name="dense", **{**BINARY, **options})


@pytest.mark.parametrize(
    ("between", "sign"),
    [
        ([], None),
        ([keras.layers.Flatten()], lq.quantizers.SteSign()),
        (
            [keras.layers.Dropout(0.3), keras.layers.Reshape((-1,)), keras.layers.Dropout(0.2)],
            lq.quantizers.SwishSign(),
        ),
        (
            [keras.layers.Permute((3, 1, 2)), keras.layers.MaxPooling2D(2), keras.layers.Flatten()],
            None,
        ),
    ],
    ids=["nothing", "flatten", "dropout", "pool"],
)
def test_separate_sign_before_dense_is_repeated_and_the_layer_becomes_binary(between, sign):
    between = [step.__class__.from_config(step.get_config()) for step in between]
    sign = sign and sign.__class__.from_config(sign.get_config())
    model = separate_sign(between, weights_only(), sign)
    result = rewrite(model)
    assert result.fired == {"repeat_sign": ["dense"], "dense_to_pointwise_conv": ["dense"]}
    x = images(5, (4, 4, 32))
    np.testing.assert_array_equal(result.model(x), model(x))
    assert [layer.kind for layer in convert_model(model).report.layers] == ["binary"]


def test_separate_sign_behind_a_reshape_is_repeated_in_a_convolution():
    layer = lq.layers.QuantConv2D(8, 3, name="conv", **BINARY)
    model = separate_sign([keras.layers.Reshape((8, 8, 32))], layer, shape=(16, 4, 32))
    rewritten, layers = repeat_sign(model)
    assert layers == ["conv"]
    x = images(5, (16, 4, 32))
    np.testing.assert_array_equal(rewritten(x), model(x))
    assert [layer.kind for layer in convert_model(model).report.layers] == ["binary"]


@pytest.mark.parametrize(
    ("between", "layer", "sign"),
    [
        ([], weights_only(input_quantizer="ste_sign"), None),
        ([keras.layers.BatchNormalization()], weights_only(), None),
        ([keras.layers.ZeroPadding2D(1)], weights_only(), None),
        ([], lq.layers.QuantConv2D(8, 3, **BINARY), None),
        ([], keras.layers.Dense(8), None),
        ([], weights_only(), keras.layers.Activation(lq.quantizers.SteTern())),
        ([], weights_only(), keras.layers.Activation("relu")),
    ],
    ids=["has its own", "normalisation", "zeros", "LCE sees it", "plain", "ternary", "relu"],
)
def test_other_layers_get_no_sign(between, layer, sign):
    model = separate_sign(between, layer, sign)
    assert repeat_sign(model) == (model, [])


def test_layer_used_on_signs_and_on_numbers_gets_no_sign():
    layer = weights_only()
    image = keras.Input((32,))
    signs = keras.layers.Activation(lq.quantizers.SteSign())(image)
    model = randomise(keras.Model(image, keras.layers.Add()([layer(signs), layer(image)])))
    assert repeat_sign(model) == (model, [])


# --- fix_large_kernels


def test_kernel_within_the_limit_does_not_fire():
    image = keras.Input((32,))
    model = randomise(keras.Model(image, weights_only()(image)))
    assert fix_large_kernels(model) == (model, [])


def test_large_kernels_hold_what_their_quantizers_make_of_them(monkeypatch):
    module = sys.modules[fix_large_kernels.__module__]
    monkeypatch.setattr(module, "MAX_FOLDED_WEIGHTS", 1000)
    x = image = keras.Input((32,))
    x = weights_only(40, kernel_quantizer="magnitude_aware_sign", use_bias=True)(x)
    x = lq.layers.QuantDense(20, name="small", **BINARY)(x)
    model = randomise(keras.Model(image, x))
    rewritten, layers = fix_large_kernels(model)
    assert layers == ["dense"]
    x = images(5, (32,))
    np.testing.assert_array_equal(rewritten(x), model(x))
    assert rewritten.get_layer("dense").kernel_quantizer is None


@pytest.mark.slow
@pytest.mark.parametrize("inputs", ["ste_sign", None], ids=["binary", "weights only"])
def test_dense_beyond_the_converters_limit_converts_to_one_bit_a_weight(inputs):
    image = keras.Input((57600,))
    layer = lq.layers.QuantDense(1024, input_quantizer=inputs, **BINARY)
    conversion = convert_model(keras.Model(image, layer(image)))
    assert len(conversion.tflite) <= 8_000_000
    assert conversion.report.layers[0].kind == ("binary" if inputs else "binary_weights")


class Thresholds(lq.quantizers.Quantizer):
    """sign(x − β) with one threshold for each of the 32 channels, which are not weights."""

    precision = 1

    def call(self, inputs):
        return super().call(lq.math.sign(inputs - np.linspace(-1, 1, 32, dtype=np.float32)))


@pytest.mark.parametrize("flattened", [False, True])
def test_quantizer_with_thresholds_per_channel_is_a_sign_where_its_channels_fit(flattened):
    image = keras.Input((4, 32))
    x = keras.layers.Dense(32)(keras.layers.Flatten()(image)) if flattened else image
    layer = weights_only(input_quantizer=Thresholds())
    model = randomise(keras.Model(image, layer(x)))
    conversion = convert_model(model, samples=images(9, (4, 32)), with_delegate=False)
    assert conversion.report.verification.verdict != "mismatch"
    assert conversion.report.rewrites == {"dense_to_pointwise_conv": ["dense"]}
