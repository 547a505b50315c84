"""Operators that are merged, beside those that look alike and must not be."""

import gc
import json

import numpy as np
import pytest

from tests.support.lce_blocks import Builder
from tests.support.lce_graphs import Graph, elementwise
from tests.support.lce_interpreter import evaluate


@pytest.fixture
def agrees(run, isas, tmp_path):
    """agrees(graph, inputs, outputs, *arrays): as NumPy says; returns what each operator holds."""

    def agrees(graph, inputs, outputs, *arrays):
        values = evaluate(graph, dict(zip(inputs, arrays, strict=True)))
        model = graph.build(inputs, outputs)
        for options in [*({"isa": isa} for isa in isas), {"num_threads": 2}, {"fuse": False}]:
            found = run(model, *arrays, profile=tmp_path / "p.json", **options)
            for output, result in zip(outputs, found, strict=True):
                assert np.array_equal(result, values[output]), options
            gc.collect()
            if options == {"num_threads": 2}:
                profile = json.loads((tmp_path / "p.json").read_text())
        return [(node["op"], node["merged"]) for node in profile["delegated"]]

    return agrees


def quarters(rng, shape):
    return (rng.integers(-20, 21, shape) / 4).astype(np.float32)


@pytest.mark.parametrize("nesting", ["(a+x)+b", "b+(a+x)", "(a+b)+c", "(x+a)+(b+c)", "((a+b)+x)+c"])
def test_sum_of_many_tensors_keeps_every_operand(nesting, agrees):
    builder = Builder(5)
    g, channels = builder.g, builder.channels
    names = {name: builder.conv(g.quantize(builder.x), channels, channels) for name in "abc"}
    names["x"] = builder.x

    class Tensor:
        def __init__(self, index):
            self.index = index

        def __add__(self, other):
            return Tensor(g.add(self.index, other.index, 1))

    out = eval(nesting, {name: Tensor(index) for name, index in names.items()})  # noqa: S307
    agrees(g, [builder.x], [out.index], quarters(builder.rng, builder.shape))


@pytest.mark.parametrize("steps", ["MUL MUL", "ADD ADD", "ADD MUL", "MUL ADD MUL", "MUL ADD ADD"])
def test_pooling_takes_one_normalisation(steps, agrees):
    rng, g = np.random.default_rng(3), Graph()
    x = value = g.tensor([2, 6, 5, 40])
    for kind in steps.split():
        scale = 2.0 ** rng.integers(-2, 2, 40) * rng.choice([-1, 1], 40)
        value = elementwise(g, kind, value, scale.astype(np.float32))
    pooled = g.max_pool(value, (2, 2), (2, 2))
    out = g.dequantize(g.quantize(pooled), 40)
    agrees(g, [x], [pooled, out], quarters(rng, (2, 6, 5, 40)))


def test_two_quantizations_of_one_sum_are_both_computed(agrees):
    builder = Builder(4)
    g, channels = builder.g, builder.channels
    value = g.add(builder.conv(g.quantize(builder.x), channels, channels), builder.x)
    outs = [g.dequantize(g.quantize(value), channels) for _ in range(2)]
    agrees(g, [builder.x], outs, quarters(builder.rng, builder.shape))


def test_sum_that_another_operator_reads_first_is_not_moved(agrees):
    """The residual is made after the convolution, from the convolution's own result."""
    builder = Builder(4)
    g, channels = builder.g, builder.channels
    conv = builder.conv(g.quantize(builder.x), channels, channels)
    other = builder.conv(g.quantize(conv), channels, channels)
    merged = agrees(g, [builder.x], [g.add(conv, other)], quarters(builder.rng, builder.shape))
    assert merged[-1] == ("LceBconv2d", ["ADD"])


def test_self_sum_is_left_whole(agrees):
    builder = Builder(4)
    g, channels = builder.g, builder.channels
    conv = builder.conv(g.quantize(builder.x), channels, channels)
    agrees(g, [builder.x], [g.add(conv, conv)], quarters(builder.rng, builder.shape))


@pytest.mark.parametrize(
    "small", [(1, 1, 1, 40), (1, 1, 1, 1), (2, 1, 7, 40), (2, 3, 7, 1), (7, 40), (40,), (1,)]
)
@pytest.mark.parametrize("swapped", [False, True])
def test_sum_broadcasts_like_tensorflow(small, swapped, agrees):
    rng, g = np.random.default_rng(1), Graph()
    x, other = g.tensor([2, 3, 7, 33]), g.tensor(small)
    filters, scale = rng.choice([-1, 1], (40, 1, 1, 33)), np.ones(40)
    conv = g.bconv(g.quantize(x), filters, channels_in=33, scale=scale, bias=0 * scale)
    total = g.add(*((other, conv) if swapped else (conv, other)), 3)
    out = g.dequantize(g.quantize(total), 40)
    arrays = [quarters(rng, (2, 3, 7, 33)), quarters(rng, small)]
    agrees(g, [x, other], [total, out], *arrays)


