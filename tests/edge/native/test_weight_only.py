"""Layers of floats with packed ±1 weights, as `pack_binary_weights` writes them."""

import gc
import json

import numpy as np
import pytest

from onebit.bits import pack
from tests.support.lce_graphs import ABSENT, Graph, dense_options, schema
from tests.support.weight_only_layer import EPSILON, Layer

SIZES = [1, 7, 31, 32, 33, 64, 65, 130]
CASES = [
    *(Layer("dense", c, o) for c in [*SIZES, 1024, 1100] for o in [1, 10, 64, 70]),
    Layer("dense", 784, 1100, relu=True),
    *(Layer("dense", 100, 20, post=post, relu=True) for post in ["", "mul", "add", "add,mul"]),
    Layer("dense", 100, 20, batch=5),
    *(Layer("conv", c, o) for c in SIZES for o in [1, 8, 33, 64]),
    *(
        Layer("conv", 40, 20, stride=s, dilation=d, same=p, kernel=k, batch=2)
        for s in [(1, 1), (2, 1)]
        for d in [(1, 1), (1, 2)]
        for p in [True, False]
        for k in [(1, 1), (3, 2)]
    ),
    Layer("conv", 1100, 70, size=(2, 2), relu=True),
    *(Layer("depthwise", c, c, stride=s) for c in [1, 8, 33, 64] for s in [(1, 1), (2, 2)]),
    Layer("depthwise", 8, 24, relu=True, same=False),
]


def name(layer):
    return f"{layer.kind}-{layer.channels}-{layer.outputs}-{'_'.join(layer.post)}"


@pytest.mark.parametrize("layer", CASES, ids=name)
def test_weight_only_layer_agrees_with_numpy_and_lce(layer, run, lce, isas):
    model, expected, tolerance = layer.model(), layer.expected(), layer.tolerance()
    for isa in isas:
        result = run(model, layer.x, isa=isa)[0]
        assert result.shape == expected.shape
        assert (np.abs(result - expected) <= tolerance).all(), isa
    threads = run(model, layer.x, num_threads=2)[0]
    assert (np.abs(threads - expected) <= tolerance).all()
    assert (np.abs(lce(model, layer.x)[0] - expected) <= tolerance).all()


def test_weight_only_layers_are_delegated_whole(run, tmp_path):
    import json

    layer = Layer("dense", 300, 40, relu=True)
    run(layer.model(), layer.x, profile=tmp_path / "p.json")
    import gc

    gc.collect()
    profile = json.loads((tmp_path / "p.json").read_text())
    assert [n["op"] for n in profile["delegated"]] == ["FULLY_CONNECTED"]
    assert profile["not_delegated"] == []


def test_weights_with_another_reader_are_still_unpacked(run):
    """The same LceDequantize feeds a layer and is an output of the graph."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((1, 40)).astype(np.float32)
    weights = rng.choice([-1, 1], (8, 40))
    graph = Graph()
    value = graph.tensor(x.shape)
    floats = graph.dequantize(graph.constant(pack(weights)), 40)
    out = graph.tensor((1, 8))
    graph.operator(
        schema.BuiltinOperator.FULLY_CONNECTED,
        [value, floats, ABSENT],
        [out],
        builtin=dense_options(),
    )
    results = run(graph.build([value], [out, floats]), x)
    assert (results[1] == weights).all()
    np.testing.assert_allclose(results[0], x @ weights.T, atol=44 * EPSILON * np.abs(x).sum())


def converted(layers, shape):
    """A Keras model through Onebit's converter."""
    import convert
    from onebit.keras import keras

    keras.utils.set_random_seed(4)
    inputs = x = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    model = keras.Model(inputs, x)
    for weights in model.weights:
        if "moving" not in weights.name:
            weights.assign_add(0.1 * np.random.default_rng(0).standard_normal(weights.shape))
    return convert.convert_model(model).tflite


@pytest.mark.parametrize("kind", ["conv", "depthwise", "dense"])
def test_converted_layer_is_computed_from_its_bits(kind, run, lce, isas, tmp_path):
    """Layers of `pack_binary_weights`, RESHAPE of a flat filter included, are recognised whole."""
    from onebit.keras import keras, lq

    binary = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}
    normal = keras.layers.BatchNormalization
    layers, shape = {
        "conv": (
            [lq.layers.QuantConv2D(64, 3, padding="same", **binary), normal(), keras.layers.ReLU(),
             lq.layers.QuantConv2D(48, 3, strides=2, **binary), normal()],
            (12, 13, 3),
        ),
        "depthwise": (
            [lq.layers.QuantDepthwiseConv2D(
                5, padding="same", depthwise_quantizer="ste_sign",
                depthwise_constraint="weight_clip"), normal()],
            (20, 20, 200),
        ),
        "dense": (
            [lq.layers.QuantDense(300, **binary), normal(), keras.layers.ReLU(),
             lq.layers.QuantDense(90, **binary), normal()],
            (200,),
        ),
    }[kind]  # fmt: skip
    file = converted(layers, shape)
    x = np.random.default_rng(1).standard_normal((1, *shape)).astype(np.float32)
    theirs = lce(file, x)[0]
    for isa in isas:
        ours = run(file, x, isa=isa, profile=tmp_path / "p.json")[0]
        # Sums of up to 9 * 64 products of order 1, in any order, twice.
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
        gc.collect()
        profile = json.loads((tmp_path / "p.json").read_text())
        names = {n["op"] for n in profile["delegated"]}
        assert names <= {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}, profile
        assert profile["delegated"], profile
        assert not {n["op"] for n in profile["not_delegated"]} & {"RESHAPE", *names}, profile
