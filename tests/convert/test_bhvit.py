"""BHViT's attention, windows, shifts and dilated convolutions through the converter."""

import pytest

import zoo
from convert.conversion import convert_model
from convert.tflite.graph import Graph
from onebit.keras import keras

ATTENTION = {
    "input_shape": (4, 4, 1),
    "classes": 3,
    "depths": (1,),
    "widths": (32,),
    "conv_stages": 0,
    "patch": 1,
    "window": 2,
    "head_width": 16,
}


def converted(name, **options):
    """A network whose weights a training could leave, its conversion and its operators."""
    keras.utils.set_random_seed(3)
    model = zoo.build(name, **options)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(keras.backend.random_normal(layer.moving_mean.shape, 0, 0.3))
            layer.gamma.assign(keras.backend.random_uniform(layer.gamma.shape, 0.5, 1.5))
    conversion = convert_model(model)
    graph = Graph.from_bytes(conversion.tflite)
    operators = [graph.op_name(operator) for operator in graph.operators]
    return model, conversion.report, operators


def quantized(model):
    return [layer.name for layer in model.layers if hasattr(layer, "kernel_quantizer")]


def check(model, report, operators, layers, verdicts=("exact",)):
    """All binary layers became binary ones, and the file answers as Keras does."""
    assert len(quantized(model)) == layers
    binary = {layer.name for layer in report.layers if layer.kind == "binary"}
    assert binary == set(quantized(model))
    assert operators.count("LceBconv2d") == layers
    assert report.verification.verdict in verdicts
    assert set(report.verification.compared_layers) == binary
    real = {layer.name for layer in report.layers if layer.macs and layer.kind != "binary"}
    attentions = {layer.name for layer in model.layers if layer.name.endswith("_attention")}
    assert real == {"stem", "logits"} | attentions


@pytest.mark.slow
def test_a_block_of_attention_converts_with_its_binary_layers_binary():
    model, report, operators = converted("bhvit_micro", **ATTENTION)
    # Queries, keys, values, output and two of the feed-forward part.
    check(model, report, operators, 6)


@pytest.mark.slow
def test_the_small_network_converts_with_its_binary_layers_binary():
    model, report, operators = converted("bhvit_micro")
    # Three dilations in four groups and two layers; downsampling; six of attention.
    check(model, report, operators, 12 + 2 + 1 + 6)


@pytest.mark.slow
def test_bhvit_tiny_converts_with_its_binary_layers_binary():
    model, report, operators = converted("bhvit_tiny")
    # Some of a deep random network's activations lie so near a threshold that rounding turns them.
    check(model, report, operators, 4 * (12 + 2) + 3 + 8 * 6, ("exact", "rounding flips"))
