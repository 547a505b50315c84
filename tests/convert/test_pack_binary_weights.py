import numpy as np
import pytest

from convert.passes import run_passes
from convert.passes.pack_binary_weights import (
    Scales,
    pack_binary_weights,
    packed_bytes,
    packed_shape,
    packing_scales,
)
from convert.runtimes.lce import convert_with_lce
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.tflite.graph import Graph
from convert.tflite.scales import ROUNDINGS, has_binary_rows, row_and_column_scales
from onebit import bits
from onebit.keras import keras, lq, tf
from tests.convert.models import BINARY, images, mlp, randomise


def conv_net(filters, kernel, *, activation="relu", channels=3, **options):
    x = image = keras.Input((9, 8, channels))
    x = lq.layers.QuantConv2D(filters, kernel, name="conv", **{**BINARY, **options})(x)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.Activation(activation)(x)
    return randomise(keras.Model(image, x))


def packed(content):
    graph = Graph.from_bytes(content)
    fired = run_passes(graph)
    return graph.to_bytes(), fired.get("pack_binary_weights", [])


def op_names(content):
    graph = Graph.from_bytes(content)
    return [graph.op_name(op) for op in graph.operators]


def assert_same_on_lce(before, after, inputs, terms):
    (expected,) = LceInterpreter(before).run([inputs])
    (outputs,) = LceInterpreter(after).run([inputs])
    # Each form rounds a sum of `terms` products and at most 2 more operations.
    tolerance = 2 * (terms + 2) * 2.0**-24 * max(1, float(np.abs(expected).max()))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "activation", ["linear", *(pytest.param(a, marks=pytest.mark.slow) for a in ("relu", "relu6"))]
)
@pytest.mark.parametrize(
    ("filters", "kernel", "channels", "options"),
    [
        (16, 3, 3, {}),
        (5, 1, 64, {}),
        (8, 3, 33, {"padding": "same", "strides": 2}),
        (4, (2, 3), 32, {"dilation_rate": 2, "use_bias": True}),
    ],
)
def test_packed_convolution_equals_unpacked_on_lce(filters, kernel, channels, options, activation):
    activation = keras.layers.ReLU(6.0) if activation == "relu6" else activation
    model = conv_net(filters, kernel, channels=channels, activation=activation, **options)
    before = convert_with_lce(model)
    after, changed = packed(before)
    assert len(changed) == 1
    assert len(after) < len(before)
    terms = int(np.prod(model.get_layer("conv").kernel.shape[:3]))
    assert_same_on_lce(before, after, images(6, (9, 8, channels)), terms)


@pytest.mark.parametrize(
    "width", [33, *(pytest.param(w, marks=pytest.mark.slow) for w in (31, 32, 784))]
)
def test_packed_dense_equals_unpacked_on_lce(width):
    model = mlp((24,), binary_inputs=False, input_shape=(width, 1, 1), bias=True, activation="relu")
    before = convert_with_lce(model)
    after, changed = packed(before)
    assert len(changed) == 2
    assert_same_on_lce(before, after, images(20, (width, 1, 1)), width + 24)


def test_scale_is_exact_and_negative_gammas_turn_the_signs():
    model = conv_net(16, 3, channels=32)
    before, (after, _) = convert_with_lce(model), packed(convert_with_lce(model))
    weights = Graph.from_bytes(before)
    original = weights.constant(weights.inputs(weights.operators[0])[1])
    graph = Graph.from_bytes(after)
    words = graph.constant(graph.inputs(graph.operators[0])[0])
    (multiply,) = [op for op in graph.operators if graph.op_name(op) == "MUL"]
    scale = graph.constant(graph.inputs(multiply)[1])
    np.testing.assert_array_equal(bits.unpack(words, 32) * scale.reshape(-1, 1, 1, 1), original)
    assert (model.get_layer("bn").gamma.numpy() < 0).any()


