"""LceQuantize, LceDequantize and LceBMaxPool2d, against NumPy and LCE's interpreter."""

import itertools

import numpy as np
import pytest

from onebit.bits import pack, unpack
from tests.support.lce_graphs import Graph, options
from tests.support.lce_oracle import max_pool

CHANNELS = [1, 2, 31, 32, 33, 63, 64, 65, 128, 150]


def quantize_model(shape, dtype, **quantization):
    g = Graph()
    x = g.tensor(shape, dtype, **quantization)
    return g.build([x], [g.quantize(x)])


@pytest.mark.parametrize("channels", CHANNELS)
def test_quantize_float_packs_signs(channels, run_all):
    rng = np.random.default_rng(channels)
    x = rng.standard_normal((2, 3, channels)).astype(np.float32)
    special = [0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-45, -1e-45]
    x.flat[rng.integers(0, x.size, 16)] = special * 2
    assert (run_all(quantize_model(x.shape, np.float32), x) == pack(x)).all()


@pytest.mark.parametrize("zero_point", [-128, -1, 0, 5, 127])
@pytest.mark.parametrize("channels", CHANNELS)
def test_quantize_int8_compares_with_the_zero_point(channels, zero_point, run_all):
    x = np.random.default_rng(channels).integers(-128, 128, (4, channels)).astype(np.int8)
    model = quantize_model(x.shape, np.int8, scale=0.5, zero_point=zero_point)
    assert (run_all(model, x) == pack(x.astype(int) - zero_point)).all()


@pytest.mark.parametrize("channels", CHANNELS)
def test_quantize_bool_false_is_negative(channels, run_all):
    x = np.random.default_rng(channels).integers(0, 2, (4, channels)).astype(bool)
    assert (run_all(quantize_model(x.shape, bool), x) == pack(x.astype(int) - 1)).all()


@pytest.mark.parametrize(("rank", "channels"), [*itertools.product(range(1, 6), [5, 64])])
def test_quantize_takes_any_rank(rank, channels, run_all):
    x = np.random.default_rng(rank).standard_normal((2,) * (rank - 1) + (channels,))
    x = x.astype(np.float32)
    assert (run_all(quantize_model(x.shape, np.float32), x) == pack(x)).all()


@pytest.mark.parametrize("channels", CHANNELS)
def test_dequantize_returns_signs(channels, run_all, lce):
    x = np.random.default_rng(channels).standard_normal((2, 5, channels)).astype(np.float32)
    g = Graph()
    value = g.tensor(x.shape)
    model = g.build([value], [g.dequantize(g.quantize(value), channels)])
    result = run_all(model, x)
    assert (result == unpack(pack(x), channels)).all()
    assert result.tobytes() == lce(model, x)[0].tobytes()


@pytest.mark.parametrize(
    ("scale", "zero_point"),
    [(1.0, 0), (0.01, 5), (0.4, -3), (2.0, 0), (2.1, 7), (1e-9, 0), (0.02, 100)],
)
def test_dequantize_int8_is_one_over_scale_around_the_zero_point(scale, zero_point, run_all, lce):
    x = np.random.default_rng(1).standard_normal((3, 40)).astype(np.float32)
    g = Graph()
    value = g.tensor(x.shape)
    out = g.dequantize(g.quantize(value), 40, np.int8, scale=scale, zero_point=zero_point)
    model = g.build([value], [out])
    result = run_all(model, x)
    one = np.floor(np.float32(1) / np.float32(scale) + 0.5)
    expected = np.clip(zero_point + one * np.where(x < 0, -1, 1), -128, 127)
    assert (result == expected).all()
    if scale > 1e-6:  # LCE's conversion of larger numbers to int is undefined
        assert (result == lce(model, x)[0]).all()


def test_dequantize_bool_is_not_negative(run_all):
    x = np.random.default_rng(1).standard_normal((3, 40)).astype(np.float32)
    g = Graph()
    value = g.tensor(x.shape)
    model = g.build([value], [g.dequantize(g.quantize(value), 40, bool)])
    assert (run_all(model, x) == (x >= 0)).all()


POOLS = [
    {"window": w, "stride": s, "same": p, "channels": c}
    for w, s, p, c in itertools.product(
        [(1, 1), (2, 2), (3, 2), (5, 5)], [(1, 1), (2, 2), (1, 3)], [True, False], [32, 70]
    )
]


@pytest.mark.parametrize("case", POOLS, ids=str)
def test_max_pool_agrees_with_numpy_and_lce(case, run_all, lce):
    x = np.random.default_rng(7).standard_normal((2, 7, 8, case["channels"])).astype(np.float32)
    x += 1  # few negatives: windows of all -1 are rare otherwise, but here many hold one
    x[:, 2:6, 3:7] -= 2.5
    geometry = {name: case[name] for name in ("window", "stride", "same")}
    expected = max_pool(np.where(x < 0, -1, 1), lowest=-1, **geometry)
    g = Graph()
    value = g.tensor(x.shape)
    words = -(-case["channels"] // 32)
    pooled = g.tensor([2, *expected.shape[1:3], words], np.int32)
    custom = options(
        filter_height=case["window"][0], filter_width=case["window"][1],
        stride_height=case["stride"][0], stride_width=case["stride"][1],
        padding=0 if case["same"] else 1,
    )  # fmt: skip
    g.operator("LceBMaxPool2d", [g.quantize(value)], [pooled], custom)
    model = g.build([value], [g.dequantize(pooled, case["channels"])])
    result = run_all(model, x)
    assert (result == expected).all()
    assert result.tobytes() == lce(model, x)[0].tobytes()
