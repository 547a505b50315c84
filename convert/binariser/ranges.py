"""The range that the numbers of a tensor stay within, as far as the file shows it."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from convert.binariser.steps import Steps
from convert.tflite.graph import Graph
from convert.tflite.moves import MOVES, PADS
from convert.tflite.options import fused_activation
from convert.tflite.scales import channels_first

Range = tuple[float, float]
"""The lowest and the highest number, perhaps infinite."""

_ANY: Range = (-math.inf, math.inf)
_GIVES: dict[str, Range] = {
    "LOGISTIC": (0, 1),
    "RELU": (0, math.inf),
    "RELU6": (0, 6),
    "RELU_N1_TO_1": (-1, 1),
    "SOFTMAX": (0, 1),
    "TANH": (-1, 1),
}
_FUSED = {1: _GIVES["RELU"], 2: _GIVES["RELU_N1_TO_1"], 3: _GIVES["RELU6"]}
_KEEP = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN", "RELU", *MOVES, *PADS)
_FILTERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def find_ranges(graph: Graph, steps: Mapping[int, Steps]) -> dict[int, Range]:
    """The ranges of computed tensors; those of which nothing is known are left out.

    Args:
        graph: The file.
        steps: The tensors that are steps.
    """
    ranges: dict[int, Range] = {}
    for op in graph.operators:
        found = _of_operands(graph, op, ranges)
        fused = _FUSED.get(fused_activation(op), _ANY)
        for limits in (_GIVES.get(graph.op_name(op), _ANY), fused):
            found = _clipped(found, limits)
        for index in graph.outputs(op):
            if index in steps:
                values = steps[index].values.astype(np.float64)
                found = float(values.min()), float(values.max())
            if found != _ANY:
                ranges[index] = found
    return ranges


def _clipped(found: Range, limits: Range) -> Range:
    low, high = limits
    return min(max(found[0], low), high), max(min(found[1], high), low)


def _of_operands(graph: Graph, op: Any, ranges: Mapping[int, Range]) -> Range:
    """The range of an operator's outputs that follows from those of its inputs."""

    def known(index: int) -> Range:
        constant = graph.constant(index) if index >= 0 else None
        if constant is None or not constant.size:
            return ranges.get(index, _ANY)
        return float(constant.min()), float(constant.max())

    name, inputs = graph.op_name(op), graph.inputs(op)
    if name in ("MAXIMUM", "MINIMUM"):
        pick = max if name == "MAXIMUM" else min
        (low, high), (other_low, other_high) = map(known, inputs)
        return pick(low, other_low), pick(high, other_high)
    if name in ("CONCATENATION", "PACK"):
        parts = [known(i) for i in inputs]
        return min(low for low, _ in parts), max(high for _, high in parts)
    if name in _KEEP:
        low, high = known(graph.data_input(op))
        border = known(inputs[2]) if name == "PADV2" else (0.0, 0.0)
        return (min(low, border[0]), max(high, border[1])) if name in PADS else (low, high)
    if name in ("ADD", "SUB"):
        (low, high), (other_low, other_high) = map(known, inputs)
        if name == "SUB":
            other_low, other_high = -other_high, -other_low
        return low + other_low, high + other_high
    if name == "MUL":
        largest = math.prod(max(map(abs, known(i))) for i in inputs)
        return (-largest, largest) if math.isfinite(largest) else _ANY
    return _of_filter(graph, op, known(inputs[0])) if name in _FILTERS else _ANY


def _of_filter(graph: Graph, op: Any, data: Range) -> Range:
    """The range of a convolution or dense layer, if its filter and bias are constants."""
    weights, bias = graph.constant(graph.inputs(op)[1]), graph.bias_input(op)
    offsets = graph.constant(bias) if bias >= 0 else np.zeros(1)
    if weights is None or offsets is None or not all(map(math.isfinite, data)):
        return _ANY
    rows = np.abs(channels_first(graph.op_name(op), weights).astype(np.float64))
    sums = rows.reshape(len(rows), -1).sum(1) * max(map(abs, data))
    largest = float((sums + np.abs(offsets)).max())
    return -largest, largest
