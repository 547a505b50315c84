"""Errors are planted in int8 files: each must be found, and where it is."""

import numpy as np
import pytest

from convert.conversion import convert_model, verify_file
from convert.int8.settings import Int8
from convert.samples import Samples
from convert.tflite.graph import Graph
from convert.verification.int8 import verify_int8
from onebit.keras import keras, lq
from tests.convert.int8_models import SHAPE, converted, float_net, mixed_net, reference
from tests.convert.models import BOTH, images, randomise


def layer_op(graph, name):
    return next(op for op in graph.operators if graph.tensor_name(graph.outputs(op)[0]) == name)


def set_constant(graph, index, value):
    tensor = graph.subgraph.tensors[index]
    graph.model.buffers[tensor.buffer].data = np.frombuffer(value.tobytes(), np.uint8)


def verdict(build, graph):
    return verify_int8(build(), reference(build), graph, Samples([images(16, SHAPE, 9)]))


@pytest.mark.parametrize("factor", [0.25, 0.4, 2.5, 4])
@pytest.mark.parametrize(
    ("build", "name"),
    [(float_net, "stem"), (float_net, "pointwise"), (mixed_net, "stem")],
)
def test_wrong_range_is_found_and_named(build, name, factor):
    graph = Graph.from_bytes(converted(build).tflite)
    tensor = graph.subgraph.tensors[graph.outputs(layer_op(graph, name))[0]]
    tensor.quantization.scale = tensor.quantization.scale * np.float32(factor)
    # A pooling reads and writes one range.
    for op in graph.operators:
        if graph.op_name(op) == "MAX_POOL_2D":
            source, target = (
                graph.subgraph.tensors[i[0]] for i in (graph.inputs(op), graph.outputs(op))
            )
            target.quantization.scale = source.quantization.scale
    result = verdict(build, graph)
    assert result.verdict == "mismatch"
    assert result.quantization.faults[0].startswith(f"{name}: its range is too ")


def test_swapped_channels_are_found():
    graph = Graph.from_bytes(converted(float_net).tflite)
    index = graph.inputs(layer_op(graph, "pointwise"))[1]
    weights = graph.constant(index).copy()
    weights[[0, 1]] = weights[[1, 0]]
    set_constant(graph, index, weights)
    assert verdict(float_net, graph).quantization.faults[0] == (
        "pointwise: its weights are not the model's"
    )


def test_shifted_bias_is_found():
    graph = Graph.from_bytes(converted(float_net).tflite)
    index = graph.inputs(layer_op(graph, "depthwise"))[2]
    bias = graph.constant(index)
    set_constant(graph, index, bias + 40 * np.abs(bias).max())
    result = verdict(float_net, graph)
    assert result.verdict == "mismatch"
    assert result.quantization.faults[0].startswith("depthwise: ")


@pytest.mark.parametrize("operand", [1, 2, 3])
def test_changed_binary_layer_is_found(operand):
    graph = Graph.from_bytes(converted(mixed_net).tflite)
    index = graph.inputs(layer_op(graph, "binary_2"))[operand]
    value = graph.constant(index).copy()
    value[0] = ~value[0] if operand == 1 else value[0] + 1
    set_constant(graph, index, value)
    assert verdict(mixed_net, graph).quantization.faults[0] == (
        "binary_2: its weights are not the model's"
    )


def test_file_of_another_model_is_a_mismatch():
    result = verify_file(float_net(), converted(mixed_net).tflite, Samples([images(4, SHAPE)]))
    assert result.verdict == "mismatch"


def test_float_file_is_verified_as_before():
    model = float_net()
    result = verify_file(model, convert_model(model).tflite, Samples([images(4, SHAPE)]))
    assert (result.verdict, result.quantization) == ("exact", None)


def pool_before_relu():
    """conv → MaxPool → ReLU: the pooling's range holds numbers below zero, its output none."""
    x = image = keras.Input(SHAPE, name="image")
    x = keras.layers.ReLU()(keras.layers.MaxPooling2D()(keras.layers.Conv2D(8, 3, name="conv")(x)))
    x = keras.layers.Dense(5, name="dense")(keras.layers.Flatten()(x))
    return randomise(keras.Model(image, x, name="pool_before_relu"), 7)


def test_shared_range_is_not_too_wide():
    assert converted(pool_before_relu, ranges="minmax").report.verification.verdict == "quantised"


@pytest.mark.parametrize("second", [(8, 8, 8), (12, 12, 8)], ids=str)
def test_uses_of_a_binary_layer_are_compared_each_with_its_own(second):
    shared = lq.layers.QuantConv2D(8, 3, name="shared", **BOTH)
    shapes = (12, 12, 8), second
    ends = [keras.Input(shape, name=name) for shape, name in zip(shapes, "lr", strict=True)]
    outputs = [keras.layers.Conv2D(8, 1)(shared(end)) for end in ends]
    int8 = Int8([images(32, shape, 7) for shape in shapes], scope="all")
    samples = Samples([images(8, shape, seed) for seed, shape in enumerate(shapes)])
    conversion = convert_model(randomise(keras.Model(ends, outputs)), int8=int8, samples=samples)
    quantization = conversion.report.verification.quantization
    assert quantization.flipped_bits == {"shared": 0}


def test_difference_of_each_output_is_in_its_own_scale():
    image = keras.Input(SHAPE, name="image")
    x = keras.layers.Flatten()(image)
    model = randomise(keras.Model(image, [keras.layers.Dense(5, name=n)(x) for n in "ab"]))
    kernel, bias = model.get_layer("b").get_weights()
    model.get_layer("b").set_weights([1000 * kernel, 1000 * bias])
    int8 = Int8([images(64, SHAPE, 7)])
    report = convert_model(model, int8=int8, samples=Samples([images(32, SHAPE, 8)])).report
    assert report.verification.max_abs_difference > 100
    # Rounding of the image, the weights and the output.
    assert report.verification.quantization.difference_in_scales < 10
