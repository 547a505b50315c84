"""Filters as the file stores them: plain, packed, or behind the operators that unpack them."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.tflite.graph import Graph
from convert.tflite.scales import channels_first
from onebit import bits

_SAME = 0

# Operators that give a filter's values in another form.
_UNPACKING = ("LceDequantize", "RESHAPE", "DEQUANTIZE")


def binary_filter_shape(graph: Graph, op: Any) -> list[int]:
    """The unpacked filter `[O, KH, KW, C/groups]` of an LceBconv2d."""
    *outer, words = graph.shape(graph.inputs(op)[1])
    channels_in = int(graph.custom_options(op).get("channels_in", words * bits.WORD_BITS))
    # Groups hold whole words each; without groups the last word may be partly used.
    return [*outer, min(channels_in, words * bits.WORD_BITS)]


def is_zero_padded(graph: Graph, op: Any) -> bool:
    """Whether an LceBconv2d pads with zeros, which are neither -1 nor +1.

    A filter of one tap has no border to pad.
    """
    options = graph.custom_options(op)
    padded = options.get("padding") == _SAME and options.get("pad_values") == 0
    return padded and math.prod(binary_filter_shape(graph, op)[1:3]) > 1


def stored_filter(graph: Graph, index: int) -> tuple[int, str | None]:
    """The constant behind a filter, and the operator that unpacks it (None when stored plainly)."""
    unpacking = None
    while not graph.is_constant(index):
        op = graph.producer(index)
        if op is None or graph.op_name(op) not in _UNPACKING:
            return index, "computed"
        if graph.op_name(op) != "RESHAPE":
            unpacking = graph.op_name(op)
        index = graph.inputs(op)[0]
    return index, unpacking


def constants_behind(graph: Graph, index: int) -> list[int]:
    """The constants that a tensor is computed from; none where it depends on the inputs."""
    if index < 0:
        return []
    if graph.is_constant(index):
        return [index]
    op = graph.producer(index)
    if op is None or graph.callees(op):
        return []
    found: list[int] = []
    for operand in graph.inputs(op):
        if operand < 0:
            continue
        part = constants_behind(graph, operand)
        # At once: behind residuals, the paths to the inputs double with every block.
        if not part:
            return []
        found += part
    return found


def filter_signs(graph: Graph, op: Any, source: int, shape: list[int]) -> NDArray[np.bool_] | None:
    """Where an operator's filter is negative, `[O, …]`; None when the file does not hold it.

    Args:
        graph: The file.
        op: The operator that computes with the filter.
        source: The constant that holds it, packed or not.
        shape: The unpacked filter's shape.
    """
    constant = graph.constant(source)
    if constant is None:
        return None
    if constant.dtype == np.int32:
        # Packed either as the filter stands or as one row per slice of its first dimension.
        last = shape[-1] if constant.ndim == len(shape) else math.prod(shape[1:])
        constant = bits.unpack(constant, last).reshape(shape)
    return channels_first(graph.op_name(op), constant) < 0
