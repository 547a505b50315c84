"""The binariser on float files: every form of a layer, equal outputs."""

import numpy as np
import pytest

from convert.auditing.layers import audit
from convert.binariser.passes.write_thresholds import thresholds_of
from convert.report import Reason
from convert.runtimes.lce import convert_with_lce
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.tflite.graph import Graph
from tests.convert.binarised import assert_same, binarised, op_names, sign_weights
from tests.convert.models import images
from tests.support.float_graphs import CODES, FloatGraph, binary_weights, schema
from tests.support.lce_graphs import dense_options

# name → size, kernel, conv's options, widths and number of a separate border, layer is binary
CONVS = {
    "valid": ((7, 8), (3, 3), {"same": False}, None, True),
    "zeros": ((7, 8), (3, 3), {"same": True}, None, True),
    "zeros with strides": ((8, 8), (3, 3), {"same": True, "stride": (2, 2)}, None, True),
    "one tap": ((5, 5), (1, 1), {"same": True}, None, True),
    "dilated": ((9, 9), (3, 3), {"same": True, "dilation": (2, 2)}, None, True),
    "ones": ((7, 8), (3, 3), {"same": False}, (((1, 1), (1, 1)), 1), True),
    "ones with strides": ((8, 8), (3, 3), {"same": False, "stride": (2, 2)},
                          (((0, 1), (0, 1)), 1), True),
    "ones on one side": ((7, 8), (3, 3), {"same": False}, (((2, 0), (2, 0)), 1), True),
    "minus ones": ((7, 8), (3, 3), {"same": False}, (((1, 1), (1, 1)), -1), True),
    "separate zeros": ((7, 8), (3, 3), {"same": False}, (((1, 1), (1, 1)), 0), True),
    "zeros as PyTorch pads": ((8, 8), (3, 3), {"same": False, "stride": (2, 2)},
                              (((1, 1), (1, 1)), 0), False),
}  # fmt: skip


def conv_file(size, kernel, options, border, channels=20, outputs=12, groups=1, *, bias=True,
              scales=True, sign_behind=False):  # fmt: skip
    random = np.random.default_rng(3)
    g = FloatGraph()
    x = g.tensor((1, *size, channels))
    y = g.sign(x)
    if border is not None:
        y = g.pad(y, *border)
    shape = (outputs, *kernel, channels // groups)
    weights = g.constant(binary_weights(random, shape, scales))
    offsets = random.normal(0, 3, outputs) if bias else np.zeros(outputs)
    y = g.conv(y, weights, g.number(offsets), **options)
    if sign_behind:
        y = g.sign(y)
    return g.build([x], [y])


@pytest.mark.parametrize(
    ("size", "kernel", "options", "border", "fires"), CONVS.values(), ids=CONVS
)
@pytest.mark.parametrize("sign_behind", [False, True], ids=["float", "bits"])
def test_convolution_computes_the_same(size, kernel, options, border, fires, sign_behind):
    content = conv_file(size, kernel, options, border, sign_behind=sign_behind)
    graph = binarised(content)
    assert ("LceBconv2d" in op_names(graph)) == fires
    if not fires:
        (layer,) = [layer for layer in audit(graph).layers if layer.op == "CONV_2D"]
        assert layer.reason_code in (Reason.ZEROS_BETWEEN, Reason.NOT_PACKED)
    assert_same(content, graph, images(20, (*size, 20)))


def test_groups_of_whole_words_are_binary_and_others_are_not():
    options = ((6, 6), (3, 3), {"same": False}, None)
    graph = binarised(conv_file(*options, channels=64, groups=2))
    assert op_names(graph).count("LceBconv2d") == 1
    # LCE's own interpreter takes groups with these kernels only, so the judge is the float file.
    x = images(5, (6, 6, 64))
    content = conv_file(*options, channels=64, groups=2)
    (expected,) = LceInterpreter(content).run([x])
    (outputs,) = LceInterpreter(graph.to_bytes(), "indirect_bgemm").run([x])
    np.testing.assert_allclose(outputs, expected, atol=1e-4)
    assert "LceBconv2d" not in op_names(binarised(conv_file(*options, channels=40, groups=2)))


@pytest.mark.parametrize("activation", [1, 2, 3], ids=["relu", "relu -1 1", "relu6"])
@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
@pytest.mark.parametrize("same", [False, True], ids=["valid", "zeros"])
def test_activation_stays(activation, bias, same):
    options = {"same": same, "activation": activation}
    content = conv_file((6, 6), (3, 3), options, None, bias=bias)
    graph = binarised(content)
    alone = {"RELU", "RELU6", "RELU_N1_TO_1"} & set(op_names(graph))
    assert bool(alone) == (activation != 1 or bias or same)
    assert_same(content, graph, images(10, (6, 6, 20)))


def test_real_weights_and_zero_weights_stay_float():
    g = FloatGraph()
    x = g.tensor((1, 64))
    real = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    ternary = np.sign(np.round(real))
    outputs = [g.dense(g.sign(x), g.constant(w)) for w in (real, ternary)]
    graph = binarised(g.build([x], outputs))
    assert "LceBconv2d" not in op_names(graph)
    reasons = {layer.reason_code for layer in audit(graph).layers}
    assert reasons >= {Reason.REAL_WEIGHTS}


def test_channel_with_a_scale_of_zero_gives_its_bias():
    g = FloatGraph()
    x = g.tensor((1, 64))
    weights = sign_weights(64)
    weights[2] = 0
    y = g.dense(g.sign(x), g.constant(weights), g.number(np.arange(6)))
    content = g.build([x], [y])
    graph = binarised(content)
    assert op_names(graph).count("LceBconv2d") == 1
    assert_same(content, graph, images(9, (64,)))


def test_filter_that_is_quantized_in_the_file_is_folded():
    """Exporters leave SIGN(W), perhaps transposed, as they found it."""
    g = FloatGraph()
    x = g.tensor((1, 64))
    latent = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)
    condition = g.op("GREATER_EQUAL", g.constant(latent), g.number(0), dtype=np.bool_)
    signs = g.op("SELECT_V2", condition, g.number(1), g.number(-1))
    turned = g.op("TRANSPOSE", signs, g.constant(np.array([1, 0], np.int32)), shape=(6, 64))
    content = g.build([x], [g.dense(g.sign(x), turned)])
    graph = binarised(content)
    assert op_names(graph) == ["LceQuantize", "RESHAPE", "LceBconv2d", "RESHAPE"]
    assert_same(content, graph, images(9, (64,)))


