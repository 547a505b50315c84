"""Between an int8 file's integers and real numbers: x = (q − z)·s."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convert.tflite.graph import INT8, Graph

_LEAST, _MOST = -128, 127


def _step_and_zero(graph: Graph, index: int) -> tuple[float, int] | None:
    tensor = graph.subgraph.tensors[index]
    if tensor.type != INT8:
        return None
    return float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])


def step_of(graph: Graph, index: int) -> float | None:
    """The step s of an activation; None for a tensor that is not int8."""
    found = _step_and_zero(graph, index)
    return None if found is None else found[0]


def limits(graph: Graph, index: int) -> tuple[float, float, float] | None:
    """The least and largest number that an int8 tensor can hold, and its step; else None."""
    found = _step_and_zero(graph, index)
    if found is None:
        return None
    step, zero = found
    return (_LEAST - zero) * step, (_MOST - zero) * step, step


def dequantized(graph: Graph, index: int, values: NDArray[np.generic]) -> NDArray[np.float32]:
    """The real numbers of a tensor's values, whatever its type."""
    found = _step_and_zero(graph, index)
    if found is None:
        return values.astype(np.float32)
    step, zero = found
    return ((values.astype(np.int32) - zero) * step).astype(np.float32)


def quantized(graph: Graph, index: int, values: NDArray[np.float32]) -> NDArray[np.generic]:
    """What a tensor stores of real numbers: themselves, or the nearest integers."""
    found = _step_and_zero(graph, index)
    if found is None:
        return values
    step, zero = found
    return np.clip(np.round(values / step) + zero, _LEAST, _MOST).astype(np.int8)


def to_file(graph: Graph, inputs: Sequence[NDArray[np.float32]]) -> list[NDArray[np.generic]]:
    """Samples in the types that the file takes."""
    indices = map(int, graph.subgraph.inputs)
    return [quantized(graph, index, array) for index, array in zip(indices, inputs, strict=True)]


def from_file(graph: Graph, outputs: Sequence[NDArray[np.generic]]) -> list[NDArray[np.float32]]:
    """The file's outputs as real numbers."""
    indices = map(int, graph.subgraph.outputs)
    return [dequantized(graph, index, array) for index, array in zip(indices, outputs, strict=True)]
