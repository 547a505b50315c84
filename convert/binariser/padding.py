"""The border of a convolution: what stands there, and in which operator."""

import math
from dataclasses import dataclass
from typing import Any

from convert.tflite.graph import Graph, schema


@dataclass(frozen=True)
class Border:
    """The numbers that a convolution sees around its input.

    Attributes:
        source: The tensor without the border.
        same: Whether the border is as wide as SAME makes it; else there is none.
        value: The number that it holds: 0 or 1.
    """

    source: int
    same: bool
    value: float


def border_of(graph: Graph, op: Any) -> Border:
    """The border of a CONV_2D that pads itself or reads a padded tensor.

    A border of other widths than those of SAME, or of other numbers than 0 and 1, stays in its
    operator: the tensor behind it is the source then, and there is none.
    """
    data, options = graph.data_input(op), op.builtinOptions
    if options.padding == schema.Padding.SAME:
        return Border(data, any(map(any, same_widths(graph, op, data))), 0.0)
    pad = graph.producer(data)
    if pad is None or graph.op_name(pad) not in ("PAD", "PADV2"):
        return Border(data, False, 0.0)
    source, value = graph.inputs(pad)[0], pad_value(graph, pad)
    widths = graph.constant(graph.inputs(pad)[1])
    if widths is None or value not in (0, 1):
        return Border(data, False, 0.0)
    rows, columns = same_widths(graph, op, source)
    if widths.tolist() != [[0, 0], list(rows), list(columns), [0, 0]]:
        return Border(data, False, 0.0)
    return Border(source, any(map(any, (rows, columns))), float(value))


def pad_value(graph: Graph, pad: Any) -> float | None:
    """The number that a PAD or PADV2 adds; None for one that is computed."""
    if graph.op_name(pad) == "PAD":
        return 0.0
    value = graph.constant(graph.inputs(pad)[2])
    return None if value is None else float(value.reshape(-1)[0])


def same_widths(graph: Graph, op: Any, source: int) -> list[tuple[int, int]]:
    """The rows (and columns) that SAME adds before and after a tensor `[N, H, W, C]`."""
    options, kernel = op.builtinOptions, graph.shape(graph.inputs(op)[1])[1:3]
    strides = options.strideH, options.strideW
    dilations = options.dilationHFactor, options.dilationWFactor
    widths = []
    for size, taps, stride, dilation in zip(
        graph.shape(source)[1:3], kernel, strides, dilations, strict=True
    ):
        reach = (taps - 1) * dilation + 1
        total = max((math.ceil(size / stride) - 1) * stride + reach - size, 0)
        widths.append((total // 2, total - total // 2))
    return widths
