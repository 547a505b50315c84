"""The layers of a float file and of the int8 file that was made of it, in pairs.

Names are of no use here: TensorFlow Lite's quantizer moves reshapes and gives their names away.
Layers are recognised by their weights, each within half a scale of the float one.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.tflite.filters import stored_filter
from convert.tflite.graph import FILTERED, INT8, Graph
from onebit import bits

_SLACK = 1e-3
"""In scales, the most that float32 rounding of scale and quotient adds to half a scale."""

SIGN_LEVEL = 127
"""The size of ±1 weights in int8."""


def int8_filter(graph: Graph, op: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """A layer's weights as real numbers and their scales, both `[O, …]`; None if it is not int8."""
    if graph.op_name(op) not in FILTERED:
        return None
    index = graph.inputs(op)[1]
    tensor, shape = graph.subgraph.tensors[index], graph.shape(index)
    stored = graph.constant(stored_filter(graph, index)[0])
    if tensor.type != INT8 or stored is None:
        return None
    if stored.dtype == np.int32:
        last = shape[-1] if stored.ndim == len(shape) else int(np.prod(shape[1:]))
        stored = SIGN_LEVEL * bits.unpack(stored, last)
    scales = np.asarray(tensor.quantization.scale, np.float64)
    spread = [1] * len(shape)
    spread[tensor.quantization.quantizedDimension] = len(scales)
    spread_scales = np.broadcast_to(scales.reshape(spread), shape)
    return stored.reshape(shape).astype(np.float64) * spread_scales, spread_scales


def is_same_filter(
    real: NDArray[np.float32], quantized: NDArray[np.float64], scales: NDArray[np.float64]
) -> bool:
    """Whether every weight is within half a scale of the float one."""
    if real.shape != quantized.shape:
        return False
    return bool((np.abs(real - quantized) <= (0.5 + _SLACK) * scales).all())


def matched_layers(reference: Graph, graph: Graph) -> list[tuple[Any, Any]]:
    """The int8 layers of a file with the float ones that they were made of: (float, int8)."""
    left = [
        (op, weights)
        for op in reference.operators
        if reference.op_name(op) in FILTERED
        and (weights := reference.constant(reference.inputs(op)[1])) is not None
    ]
    pairs = []
    for op in graph.operators:
        found = int8_filter(graph, op)
        if found is None:
            continue
        for index, (candidate, weights) in enumerate(left):
            same_kind = reference.op_name(candidate) == graph.op_name(op)
            if same_kind and is_same_filter(weights, *found):
                pairs.append((candidate, op))
                del left[index]
                break
    return pairs


def binary_constants(graph: Graph, op: Any) -> tuple[bytes, ...] | None:
    """Filter, multiplier, bias and thresholds of an LceBconv2d, bit for bit; None for others."""
    if graph.op_name(op) != "LceBconv2d":
        return None
    constants = [graph.constant(i) if i >= 0 else None for i in graph.inputs(op)[1:]]
    return tuple(b"" if c is None else c.tobytes() for c in constants)