def test_channel_with_gamma_zero_gives_its_bias():
    model = conv_net(16, 3, channels=32, activation="linear")
    layer = model.get_layer("bn")
    gamma, beta, mean, variance = layer.get_weights()
    gamma[3] = 0
    layer.set_weights([gamma, beta, mean, variance])
    before = convert_with_lce(model)
    after, changed = packed(before)
    assert len(changed) == 1
    (outputs,) = LceInterpreter(after).run([images(2, (9, 8, 32))])
    np.testing.assert_array_equal(outputs[..., 3], np.full_like(outputs[..., 3], beta[3]))


def test_filter_shared_by_two_layers_is_stored_once():
    layer = lq.layers.QuantDense(64, **BINARY)
    image = keras.Input((64,))
    model = randomise(keras.Model(image, layer(keras.layers.ReLU()(layer(image)))))
    before = convert_with_lce(model)
    after, changed = packed(before)
    assert len(changed) == 2
    assert op_names(after).count("LceDequantize") == 1
    assert_same_on_lce(before, after, images(4, (64,)), 128)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Conv2D(16, 3),
        lq.layers.QuantConv2D(16, 3, kernel_quantizer="ste_tern"),
        lq.layers.QuantConv2D(16, 3, kernel_quantizer=lq.quantizers.DoReFa(2, mode="weights")),
    ],
    ids=["float", "ternary", "dorefa"],
)
def test_other_filters_do_not_fire(layer):
    image = keras.Input((9, 8, 3))
    before = convert_with_lce(randomise(keras.Model(image, layer(image))))
    after, changed = packed(before)
    assert changed == []
    assert op_names(after) == op_names(before)


def test_tiny_filter_that_packing_would_not_shrink_does_not_fire():
    image = keras.Input((9, 8, 1))
    model = randomise(keras.Model(image, lq.layers.QuantConv2D(4, 1, **BINARY)(image)))
    assert packed(convert_with_lce(model))[1] == []


def test_pass_is_idempotent():
    content, _ = packed(convert_with_lce(mlp(binary_inputs=False)))
    graph = Graph.from_bytes(content)
    assert pack_binary_weights(graph) == []


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((8, 3, 3, 64), [8, 3, 3, 64]), ((8, 3, 3, 3), [8, 27]), ((8, 100), [8, 100])],
)
def test_packed_shape_takes_the_fewest_words(shape, expected):
    assert packed_shape(shape) == expected


@pytest.mark.parametrize(
    ("rows", "binary"),
    [
        ([[1, -1, 1], [2, 2, -2]], True),
        ([[1, -1, 1], [0, 0, 0]], True),
        ([[0, 0, 0], [0, 0, 0]], False),
        ([[1, -1, 0], [2, 2, -2]], False),
        ([[1, -1, np.nextafter(np.float32(1), np.float32(2))], [2, 2, -2]], False),
        ([[np.inf, -np.inf, np.inf]], False),
        ([[np.nan, np.nan, np.nan]], False),
    ],
)
def test_has_binary_rows(rows, binary):
    assert has_binary_rows(np.array(rows, np.float32)) is binary


def test_packing_must_save_room():
    ones = Scales(np.full(200, 2, np.float32))
    assert packed_bytes((200, 1, 1, 4), ones) == 200 * (4 + 4)  # a word and a scale per row
    # What is saved per row is 4·I − 8 bytes, and the operators take some 500.
    assert packing_scales("CONV_2D", np.full((200, 1, 1, 4), 2, np.float32)) is not None
    assert packing_scales("CONV_2D", np.full((200, 1, 1, 3), 2, np.float32)) is not None
    assert packing_scales("CONV_2D", np.full((200, 1, 1, 2), 2, np.float32)) is None
    assert packing_scales("CONV_2D", np.full((16, 1, 1, 4), 2, np.float32)) is None