def test_product_with_a_binary_matrix_becomes_a_dense_layer():
    """TensorFlow Lite's converter writes BATCH_MATMUL where it has not folded the filter."""
    g = FloatGraph()
    x = g.tensor((1, 5, 64))
    latent = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)
    matrix = g.op("SIGN", g.constant(latent))
    y = g.tensor((1, 5, 6))
    builtin = (schema.BuiltinOptions.BatchMatMulOptions, schema.BatchMatMulOptionsT())
    g.operator(CODES.BATCH_MATMUL, [g.sign(x), matrix], [y], builtin=builtin)
    content = g.build([x], [y])
    graph = binarised(content)
    assert op_names(graph) == ["LceQuantize", "RESHAPE", "LceBconv2d", "RESHAPE"]
    assert_same(content, graph, images(9, (5, 64)))


def test_dense_layer_on_one_dimension_is_one_sample():
    g = FloatGraph()
    x = g.tensor((1, 64))
    y = g.tensor((6,))
    inputs = [g.sign(g.reshape(x, (64,))), g.constant(sign_weights(64)), -1]
    g.operator(CODES.FULLY_CONNECTED, inputs, [y], builtin=dense_options(keep_dims=True))
    content = g.build([x], [g.reshape(y, (1, 6))])
    graph = binarised(content)
    assert op_names(graph).count("LceBconv2d") == 1
    assert_same(content, graph, images(9, (64,)))


def test_reshapes_to_and_from_a_single_number_stay():
    g, random = FloatGraph(), np.random.default_rng(0)
    x = g.tensor((1, 3, 3, 32))
    weights = g.constant(binary_weights(random, (1, 3, 3, 32), scales=False))
    number = g.reshape(g.conv(g.sign(x), weights, g.number([0.5]), same=False), ())
    doubled = g.op("MUL", number, g.number(2))
    signs = g.sign(g.reshape(doubled, (1, 1)))
    content = g.build([x], [g.dense(signs, g.constant(sign_weights(1)))])
    graph = binarised(content)
    assert op_names(graph).count("LceBconv2d") == 2
    assert_same(content, graph, images(9, (3, 3, 32)))


def test_select_with_one_dimension_picks_rows():
    """A filter of as many rows as columns, each row of it chosen by a constant."""
    g = FloatGraph()
    x = g.tensor((1, 6))
    rows = g.constant(np.array([1, 0, 0, 1, 1, 0], np.bool_))
    filters = [g.constant(sign_weights(6, seed)) for seed in (0, 1)]
    chosen = g.op("SELECT", rows, *filters, shape=(6, 6))
    content = g.build([x], [g.dense(g.sign(x), chosen)])
    graph = binarised(content)
    assert op_names(graph).count("LceBconv2d") == 1
    assert_same(content, graph, images(9, (6,)))


def test_reshape_within_a_sign_moves_behind_it():
    """Converters move a Flatten between the comparison and the selection."""
    g = FloatGraph()
    x = g.tensor((1, 2, 2, 32))
    less = g.op("LESS", x, g.number(0), dtype=np.bool_)
    flat = g.tensor((1, 128), np.bool_)
    shape = g.constant(np.array([1, 128], np.int32))
    builtin = (schema.BuiltinOptions.ReshapeOptions, schema.ReshapeOptionsT())
    g.operator(CODES.RESHAPE, [less, shape], [flat], builtin=builtin)
    signs = g.op("SELECT_V2", flat, g.number(-1), g.number(1))
    content = g.build([x], [g.dense(signs, g.constant(sign_weights(128)))])
    graph = binarised(content)
    assert op_names(graph) == ["LceQuantize", "RESHAPE", "LceBconv2d", "RESHAPE"]
    assert_same(content, graph, images(9, (2, 2, 32)))


