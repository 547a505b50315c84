"""Filters as the file stores them: plain, packed, or behind the operators that unpack them."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.tflite.graph import Graph
from convert.tflite.scales import channels_first
from onebit import bits

FILTERED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
"""TensorFlow Lite's operators whose input 1 is a filter."""

# Operators that give a filter's values in another form.
_UNPACKING = ("LceDequantize", "RESHAPE", "DEQUANTIZE")


def binary_filter_shape(graph: Graph, op: Any) -> list[int]:
    """The unpacked filter `[O, KH, KW, C/groups]` of an LceBconv2d."""
    *outer, words = graph.shape(graph.inputs(op)[1])
    channels_in = int(graph.custom_options(op).get("channels_in", words * bits.WORD_BITS))
    # Groups hold whole words each; without groups the last word may be partly used.
    return [*outer, min(channels_in, words * bits.WORD_BITS)]


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
