"""Between an int8 file's integers and real numbers: x = (q − z)·s."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.tflite.graph import Graph

_TYPES = {"INT8": np.int8, "UINT8": np.uint8, "INT16": np.int16}


def _quantization(graph: Graph, index: int) -> tuple[float, int, np.iinfo] | None:
    """Scale, zero point and integers of a quantized activation; None for any other tensor."""
    quantization = graph.subgraph.tensors[index].quantization
    type_ = _TYPES.get(graph.type_name(index))
    if type_ is None or quantization is None or not _length(quantization.scale):
        return None
    zero = int(quantization.zeroPoint[0]) if _length(quantization.zeroPoint) else 0
    return float(quantization.scale[0]), zero, np.iinfo(type_)


def _length(values: Any) -> int:
    return 0 if values is None else len(values)


def scale_of(graph: Graph, index: int) -> float | None:
    """The scale s of an activation; None for a tensor that is not quantized."""
    found = _quantization(graph, index)
    return None if found is None else found[0]


def is_quantized(graph: Graph) -> bool:
    """Whether a file computes in quantized integers."""
    computed = (i for op in graph.operators for i in graph.outputs(op))
    return any(scale_of(graph, i) is not None for i in computed)


def representable_range(graph: Graph, index: int) -> tuple[float, float, float] | None:
    """The least and largest number that a quantized tensor can hold, and its scale; else None."""
    found = _quantization(graph, index)
    if found is None:
        return None
    scale, zero, integers = found
    return (integers.min - zero) * scale, (integers.max - zero) * scale, scale


def dequantized(graph: Graph, index: int, values: NDArray[np.generic]) -> NDArray[np.float32]:
    """The real numbers of a tensor's values, whatever its type."""
    found = _quantization(graph, index)
    if found is None:
        return values.astype(np.float32)
    scale, zero, _ = found
    return ((values.astype(np.int32) - zero) * scale).astype(np.float32)


def quantized(graph: Graph, index: int, values: NDArray[Any]) -> NDArray[np.generic]:
    """The numbers as a tensor stores them: themselves, or the nearest integers."""
    found = _quantization(graph, index)
    if found is None:
        return values
    scale, zero, integers = found
    stored = np.clip(np.round(values / scale) + zero, integers.min, integers.max)
    return stored.astype(integers.dtype)


def to_file(graph: Graph, inputs: Sequence[NDArray[Any]]) -> list[NDArray[np.generic]]:
    """Samples in the file's order, in the types that it takes."""
    indices = map(int, graph.subgraph.inputs)
    return [quantized(graph, index, array) for index, array in zip(indices, inputs, strict=True)]


def from_file(graph: Graph, outputs: Sequence[NDArray[np.generic]]) -> list[NDArray[np.float32]]:
    """The file's outputs as real numbers."""
    indices = map(int, graph.subgraph.outputs)
    return [dequantized(graph, index, array) for index, array in zip(indices, outputs, strict=True)]
