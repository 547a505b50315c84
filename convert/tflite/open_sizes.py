"""Sizes that a file leaves open (-1 in a tensor's signature, mostly 1 in its shape).

Where only the batch is open, a shape is right once the batch is the stored one. It is not where a
size depends on numbers, as the count of those that WHERE finds, nor where the batch and another
dimension became one: `[-1, 16, 8]` reshaped to `[-1, 8]` is stored as `[1, 8]` and is `[16, 8]`.
"""

import math
from typing import Any

from convert.tflite.graph import Graph

_OPEN = ("NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "RANGE", "UNIQUE", "WHERE")
"""Operators whose outputs' sizes depend on numbers, or on other sizes than their inputs'."""

_SIZED = {"BROADCAST_TO": 1, "FILL": 0, "PAD": 1, "PADV2": 1, "SLICE": 1, "STRIDED_SLICE": 1}
_SIZED |= {"TILE": 1}
"""Operator → the first of its inputs that its output's sizes depend on."""


def has_open_sizes(graph: Graph, index: int) -> bool:
    """Whether a tensor has a size that the file leaves open."""
    signature = graph.subgraph.tensors[index].shapeSignature
    return signature is not None and -1 in signature


def fix_batch(graph: Graph) -> None:
    """Fixes an open batch to the stored one; sizes that don't follow from it stay open."""
    # Tensor → how many times more numbers it has than its stored shape; NaN where that depends.
    factors: dict[int, float] = {}
    sizes: set[int] = set()  # the tensors that follow from sizes that are known
    for op in graph.operators:
        inputs = [i for i in graph.inputs(op) if i >= 0]
        factor = _factor(graph, op, inputs, factors, sizes)
        factors |= {i: factor for i in graph.outputs(op) if has_open_sizes(graph, i)}
        if graph.op_name(op) == "SHAPE":
            known = factors.get(inputs[0], 1.0) == 1
        else:
            known = all(i in sizes or graph.is_constant(i) for i in inputs)
        if known:
            sizes.update(graph.outputs(op))
    for index, tensor in enumerate(graph.subgraph.tensors):
        if factors.get(index, 1.0) == 1:
            tensor.shapeSignature = None


def _factor(
    graph: Graph, op: Any, inputs: list[int], factors: dict[int, float], sizes: set[int]
) -> float:
    name = graph.op_name(op)
    if name in _OPEN:
        return math.nan
    if name in _SIZED and not all(
        i in sizes or graph.is_constant(i) for i in inputs[_SIZED[name] :]
    ):
        return math.nan
    if name == "RESHAPE":
        before, after = (math.prod(graph.shape(i)) for i in (inputs[0], graph.outputs(op)[0]))
        return factors.get(inputs[0], 1.0) * before / after if after else math.nan
    found = {factors.get(i, 1.0) for i in inputs} - {1.0}
    return found.pop() if len(found) == 1 else math.nan if found else 1.0