@pytest.mark.parametrize(
    ("bias", "activation"),
    [pytest.param(False, "linear", marks=pytest.mark.slow), (True, "relu")],
)
@pytest.mark.parametrize(
    ("make", "channels"),
    [
        (lambda **o: lq.layers.QuantDepthwiseConv2D(3, depthwise_quantizer="ste_sign", **o), 64),
        (lambda **o: lq.layers.QuantDepthwiseConv2D(
            (3, 2), depthwise_quantizer="ste_sign", depth_multiplier=2, padding="same", **o), 36),
        (lambda **o: lq.layers.QuantConv2DTranspose(
            16, 3, strides=2, kernel_quantizer="ste_sign", **o), 32),
        (lambda **o: lq.layers.QuantConv2DTranspose(
            5, 2, padding="same", kernel_quantizer="ste_sign", **o), 33),
    ],
    ids=["depthwise", "depthwise x2", "transposed", "transposed same"],
)  # fmt: skip
def test_packed_depthwise_and_transposed_layers_equal_unpacked_on_lce(
    make, channels, bias, activation
):
    x = image = keras.Input((7, 6, channels))
    layer = make(use_bias=bias)
    x = keras.layers.BatchNormalization(name="bn")(layer(x))
    x = keras.layers.Activation(activation)(x)
    model = randomise(keras.Model(image, x))
    gamma, *rest = model.get_layer("bn").get_weights()
    gamma[1] = 0  # the scale of this channel can't be recovered, nor need it be
    model.get_layer("bn").set_weights([gamma, *rest])
    before = convert_with_lce(model)
    after, changed = packed(before)
    assert len(changed) == 1
    assert len(after) < len(before)
    assert_same_on_lce(before, after, images(4, (7, 6, channels)), 9 * channels)


def normalised_dense(gamma_zero=False):
    """Two dense layers without an activation between: LCE folds the first scale into the second."""
    x = image = keras.Input((64,))
    for index in (1, 2):
        x = lq.layers.QuantDense(96, name=f"dense_{index}", **BINARY)(x)
        x = keras.layers.BatchNormalization(name=f"bn_{index}")(x)
    model = randomise(keras.Model(image, x))
    if gamma_zero:
        gamma, *rest = model.get_layer("bn_1").get_weights()
        gamma[7] = 0
        model.get_layer("bn_1").set_weights([gamma, *rest])
    return model


@pytest.mark.parametrize("gamma_zero", [False, True])
def test_scales_of_rows_and_columns_are_told_apart(gamma_zero):
    before = convert_with_lce(normalised_dense(gamma_zero))
    after, changed = packed(before)
    assert len(changed) == 2
    assert len(after) < len(before) / 6
    inputs = images(20, (64,))
    (expected,) = LceInterpreter(before).run([inputs])
    (outputs,) = LceInterpreter(after).run([inputs])
    # Two layers of at most 96 terms, whose weights may be off by ROUNDINGS roundings themselves.
    peak = max(1, float(np.abs(expected).max()))
    tolerance = 2 * 2 * (96 + 2 + ROUNDINGS) * 2.0**-24 * peak
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=tolerance)


def test_products_of_scales_are_found_and_real_weights_are_not():
    generator = np.random.default_rng(0)
    r, c = (generator.uniform(0.1, 3, n).astype(np.float32) for n in (40, 50))
    signs = generator.choice([-1, 1], (40, 50)).astype(np.float32)
    weights = r[:, np.newaxis] * c * signs
    rows, columns = row_and_column_scales(weights)
    np.testing.assert_allclose(rows[:, np.newaxis] * columns * signs, weights, rtol=4 * 2.0**-24)
    assert row_and_column_scales(generator.normal(size=(40, 50)).astype(np.float32)) is None
    weights[3, 4] *= 1 + 2.0**-20
    assert row_and_column_scales(weights) is None
    weights[3, 4] = 0  # a zero in a row and a column of others is not a sign
    assert row_and_column_scales(weights) is None


def per_filter_scale(x):
    """XNOR-Net's weights: the sign times the mean magnitude of the filter."""
    alpha = tf.reduce_mean(tf.abs(x), axis=[0, 1, 2], keepdims=True)
    return alpha * lq.quantizers.ste_sign(x)


@pytest.mark.parametrize("quantizer", [per_filter_scale, "magnitude_aware_sign"])
def test_scaled_filters_are_packed(quantizer):
    model = conv_net(16, 3, channels=32, kernel_quantizer=quantizer)
    before = convert_with_lce(model)
    after, changed = packed(before)
    assert len(changed) == 1
    assert_same_on_lce(before, after, images(4, (9, 8, 32)), 9 * 32)
