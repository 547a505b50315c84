"""±1 weights that are multiplied with int8 inputs → one bit per weight.

Quantized per output channel, a filter r[o]·±1 is ±127 times the scale r[o]/127. Only its bits are
stored, as in `convert/passes/pack_binary_weights.py`:

    int8 filter [O, …]   →   bits → LceDequantize → ±127 [O, K] → RESHAPE → filter [O, …]

LceDequantize writes tensors with one step only. A RESHAPE moves the bytes as they are, so that its
output may have a step per channel, which is where the layer looks for them. Exact: the layer reads
the same bytes.
"""

from typing import Any

import numpy as np

from convert.passes.pack_binary_weights import packed_shape
from convert.tflite.graph import FILTERED, INT8, Graph, schema
from onebit import bits

_GRAPH_BYTES = 640
"""Bytes of the operators and tensors of a packed filter in the file: 560 to 620 were measured."""


def pack_int8_weights(graph: Graph) -> list[str]:
    """Packs every int8 filter of ±127; returns the layers' output tensors.

    It does not fire for filters with other weights, nor where the packed form is not smaller.
    """
    changed = []
    for op in list(graph.operators):
        if graph.op_name(op) not in FILTERED:
            continue
        index = graph.inputs(op)[1]
        weights = graph.constant(index)
        if weights is None or graph.subgraph.tensors[index].type != INT8:
            continue
        if not (np.abs(weights.astype(np.int32)) == 127).all():
            continue
        words = bits.pack(weights.reshape(packed_shape(weights.shape)))
        if words.nbytes + _GRAPH_BYTES > weights.nbytes:
            continue
        unpacked, steps = _unpacking(graph, index, words, list(weights.shape))
        graph.set_inputs(op, [unpacked if i == index else i for i in graph.inputs(op)])
        graph.replace_op(op, [*steps, op])
        changed.append(graph.tensor_name(graph.outputs(op)[0]))
    return changed


def _unpacking(graph: Graph, index: int, words: Any, shape: list[int]) -> tuple[int, list[Any]]:
    """The filter's new tensor, and the operators that unpack it."""
    name = graph.tensor_name(index)
    quantization = schema.QuantizationParametersT()
    quantization.scale = np.array([1 / 127], np.float32)
    quantization.zeroPoint = np.array([0], np.int64)
    stored = graph.add_constant(f"{name}/bits", words)
    signs = graph.add_int8(f"{name}/signs", packed_shape(tuple(shape)), quantization)
    target = graph.add_constant(f"{name}/shape", np.array(shape, "<i4"))
    per_channel = graph.subgraph.tensors[index].quantization
    unpacked = graph.add_int8(f"{name}/filter", shape, per_channel)
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(shape, np.int32)
    return unpacked, [
        graph.make_op("LceDequantize", [stored], [signs]),
        graph.make_op("RESHAPE", [signs, target], [unpacked], options),
    ]
