"""Tensors that are computed from constants only become constants.

Converters fold most of that themselves, but TensorFlow's no constant of over 2^30 bits, LiteRT's
none behind a batch of unknown size, and others leave the quantizer of a filter as it was trained:

    SIGN(W), SELECT(W ≥ 0, 1, -1), TRANSPOSE(sign(W))   →   a filter of ±1

Exact: NumPy computes the same operations in the same type.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.binariser.elementwise import compute
from convert.tflite.graph import DTYPES, FILTERED, Graph, schema
from convert.tflite.open_sizes import has_open_sizes
from convert.tflite.scales import channels_first, has_binary_rows

_SMALL = 256
"""Results of up to this many numbers are stored even where they are computed from fewer."""


def fold_constants(graph: Graph) -> list[str]:
    """Computes operators of constants; returns the names of the tensors that became constants.

    It does not fire for operators that make a large constant of a small one, such as FILL, nor for
    those that give constants of 16 or 8 bits back their size, but for biases and filters of ±r that
    are stored as float16.
    """
    folded = []
    for op in list(graph.operators):
        operands = _operands(graph, op)
        if operands is None:
            continue
        (output,) = graph.outputs(op)
        try:
            value = _computed(graph, op, operands)
        except (IndexError, TypeError, ValueError):  # operands that the interpreter refuses too
            continue
        dtype = DTYPES.get(graph.subgraph.tensors[output].type)
        if value is None or dtype is None or value.dtype != dtype:
            continue
        if value.size > max(_SMALL, *(operand.size for operand in operands)):
            continue
        _store(graph, output, value)
        graph.replace_op(op, [])
        folded.append(graph.tensor_name(output))
    return folded


def _operands(graph: Graph, op: Any) -> list[NDArray[Any]] | None:
    """The values of an operator's inputs; None unless all are constants."""
    if len(graph.outputs(op)) != 1 or not graph.inputs(op):
        return None
    if graph.op_name(op) == "SHAPE":
        if has_open_sizes(graph, graph.inputs(op)[0]):
            return None
        return [np.array(graph.shape(graph.inputs(op)[0]))]
    values = [graph.constant(i) if i >= 0 else None for i in graph.inputs(op)]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None


def _computed(graph: Graph, op: Any, operands: list[NDArray[Any]]) -> NDArray[Any] | None:
    name, options = graph.op_name(op), op.builtinOptions
    shape = graph.shape(graph.outputs(op)[0])
    if name in ("RESHAPE", "SQUEEZE", "EXPAND_DIMS"):
        return operands[0].reshape(shape)
    if name == "SHAPE":
        return operands[0].astype(DTYPES[options.outType])
    if name == "CONCATENATION":
        return np.concatenate(operands, options.axis)
    if name == "PACK":
        return np.stack(operands, options.axis)
    if name == "DEQUANTIZE":
        return _from_float16(graph, op, operands[0])
    if name == "STRIDED_SLICE":
        return _slice(operands, options)
    function = _SHAPED.get(name)
    if function is not None:
        return function(options, *operands).astype(operands[0].dtype)
    return compute(graph, op, operands)


def _from_float16(graph: Graph, op: Any, value: NDArray[Any]) -> NDArray[np.float32] | None:
    """A bias or a binary filter that is stored as float16; None for anything else."""
    if value.dtype != np.float16:
        return None
    wide = value.astype(np.float32)
    readers = graph.consumers(graph.outputs(op)[0])
    filtered = all(graph.op_name(reader) in FILTERED for reader in readers)
    binary = filtered and all(
        has_binary_rows(channels_first(graph.op_name(reader), wide)) for reader in readers
    )
    return wide if value.ndim == 1 or binary else None


_SHAPED: dict[str, Callable[..., NDArray[Any]]] = {
    "BROADCAST_TO": lambda options, x, shape: np.broadcast_to(x, shape),
    "MEAN": lambda options, x, axes: x.mean(tuple(axes.reshape(-1)), keepdims=options.keepDims),
    "REDUCE_PROD": lambda options, x, axes: x.prod(
        tuple(axes.reshape(-1)), keepdims=options.keepDims
    ),
    "SUM": lambda options, x, axes: x.sum(tuple(axes.reshape(-1)), keepdims=options.keepDims),
    "TRANSPOSE": lambda options, x, axes: np.ascontiguousarray(x.transpose(axes)),
}


def _slice(operands: list[NDArray[Any]], options: Any) -> NDArray[Any] | None:
    """A STRIDED_SLICE of a list of numbers, as shapes are cut; None of anything larger."""
    x, begin, end, stride = operands
    if x.ndim != 1 or options.ellipsisMask or options.newAxisMask:
        return None
    start = None if options.beginMask else int(begin[0])
    if options.shrinkAxisMask:
        return x[int(begin[0])].reshape([])
    return x[start : None if options.endMask else int(end[0]) : int(stride[0])]


def _store(graph: Graph, index: int, value: NDArray[Any]) -> None:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
    graph.model.buffers.append(buffer)
    tensor = graph.subgraph.tensors[index]
    tensor.buffer = len(graph.model.buffers) - 1
    tensor.shape = np.array(value.shape, np.int32)
