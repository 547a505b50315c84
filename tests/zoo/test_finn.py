"""FINN's networks keep to what an FPGA has: bits between layers, no padding of bits, one scale."""

import itertools

import numpy as np
import pytest

import zoo
from onebit.keras import keras, lq

MLPS = ("tfc_w1a1", "sfc_w1a1", "lfc_w1a1")


def _quantized(model):
    return [layer for layer in model.layers if hasattr(layer, "kernel_quantizer")]


@pytest.mark.parametrize(("name", "units"), list(zip(MLPS, (64, 256, 1024), strict=True)))
def test_an_mlp_has_the_published_widths_and_binary_inputs_everywhere(name, units):
    model = zoo.build(name)
    layers = _quantized(model)
    assert [layer.units for layer in layers] == [units] * 3 + [10]
    assert all(layer.input_quantizer is not None for layer in layers)


def test_cnv_has_the_published_shapes():
    model = zoo.build("cnv_w1a1")
    shapes = [layer.kernel.shape.as_list() for layer in _quantized(model)]
    widths = [3, 64, 64, 128, 128, 256, 256]
    expected = [[3, 3, *pair] for pair in itertools.pairwise(widths)]
    assert shapes == [*expected, [256, 512], [512, 512], [512, 10]]
    sizes = [layer.output_shape[1] for layer in model.layers if len(layer.output_shape) == 4]
    assert min(sizes) == 1
    convolutions = [layer for layer in model.layers if isinstance(layer, lq.layers.QuantConv2D)]
    assert {layer.padding for layer in convolutions} == {"valid"}


@pytest.mark.parametrize("name", [*MLPS, "cnv_w1a1"])
def test_logits_have_one_scale_and_one_offset(name):
    options = {"width": 4} if name == "cnv_w1a1" else {"units": 16}
    model = zoo.build(name, **options)
    norm = model.get_layer("logits_norm")
    assert norm.gamma.shape == (1,)
    sums = keras.Model(model.input, model.get_layer("logits").output)
    images = np.random.default_rng(3).uniform(-1, 1, (5, *model.input_shape[1:])).astype("float32")
    order = np.argsort(sums(images).numpy(), axis=1, kind="stable")
    logits = np.take_along_axis(model(images).numpy(), order, axis=1)
    assert (np.diff(logits, axis=1) >= 0).all()


def test_a_small_image_gets_a_border_of_zeros():
    model = zoo.build("cnv_w1a1", width=4, input_shape=(28, 28, 1))
    assert model.get_layer("border").padding == ((2, 2), (2, 2))
    assert "border" not in {layer.name for layer in zoo.build("cnv_w1a1", width=4).layers}