def test_transposes_within_a_sign_move_behind_it_and_cancel():
    """PyTorch's exporter compares channels-last, selects channels-first, and turns back."""
    g = FloatGraph()
    x = g.tensor((1, 6, 6, 20))

    def turned(value, order, dtype=np.float32):
        shape = [g.shape(value)[axis] for axis in order]
        out = g.tensor(shape, dtype)
        g.operator(CODES.TRANSPOSE, [value, g.constant(np.array(order, np.int32))], [out])
        return out

    bits = turned(g.op("GREATER_EQUAL", x, g.number(0), dtype=np.bool_), (0, 3, 1, 2), np.bool_)
    signs = turned(g.op("SELECT_V2", bits, g.number(1), g.number(-1)), (0, 2, 3, 1))
    weights = g.constant(binary_weights(np.random.default_rng(1), (8, 3, 3, 20), scales=False))
    content = g.build([x], [g.conv(signs, weights, g.number(np.zeros(8)), same=False)])
    graph = binarised(content)
    assert op_names(graph) == ["LceQuantize", "LceBconv2d"]
    assert_same(content, graph, images(9, (6, 6, 20)))


def test_thresholds_are_those_of_the_arithmetic_they_replace():
    random = np.random.default_rng(5)
    terms, channels = 27, 400
    multiplier = random.choice([-1.0, 0.0, 1.0], channels) * random.uniform(0.01, 3, channels)
    multiplier = multiplier.astype(np.float32)
    bias = random.integers(-30, 30, channels) * random.choice([0.0, 0.5, 1], channels) * multiplier
    bias = bias.astype(np.float32)
    differing = np.arange(terms + 1)[:, np.newaxis]
    sums = (terms - 2 * differing).astype(np.float32)
    for activation, clamp in enumerate(
        [lambda x: x, lambda x: x.clip(0), lambda x: x.clip(-1, 1), lambda x: x.clip(0, 6)]
    ):
        expected = clamp(sums) * multiplier + bias < 0
        thresholds, negated = thresholds_of(multiplier, bias, terms, activation)
        counted = np.where(negated, terms - differing, differing)
        np.testing.assert_array_equal(counted > thresholds, expected)


def pooled(multiplier):
    """Binary convolution → max-pooling → scale and offset → sign → binary layer."""
    random = np.random.default_rng(2)
    g = FloatGraph()
    x = g.tensor((1, 8, 8, 32))
    filters = binary_weights(random, (40, 3, 3, 32), scales=True)
    y = g.conv(g.sign(x), g.constant(filters), g.number(np.zeros(40)), same=False)
    y = g.max_pool(y, (2, 2), (2, 2), same=False)
    y = g.add(g.multiply(y, g.number(multiplier)), g.number(random.normal(0, 3, 40)))
    filters = binary_weights(random, (8, 3, 3, 40), scales=False)
    y = g.conv(g.sign(y), g.constant(filters), g.number(np.zeros(8)), same=False)
    return g.build([x], [y])


@pytest.mark.parametrize("positive", [True, False], ids=["positive", "any"])
def test_scale_behind_a_pooling_moves_only_where_it_is_exact(positive):
    multiplier = np.random.default_rng(4).normal(size=40)
    content = pooled(np.abs(multiplier) if positive else multiplier)
    graph = binarised(content)
    names = op_names(graph)
    if positive:
        assert names == ["LceQuantize", "LceBconv2d", "LceBMaxPool2d", "LceBconv2d"]
    else:
        assert {"MAX_POOL_2D", "MUL", "ADD"} <= set(names)
    assert_same(content, graph, images(20, (8, 8, 32)))


def test_finds_what_lce_finds_and_the_dense_layers(residual_net):
    model, content = residual_net
    graph, by_lce = binarised(content), Graph.from_bytes(convert_with_lce(model))
    count = op_names(by_lce).count("LceBconv2d")
    assert count == 3
    assert op_names(graph).count("LceBconv2d") == count + 2
    assert "FULLY_CONNECTED" not in op_names(graph)
    assert_same(content, graph, images(30, (12, 12, 3)))
    assert_same(by_lce.to_bytes(), graph, images(30, (12, 12, 3)))


def test_dense_layers_in_a_row_exchange_bits():
    random = np.random.default_rng(6)
    g = FloatGraph()
    x = y = g.tensor((1, 64))
    for units, depth in ((48, 64), (40, 48), (10, 40)):
        weights = g.constant(binary_weights(random, (units, depth), scales=True))
        y = g.dense(g.sign(y), weights, g.number(random.normal(0, 3, units)))
    content = g.build([x], [y])
    graph = binarised(content)
    layers = ["LceBconv2d"] * 3
    assert op_names(graph) == ["LceQuantize", "RESHAPE", *layers, "RESHAPE"]
    assert_same(content, graph, images(30, (64,)))