def test_sum_that_broadcasts_after_a_resize_is_computed(onebit_delegate):
    from ai_edge_litert.interpreter import Interpreter

    rng, g = np.random.default_rng(0), Graph()
    x, other = g.tensor([1, 1, 1, 32]), g.tensor([1, 1, 1, 32])
    filters, scale = rng.choice([-1, 1], (32, 1, 1, 32)), np.ones(32)
    conv = g.bconv(g.quantize(x), filters, channels_in=32, scale=scale, bias=0 * scale)
    out = g.add(conv, other)
    interpreter = Interpreter(
        model_content=g.build([x, other], [out]), experimental_delegates=[onebit_delegate.load()]
    )
    details = interpreter.get_input_details()
    for shape in [(1, 4, 5, 32), (1, 1, 1, 32), (3, 2, 1, 32)]:
        arrays = [quarters(rng, shape), quarters(rng, (1, 1, 1, 32))]
        interpreter.resize_tensor_input(details[0]["index"], shape)
        interpreter.allocate_tensors()
        for detail, array in zip(details, arrays, strict=True):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        expected = evaluate(g, {x: arrays[0], other: arrays[1]})[out]
        result = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        assert np.array_equal(result, expected), shape


def test_batch_may_be_empty(run, isas):
    """With every kind of operator that the delegate knows."""
    rng = np.random.default_rng(2)
    builder = Builder(5)
    g, channels = builder.g, builder.channels
    value = g.add(builder.conv(g.quantize(builder.x), channels, channels), builder.x)
    pooled = g.max_pool(value, (2, 2), (1, 1))
    joined = g.concatenate([pooled, builder.conv(g.quantize(pooled), channels, 7)])
    bits = g.max_pool_bits(g.quantize(joined), (2, 2), (2, 2), True)
    weights = g.dequantize(g.constant(np.zeros((5, 3, 3, channels // 32), np.int32)), channels)
    layer = g.conv(value, weights, g.constant(np.zeros(5, np.float32)))
    outputs = [joined, g.dequantize(bits, channels + 7), layer]
    model = g.build([builder.x], outputs)
    for isa in isas:
        for batch in (0, 1, 0):
            x = quarters(rng, (batch, *builder.shape[1:]))
            expected = evaluate(g, {builder.x: x})
            found = run(model, x, isa=isa, xnnpack=False)
            for output, result in zip(outputs, found, strict=True):
                assert np.array_equal(result, expected[output])


GROUPS = [
    {"channels": 32, "outputs": 8, "groups": 2, "kernel": 1},
    {"channels": 32, "outputs": 8, "groups": 4, "kernel": 3},
    {"channels": 64, "outputs": 70, "groups": 2, "kernel": 3},
    {"channels": 128, "outputs": 66, "groups": 2, "kernel": 3},
    {"channels": 66, "outputs": 66, "groups": 66, "kernel": 2},
    {"channels": 9, "outputs": 300, "groups": 3, "kernel": 1},
]


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("case", GROUPS, ids=str)
def test_weight_only_convolution_is_grouped_like_tensorflows(case, flat, agrees):
    from onebit.bits import pack

    rng, g = np.random.default_rng(4), Graph()
    depth, k = case["channels"] // case["groups"], case["kernel"]
    x = g.tensor([1, 5, 6, case["channels"]])
    signs = rng.choice([-1, 1], (case["outputs"], k, k, depth))
    if flat:
        rows = signs.reshape(case["outputs"], -1)
        unpacked = g.dequantize(g.constant(pack(rows)), rows.shape[1])
        weights = g.reshape(unpacked, signs.shape)
    else:
        weights = g.dequantize(g.constant(pack(signs)), depth)
    out = g.conv(x, weights, g.constant(np.zeros(case["outputs"], np.float32)))
    out = elementwise(g, "MUL", out, np.full(case["outputs"], 0.5, np.float32))
    merged = agrees(g, [x], [out], quarters(rng, (1, 5, 6, case["channels"])))
    assert merged == [("CONV_2D", ["MUL"])]


@pytest.mark.parametrize(("shape", "depth"), [((2, 2, 8), 16), ((2, 3, 4, 8), 96), ((6, 4), 8)])
def test_weight_only_dense_layer_flattens_its_input(shape, depth, agrees):
    from onebit.bits import pack

    rng, g = np.random.default_rng(4), Graph()
    x = g.tensor(shape)
    weights = g.dequantize(g.constant(pack(rng.choice([-1, 1], (5, depth)))), depth)
    out = elementwise(g, "ADD", g.dense(x, weights), np.full(5, 0.5, np.float32))
    merged = agrees(g, [x], [out], quarters(rng, shape))
    assert merged == [("FULLY_CONNECTED", ["ADD"])]


def test_constants_of_any_rank_are_read(agrees):
    """The stock interpreter only counts a bias' values."""
    rng, g = np.random.default_rng(4), Graph()
    x = g.tensor([1, 3, 4, 32])
    weights = g.dequantize(g.constant(np.zeros((6, 1, 1, 1), np.int32)), 32)
    bias = g.tensor([1] * 8 + [6], np.float32, quarters(rng, 6))
    agrees(g, [x], [g.conv(x, weights, bias)], quarters(rng, (1, 3, 4, 32)))
