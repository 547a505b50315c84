"""Poolings of floats next to binary layers: alone, merged with their neighbours, and in place."""

import gc
import json

import numpy as np
import pytest

from tests.support.lce_blocks import Builder
from tests.support.lce_graphs import Graph, elementwise
from tests.support.lce_oracle import max_pool

from .test_small_ops import POOLS


@pytest.mark.parametrize("case", POOLS, ids=str)
def test_max_pool_of_floats_agrees_with_numpy_and_lce(case, run_all, lce):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((2, 7, 8, case["channels"])).astype(np.float32)
    x[:, 2:6, 3:7] -= 9
    geometry = {name: case[name] for name in ("window", "stride", "same")}
    g = Graph()
    value = g.tensor(x.shape)
    pooled = g.max_pool(value, **geometry)
    model = g.build([value], [pooled, g.dequantize(g.quantize(pooled), case["channels"])])
    expected = max_pool(x, lowest=-np.inf, **geometry)
    result = run_all(model, x)
    assert np.array_equal(result, expected)
    assert np.array_equal(result, lce(model, x)[0])


def test_max_pool_of_floats_takes_nan_for_the_least(run_all):
    x = np.full((1, 2, 4, 40), np.nan, np.float32)
    x[0, 0, 0] = -3
    g = Graph()
    value = g.tensor(x.shape)
    pooled = g.max_pool(value, (2, 2), (2, 2))
    model = g.build([value], [pooled, g.dequantize(g.quantize(pooled), 40)])
    assert run_all(model, x)[0, 0, :, 7].tolist() == [-3, -np.inf]


@pytest.mark.parametrize("steps", [(), ("MUL",), ("ADD",), ("MUL", "ADD")])
@pytest.mark.parametrize("channels", [1, 15, 32, 33, 70])
def test_a_pooling_normalises_and_packs(run, lce, isas, tmp_path, steps, channels):
    """Operators before and after it become part of it; its floats are read, and their signs."""
    rng = np.random.default_rng(channels)
    g = Graph()
    x = g.tensor([2, 7, 9, channels])
    builder = Builder(channels)
    builder.g, builder.shape = g, [2, 7, 9, channels]
    value = g.concatenate([x, builder.conv(g.quantize(x), channels, 9)])
    wide = channels + 9
    for kind in steps:
        constant = rng.choice([-1.5, -1.0, 0.5, 2.0], wide).astype(np.float32)
        value = elementwise(g, kind, value, constant)
    pooled = g.max_pool(value, (3, 2), (2, 2), activation=1 if channels == 32 else 0)
    bits = g.quantize(pooled)
    model = g.build([x], [pooled, g.dequantize(bits, wide)])
    values = rng.standard_normal((2, 7, 9, channels)).astype(np.float32)
    expected = lce(model, values)
    for isa in isas:
        path = tmp_path / f"{isa}.json"
        for ours, theirs in zip(run(model, values, isa=isa, profile=path), expected, strict=True):
            assert np.array_equal(ours, theirs), isa
        gc.collect()
        profile = json.loads(path.read_text())
        assert profile["not_delegated"] == []
        merged = {node["op"]: node["merged"] for node in profile["delegated"]}
        assert merged["MAX_POOL_2D"] == [*steps, "LceQuantize"]


def test_a_poolings_result_is_overwritten_by_its_residual_block(run, lce, tmp_path):
    """As in a ResNet: the stem's pooling, then a block that adds to it."""
    builder = Builder(5)
    g, channels = builder.g, builder.channels
    x = g.tensor([1, 16, 16, channels])
    pooled = g.max_pool(x, (3, 3), (2, 2))
    builder.shape = [1, 8, 8, channels]
    value = g.add(builder.conv(g.quantize(pooled), channels, channels), pooled)
    value = g.max_pool(value, (2, 2), (2, 2))
    model = g.build([x], [g.dequantize(g.quantize(value), channels)])
    values = np.random.default_rng(6).standard_normal((1, 16, 16, channels)).astype(np.float32)
    profile = tmp_path / "p.json"
    assert np.array_equal(run(model, values, profile=profile)[0], lce(model, values)[0])
    gc.collect()
    memory = json.loads(profile.read_text())["memory"]["arena_bytes"]
    # One float image of 8 x 8, the pooled one, and bits and a frame.
    assert memory < 4 * channels * (64 + 16) + 2**14


def test_a_pooling_among_floats_is_left_to_the_interpreter(run, lce, tmp_path):
    g = Graph()
    x = g.tensor([1, 8, 8, 32])
    positive = g.relu(g.max_pool(x, (2, 2), (2, 2)))
    model = g.build([x], [g.dequantize(g.quantize(positive), 32)])
    values = np.random.default_rng(6).standard_normal((1, 8, 8, 32)).astype(np.float32)
    assert np.array_equal(run(model, values, profile=tmp_path / "p.json")[0], lce(model, values)[0])
    gc.collect()
    profile = json.loads((tmp_path / "p.json").read_text())
    assert [node["op"] for node in profile["not_delegated"]] == ["MAX_POOL_2D", "RELU"]
