"""The passes apart from `pack_binary_weights`: the graph before and after, and equal outputs."""

import numpy as np
import pytest

from convert.binariser.passes.binarise_layers import binarise_layers
from convert.binariser.passes.cancel_quantize_pairs import cancel_quantize_pairs
from convert.passes import PASSES, run_passes
from convert.passes.drop_unused import drop_unused
from convert.passes.merge_equal_constants import merge_equal_constants
from convert.runtimes.lce import convert_with_lce
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.tflite.graph import Graph
from onebit.keras import keras, lq
from tests.convert.models import BINARY, images, mlp, randomise


def op_names(graph):
    return [graph.op_name(op) for op in graph.operators]


def flattened_signs(channels, pooled=False, binary_conv=False):
    """(binary conv →) sign → (pool) → Flatten → QuantDense, as LCE takes it after the rewrites."""
    x = image = keras.Input((4, 4, channels))
    if binary_conv:
        x = lq.layers.QuantConv2D(
            channels, 3, padding="same", pad_values=1.0, input_quantizer="ste_sign", **BINARY
        )(x)
        x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Activation(lq.quantizers.SteSign())(x)
    if pooled:
        x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Flatten()(x)
    x = lq.layers.QuantDense(12, name="dense", **BINARY)(x)
    return randomise(keras.Model(image, x))


@pytest.mark.parametrize(
    ("options", "before", "after"),
    [
        (
            {"channels": 64},
            ["LceQuantize", "LceDequantize", "RESHAPE", "RESHAPE", "LceQuantize", "LceBconv2d",
             "RESHAPE"],
            ["LceQuantize", "RESHAPE", "LceBconv2d", "RESHAPE"],
        ),
        (
            {"channels": 20},
            ["LceQuantize", "LceDequantize", "RESHAPE", "RESHAPE", "LceQuantize", "LceBconv2d",
             "RESHAPE"],
            ["RESHAPE", "LceQuantize", "LceBconv2d", "RESHAPE"],
        ),
        (
            {"channels": 32, "binary_conv": True},
            ["LceQuantize", "LceBconv2d", "LceDequantize", "RESHAPE", "RESHAPE", "LceQuantize",
             "LceBconv2d", "RESHAPE"],
            ["LceQuantize", "LceBconv2d", "RESHAPE", "LceBconv2d", "RESHAPE"],
        ),
    ],
    ids=["whole words", "split words", "packed output"],
)  # fmt: skip
def test_pairs_around_a_reshape_are_cancelled(options, before, after):
    graph = Graph.from_bytes(convert_with_lce(flattened_signs(**options)))
    binarise_layers(graph)
    content = graph.to_bytes()
    assert op_names(graph) == before
    assert len(cancel_quantize_pairs(graph)) == 1
    assert op_names(graph) == after
    inputs = images(20, (4, 4, options["channels"]))
    (expected,) = LceInterpreter(content).run([inputs])
    (outputs,) = LceInterpreter(graph.to_bytes()).run([inputs])
    np.testing.assert_array_equal(outputs, expected)


def test_bare_pair_is_removed():
    graph = Graph.from_bytes(convert_with_lce(flattened_signs(64)))
    # LCE itself leaves no bare pair; one is put behind the first sign.
    (sign,) = [op for op in graph.operators if graph.op_name(op) == "LceQuantize"]
    (words,) = graph.outputs(sign)
    floats = graph.add_tensor("floats", [1, 4, 4, 64])
    again = graph.add_words("again", graph.shape(words))
    graph.redirect(words, again)
    pair = [
        graph.make_op("LceDequantize", [words], [floats]),
        graph.make_op("LceQuantize", [floats], [again]),
    ]
    graph.replace_op(sign, [sign, *pair])
    inputs = images(5, (4, 4, 64))
    expected = LceInterpreter(graph.to_bytes()).run([inputs])[0]
    assert cancel_quantize_pairs(graph) == ["again"]
    assert op_names(graph).count("LceQuantize") == 1
    np.testing.assert_array_equal(LceInterpreter(graph.to_bytes()).run([inputs])[0], expected)


def test_split_words_of_a_packed_output_stay():
    graph = Graph.from_bytes(convert_with_lce(flattened_signs(20, binary_conv=True)))
    before = op_names(graph)
    assert cancel_quantize_pairs(graph) == []
    assert op_names(graph) == before


