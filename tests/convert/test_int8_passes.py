import numpy as np
import pytest

from convert.int8.layer_matching import int8_filter, is_same_filter
from convert.int8.observers import TensorReader
from convert.int8.ranges import (
    BINS,
    Histogram,
    best_range,
    choose_range,
    mean_square_error,
)
from convert.int8.values import dequantized, quantized
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.tflite.graph import INT8, Graph
from onebit import bits
from tests.convert.int8_models import SHAPE, binary_connect, converted, mixed_net, sign_net
from tests.convert.models import images


def ops(graph, name):
    return [op for op in graph.operators if graph.op_name(op) == name]


def histogram(values):
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    return Histogram(low, high, np.histogram(values, BINS, (low, high))[0])


def test_sign_is_that_of_the_integer_sum():
    graph = Graph.from_bytes(converted(sign_net).tflite)
    (conv,), (sign,) = ops(graph, "CONV_2D"), ops(graph, "LceQuantize")
    assert graph.subgraph.tensors[graph.inputs(sign)[0]].type == INT8
    source, kernel, bias = graph.inputs(conv)
    packed = graph.outputs(sign)[0]
    readings = TensorReader(graph, [source, packed]).each([images(8, SHAPE, 9)])
    zero = int(graph.subgraph.tensors[source].quantization.zeroPoint[0])
    weights, lowered = graph.constant(kernel).astype(np.int64), graph.constant(bias)
    # The bias was lowered by h so that the rounded output turns where the sum without h does.
    steps = [graph.subgraph.tensors[i].quantization.scale for i in (source, kernel)]
    factor = (
        steps[0][0]
        * steps[1]
        / graph.subgraph.tensors[graph.outputs(conv)[0]].quantization.scale[0]
    )
    plain = lowered + np.ceil(0.5 / factor) - 1
    for values in readings:
        x = values[source][0].astype(np.int64) - zero
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1))
        sums = np.einsum("hwcij,oijc->hwo", windows, weights) + plain
        expected = np.where(sums < 0, -1, 1)
        found = bits.unpack(values[packed][0], 32)
        # One step of the sum is within the rounding of `factor` to float32.
        assert (found == expected)[np.abs(sums) > 1].all()
        assert np.abs(sums).min() < 100  # some are near: the test would see half a step


def test_shared_output_keeps_its_bias():
    conversion = converted(mixed_net)
    assert "center_signs" not in conversion.report.passes
    assert "center_signs" in converted(sign_net).report.passes


def test_packed_filter_equals_the_unpacked_one():
    conversion = converted(binary_connect, scope="all")
    packed = Graph.from_bytes(conversion.tflite)
    plain = Graph.from_bytes(conversion.tflite)
    for op in ops(plain, "CONV_2D") + ops(plain, "FULLY_CONNECTED"):
        weights, steps = int8_filter(plain, op)
        index = plain.inputs(op)[1]
        tensor = plain.subgraph.tensors[index]
        constant = plain.add_constant("unpacked", np.zeros(1, "<i4"))
        unpacked = plain.subgraph.tensors[constant]
        unpacked.shape, unpacked.type = tensor.shape, INT8
        unpacked.quantization = tensor.quantization
        stored = np.rint(weights / steps).astype(np.int8)
        assert set(np.unique(stored)) == {-127, 127}
        plain.model.buffers[unpacked.buffer].data = np.frombuffer(stored.tobytes(), np.uint8)
        plain.redirect(index, constant)
    plain.drop_unread_ops()
    assert not ops(plain, "LceDequantize")
    inputs = images(8, SHAPE, 9)
    (left,), (right,) = (LceInterpreter(g.to_bytes()).run([inputs]) for g in (packed, plain))
    np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("zero", [-128, -3, 0, 127])
def test_values_survive_quantisation_within_half_a_step(zero):
    graph = Graph.from_bytes(converted(mixed_net).tflite)
    index = next(graph.outputs(op)[0] for op in ops(graph, "QUANTIZE"))
    quantization = graph.subgraph.tensors[index].quantization
    quantization.scale, quantization.zeroPoint = np.array([0.25]), np.array([zero])
    low, high = (-128 - zero) * 0.25, (127 - zero) * 0.25
    values = np.linspace(low - 1, high + 1, 999).astype(np.float32)
    back = dequantized(graph, index, quantized(graph, index, values))
    np.testing.assert_allclose(back, np.clip(values, low, high), rtol=0, atol=0.125)


def test_filters_differ_by_more_than_half_a_step():
    steps = np.full((2, 3), 0.5)
    real = np.array([[0.2, -0.2, 1.0], [0.0, 0.74, -0.5]], np.float32)
    near = np.array([[0.0, 0.0, 1.0], [0.0, 0.5, -0.5]])
    assert is_same_filter(real, near, steps)
    assert not is_same_filter(real, near + 0.1, steps)
    assert not is_same_filter(real[:1], near, steps)


def test_mse_range_is_no_worse_than_the_others():
    random = np.random.default_rng(0)
    for values in (
        random.normal(0, 1, 100_000),
        np.maximum(random.normal(0, 1, 100_000), 0),
        random.uniform(-1, 1, 100_000),
        np.append(random.normal(0, 1, 100_000), 200),
        -random.exponential(1, 100_000),
    ):
        seen = histogram(values)
        errors = {
            method: mean_square_error(seen, *choose_range(seen, method))
            for method in ("mse", "minmax", "percentile")
        }
        assert errors["mse"] <= errors["minmax"]
        assert errors["mse"] <= 1.05 * errors["percentile"]  # the candidates lie 2.5 % apart


def test_outlier_does_not_make_every_step_coarse():
    values = np.append(np.random.default_rng(0).normal(0, 1, 1_000_000), 20.0)
    (low, high), _ = best_range(histogram(values))
    assert choose_range(histogram(values), "minmax")[1] == 20
    # At h the outlier costs (20 − h)²/10⁶, the steps about ((h + 4)/255)²/12: least at h ≈ 6.5.
    assert 5 < high < 11
    assert low < -3


@pytest.mark.parametrize("method", ["mse", "minmax", "percentile"])
@pytest.mark.parametrize("values", [np.array([1.0, 2.0]), np.array([-2.0, -1.0])])
def test_range_contains_zero(method, values):
    low, high = choose_range(histogram(values), method)
    assert low <= 0 <= high
    assert low < high


def test_flipped_bits_are_counted():
    shares = converted(sign_net).report.verification.quantization.flipped_bits
    assert list(shares) == ["binary"]
    # 8 bits leave noise of about a hundredth of the spread: that many numbers are near the sign.
    assert 0 < shares["binary"] < 0.03


def test_lowered_biases_keep_more_signs():
    centered = converted(sign_net)
    plain = converted(sign_net, without_passes=frozenset({"center_signs"}))
    flips = [c.report.verification.quantization.flipped_bits["binary"] for c in (centered, plain)]
    assert flips[0] < 0.9 * flips[1]
