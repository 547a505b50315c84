"""±1 weights as TensorFlow Lite Micro stores them: one bit each, unpacked by its DECODE operator.

TFLM's `TFLM_DECODE` takes an encoded tensor and an ancillary one: 16 bytes that describe the code,
here a table of two values per channel, and then the table. Its bits lie most significant first.
What it unpacks lives until the next operator only, so that it stands right before its reader.
"""

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.tflite.graph import DTYPES, Graph
from onebit import bits

DECODE = "TFLM_DECODE"

_TABLE, _VERSION, _TABLE_VERSION, _STRIDE = 0, 1, 1, 2
_BITS_PER_INDEX = 1


def use_decode(graph: Graph) -> int:
    """Has TFLM unpack the constants that LceDequantize unpacks; returns how many.

    Raises:
        ConversionError: A tensor's scales lie along a dimension that TFLM has no tables for.
    """
    changed = 0
    for op in list(graph.operators):
        if graph.op_name(op) == "LceDequantize" and graph.is_constant(graph.inputs(op)[0]):
            _replace(graph, op)
            changed += 1
    _join_before_readers(graph)
    return changed


def _replace(graph: Graph, op: Any) -> None:
    """Puts a DECODE in the place of an operator, and of the change of shape behind it."""
    (source,), (unpacked,) = graph.inputs(op), graph.outputs(op)
    words = graph.constant(source)
    if words is None:
        raise ConversionError(f"{graph.tensor_name(unpacked)}: its weights are not in the file")
    negative = bits.unpack(words, graph.shape(unpacked)[-1]) < 0
    target = unpacked
    readers = graph.consumers(unpacked)
    if len(readers) == 1 and graph.op_name(readers[0]) == "RESHAPE":
        # TFLM copies where it reshapes.
        (target,) = graph.outputs(readers[0])
        graph.replace_op(readers[0], [])
    encoded = graph.add_bytes(
        f"{graph.tensor_name(source)}/encoded", np.packbits(negative.reshape(-1))
    )
    table = graph.add_bytes(f"{graph.tensor_name(source)}/table", _ancillary(graph, target))
    graph.replace_op(op, [graph.make_op(DECODE, [encoded, table], [target])])


def _ancillary(graph: Graph, target: int) -> NDArray[np.uint8]:
    tensor = graph.subgraph.tensors[target]
    dtype, quantization = DTYPES[tensor.type], tensor.quantization
    one, zero = np.ones(1), np.zeros(1)
    if dtype == np.int8 and quantization is not None and quantization.scale is not None:
        axis, last = int(quantization.quantizedDimension), len(graph.shape(target)) - 1
        scales = np.asarray(quantization.scale, np.float32)
        if len(scales) > 1 and axis not in (0, last):
            raise ConversionError(
                f"{graph.tensor_name(target)}: TensorFlow Lite Micro unpacks no weights whose "
                f"scales lie along dimension {axis}"
            )
        # As LceDequantize rounds: ±1 in steps of the scale.
        one = np.floor(np.float32(1) / scales + np.float32(0.5))
        zero = np.asarray(quantization.zeroPoint, np.float64)
    values = np.stack(np.broadcast_arrays(zero + one, zero - one), 1)
    if dtype == np.bool_:
        values = np.array([[1, 0]])
    elif dtype == np.int8:
        values = np.clip(values, -128, 127)
    header = np.zeros(16, np.uint8)
    header[[0, 1, 4, 5, 6]] = (_TABLE, _VERSION, _TABLE_VERSION, _BITS_PER_INDEX, _STRIDE)
    return np.concatenate([header, values.astype(dtype).reshape(-1).view(np.uint8)])


def _join_before_readers(graph: Graph) -> None:
    """Moves each DECODE right before its reader, one for all that the reader has unpacked."""
    decodes = {graph.outputs(op)[0]: op for op in graph.operators if graph.op_name(op) == DECODE}
    kept = [op for op in graph.operators if graph.op_name(op) != DECODE]
    ordered: list[Any] = []
    for op in kept:
        unpacked = [i for i in dict.fromkeys(graph.inputs(op)) if i in decodes]
        if unpacked:
            inputs = [i for target in unpacked for i in graph.inputs(decodes[target])]
            own = {target: _own_output(graph, op, target, kept) for target in unpacked}
            ordered.append(graph.make_op(DECODE, inputs, list(own.values())))
            graph.set_inputs(op, [own.get(i, i) for i in graph.inputs(op)])
        ordered.append(op)
    graph.set_operators(ordered)


def _own_output(graph: Graph, reader: Any, target: int, operators: list[Any]) -> int:
    """The tensor that a reader reads: the first has the tensor itself, others copies of it."""
    first = next(op for op in operators if target in graph.inputs(op))
    if first is reader:
        return target
    tensor = copy.copy(graph.subgraph.tensors[target])
    tensor.name = f"{graph.tensor_name(target)}/again".encode()
    graph.subgraph.tensors.append(tensor)
    return len(graph.subgraph.tensors) - 1
