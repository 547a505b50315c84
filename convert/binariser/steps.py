"""Tensors that only depend on which side of a threshold another tensor is.

A sign has many spellings: SIGN(SIGN(x) + 0.1), SELECT(x ≥ 0, 1, -1), 2·CAST(x ≥ 0) − 1, and those
that frameworks and converters make of them. All have in common that they are elementwise, read one
tensor, and give one number below a threshold, one at it and one above. So each operator is computed
for these three cases, and the three numbers say what it is, whatever its operators are called:

    -1, 1, 1    Larq's sign, which is LceQuantize         -1, 0, 1    tf.sign and torch.sign
    -1, -1, 1   a sign that gives -1 for 0                 0, 1, 1    a step
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.binariser.elementwise import COMPARISONS, ELEMENTWISE, compute
from convert.tflite.graph import FLOAT32, Graph

Levels = tuple[float, float, float]
"""The values below, at and above a threshold."""

SIGN: Levels = (-1.0, 1.0, 1.0)

_ORDER, _ZERO = np.array([-1, 0, 1], np.float32), np.zeros((), np.float32)


@dataclass(frozen=True)
class Steps:
    """A tensor as a function of the side of a threshold that another one is on.

    It has the other one's order of numbers, perhaps in another shape.

    Attributes:
        source: The other tensor.
        threshold: The constant that it is compared with; None for 0.
        values: The values below, at and above the threshold, `[3]`.
    """

    source: int
    threshold: int | None
    values: NDArray[Any]

    @property
    def levels(self) -> Levels:
        """The values as numbers."""
        below, at, above = map(float, self.values)
        return below, at, above


def find_steps(graph: Graph) -> dict[int, Steps]:
    """The tensors that depend on the side of one threshold only, in the order of execution."""
    found: dict[int, Steps] = {}
    for op in graph.operators:
        if len(graph.outputs(op)) != 1:
            continue
        if graph.op_name(op) == "RESHAPE" and graph.inputs(op)[0] in found:
            found[graph.outputs(op)[0]] = found[graph.inputs(op)[0]]
        if graph.op_name(op) not in ELEMENTWISE:
            continue
        steps = _steps_behind(graph, op, found)
        if steps is not None:
            found[graph.outputs(op)[0]] = steps
    return found


def _steps_behind(graph: Graph, op: Any, found: dict[int, Steps]) -> Steps | None:
    inputs = graph.inputs(op)
    numbers = [uniform_value(graph, i) if i >= 0 else None for i in inputs]
    tensors = [i for i, number in zip(inputs, numbers, strict=True) if number is None]
    if not tensors:
        return None
    if all(i in found for i in tensors):
        first = found[tensors[0]]
        # Two functions of different thresholds have more than three cases.
        same = [found[i] for i in tensors if found[i].source == first.source]
        if len(same) < len(tensors) or any(s.threshold != first.threshold for s in same):
            return None
        operands = [
            found[i].values if number is None else number
            for i, number in zip(inputs, numbers, strict=True)
        ]
        values = compute(graph, op, operands)
        if values is None or values.shape != (3,):
            return None
        return Steps(first.source, first.threshold, values)
    return _first_step(graph, op)


def _first_step(graph: Graph, op: Any) -> Steps | None:
    """The steps of an operator that compares a tensor with a constant, or takes its sign."""
    name, inputs = graph.op_name(op), graph.inputs(op)
    if any(i < 0 or graph.subgraph.tensors[i].type != FLOAT32 for i in inputs):
        return None
    if name == "SIGN":
        return Steps(inputs[0], None, _ORDER)
    if name not in COMPARISONS:
        return None
    left, right = inputs
    if graph.is_constant(right) and not graph.is_constant(left):
        source, threshold, operands = left, right, [_ORDER, _ZERO]
    elif graph.is_constant(left) and not graph.is_constant(right):
        source, threshold, operands = right, left, [_ZERO, _ORDER]
    else:
        return None
    values = compute(graph, op, operands)
    constant = graph.constant(threshold)
    if values is None or constant is None or not np.isfinite(constant).all():
        return None
    return Steps(source, threshold if constant.any() else None, values)


def uniform_value(graph: Graph, index: int) -> NDArray[Any] | None:
    """The number that fills a tensor, as an array without dimensions; None for other tensors."""
    value = graph.constant(index)
    if value is not None:
        flat = value.reshape(-1)
        return flat[:1].reshape(()) if flat.size and (flat == flat[0]).all() else None
    op = graph.producer(index)
    if op is None:
        return None
    name = graph.op_name(op)
    if name in ("FILL", "BROADCAST_TO"):
        return uniform_value(graph, graph.inputs(op)[1 if name == "FILL" else 0])
    if name == "NEG":
        number = uniform_value(graph, graph.inputs(op)[0])
        return None if number is None else -number
    return None