def test_signs_that_others_read_too_stay_unpacked_for_them():
    image = keras.Input((4, 4, 64))
    signs = keras.layers.Activation(lq.quantizers.SteSign())(image)
    flat = keras.layers.Flatten()(signs)
    x = lq.layers.QuantDense(12, name="dense", **BINARY)(flat)
    model = randomise(keras.Model(image, [x, flat]))
    graph = Graph.from_bytes(convert_with_lce(model))
    binarise_layers(graph)
    content = graph.to_bytes()
    assert len(cancel_quantize_pairs(graph)) == 1
    assert "LceDequantize" in op_names(graph)
    inputs = images(5, (4, 4, 64))
    for expected, outputs in zip(
        LceInterpreter(content).run([inputs]),
        LceInterpreter(graph.to_bytes()).run([inputs]),
        strict=True,
    ):
        np.testing.assert_array_equal(outputs, expected)


def duplicated(graph):
    """Gives every constant a copy of its own for each operator that reads it but the first."""
    copies = 0
    for op in graph.operators:
        inputs = graph.inputs(op)
        for position, index in enumerate(inputs):
            value = graph.constant(index) if index >= 0 else None
            if value is not None and graph.consumers(index)[0] is not op:
                inputs[position] = graph.add_constant(f"copy_{copies}", value)
                copies += 1
        graph.set_inputs(op, inputs)
    return copies


def shared_layer():
    layer = lq.layers.QuantDense(64, input_quantizer="ste_sign", name="shared", **BINARY)
    image = keras.Input((64,))
    return randomise(keras.Model(image, layer(layer(image))))


def test_equal_constants_are_stored_once():
    content = convert_with_lce(shared_layer())
    graph = Graph.from_bytes(content)
    assert duplicated(graph) > 0
    longer = graph.to_bytes()
    graph = Graph.from_bytes(longer)
    assert merge_equal_constants(graph)
    drop_unused(graph)
    merged = graph.to_bytes()
    assert len(merged) < len(longer) - 64 * 64 // 8
    constants = [bytes(b.data) for b in graph.model.buffers if b.data is not None and len(b.data)]
    assert len(constants) == len(set(constants))
    inputs = images(5, (64,))
    (expected,) = LceInterpreter(longer).run([inputs])
    np.testing.assert_array_equal(LceInterpreter(merged).run([inputs])[0], expected)


def test_variables_keep_buffers_of_their_own():
    graph = Graph.from_bytes(convert_with_lce(shared_layer()))
    value = np.arange(4, dtype="<f4")
    first, second = graph.add_constant("first", value), graph.add_constant("second", value)
    graph.subgraph.tensors[second].isVariable = True
    merge_equal_constants(graph)
    tensors = graph.subgraph.tensors
    assert tensors[first].buffer != tensors[second].buffer


def test_unused_tensors_buffers_and_codes_are_dropped():
    content = convert_with_lce(mlp())
    graph = Graph.from_bytes(content)
    graph.add_constant("left over", np.zeros(1000, "<f4"))
    graph.make_op("LceBMaxPool2d", [], [])
    longer = graph.to_bytes()
    assert drop_unused(graph) == ["left over"]
    assert b"LceBMaxPool2d" not in graph.to_bytes()
    assert len(graph.to_bytes()) <= len(longer) - 4000
    (expected,) = LceInterpreter(content).run([images(3)])
    np.testing.assert_array_equal(LceInterpreter(graph.to_bytes()).run([images(3)])[0], expected)


def test_all_passes_twice_change_no_more_than_once():
    graph = Graph.from_bytes(convert_with_lce(flattened_signs(64)))
    run_passes(graph)
    assert run_passes(graph) == {}


def test_index_of_a_graph_follows_every_change():
    """Producers and consumers are those that a search through all operators finds."""
    graph = Graph.from_bytes(convert_with_lce(shared_layer()))
    for step in PASSES:
        for index in range(len(graph.subgraph.tensors)):
            readers = [op for op in graph.operators if index in graph.inputs(op)]
            writers = [op for op in graph.operators if index in graph.outputs(op)]
            assert graph.consumers(index) == readers
            assert graph.producer(index) == (writers[0] if writers else None)
        step(graph)
