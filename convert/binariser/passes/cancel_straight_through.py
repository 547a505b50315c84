"""The straight-through spelling of a sign → the sign.

Frameworks without custom gradients are given one by `x + stop_gradient(sign(x) − x)`, mostly with a
clipped x, c = clip(x, -1, 1). Exporters drop the stop_gradient and keep the arithmetic:

    c + (sign(x) − c)   →   sign(x)

Exact in float32, whichever way round it is written. Let s = 1, so c ≥ 0. For c in [1/2, 2],
1 − c is exact (Sterbenz). For c < 1/2, d = fl(1 − c) is in (1/2, 1], where numbers are 2^-24
apart: d = 1 − c + e with |e| ≤ 2^-25, so c + d = 1 + e, which rounds to 1 (2^-25 below 1 is a
tie, and 1 is the even neighbour). For c > 2, 1 − c is a multiple of c's last digit and no larger
than c, so exact while that digit stands for 1 or less: up to c = 2^24. s = -1 is the mirror image;
where s = 0, c is 0 too. Beyond 2^24, fl(1 − c) + c may be 0 or 2.
"""

import math
from typing import Any

from convert.binariser.ranges import find_ranges
from convert.binariser.steps import SIGN, Steps, find_steps
from convert.tflite.graph import Graph

EXACT_BELOW = 2.0**24
_TF_SIGN = (-1.0, 0.0, 1.0)


def cancel_straight_through(graph: Graph) -> list[str]:
    """Replaces the straight-through spelling by its sign; returns the signs' tensors.

    It does not fire where the number that is added and subtracted may be 2^24 and more, or of the
    other sign: `unbounded_straight_through` names the former.
    """
    changed = []
    for op, sign, is_exact in _found(graph):
        if is_exact:
            (output,) = graph.outputs(op)
            graph.redirect(output, sign)
            graph.replace_op(op, [])
            changed.append(graph.tensor_name(sign))
    if changed:
        graph.drop_unread_ops()
    return changed


def unbounded_straight_through(graph: Graph) -> set[int]:
    """The tensors that would be a sign if the number behind it were known to be below 2^24."""
    return {graph.outputs(op)[0] for op, _, is_exact in _found(graph) if not is_exact}


def _found(graph: Graph) -> list[tuple[Any, int, bool]]:
    """The operators that end the spelling, their signs, and whether they are exact."""
    steps = find_steps(graph)
    found = []
    for op in graph.operators:
        name, inputs = graph.op_name(op), graph.inputs(op)
        if name not in ("ADD", "SUB") or op.builtinOptions.fusedActivationFunction:
            continue
        for passed, inner in (inputs, inputs[::-1]) if name == "ADD" else (inputs,):
            difference = graph.producer(inner)
            if difference is None or graph.op_name(difference) != "SUB":
                continue
            if difference.builtinOptions.fusedActivationFunction:
                continue
            left, right = graph.inputs(difference)
            # c + (s − c), or c − (c − s)
            sign, again = (left, right) if name == "ADD" else (right, left)
            source = _source_of(graph, sign, steps)
            if again == passed and source is not None and _has_sign_of(graph, passed, source):
                found.append((op, sign, passed))
    if not found:
        return []
    ranges = find_ranges(graph, steps)
    unknown = (-math.inf, math.inf)
    return [
        (op, sign, max(map(abs, ranges.get(passed, unknown))) < EXACT_BELOW)
        for op, sign, passed in found
    ]


def _source_of(graph: Graph, sign: int, steps: dict[int, Steps]) -> int | None:
    """The number that a tensor is the sign of, spelled out or as LCE's operators; else None."""
    if sign in steps:
        spelled = steps[sign]
        if graph.shape(sign) != graph.shape(spelled.source):
            return None
        plain = spelled.threshold is None and spelled.levels in (SIGN, _TF_SIGN)
        return spelled.source if plain else None
    names = []
    for _ in range(2):
        op = graph.producer(sign)
        if op is None or len(graph.inputs(op)) != 1:
            return None
        names.append(graph.op_name(op))
        (sign,) = graph.inputs(op)
    return sign if names == ["LceDequantize", "LceQuantize"] else None


def _has_sign_of(graph: Graph, passed: int, source: int) -> bool:
    """Whether a tensor is the number whose sign is taken, perhaps clipped."""
    while passed != source:
        op = graph.producer(passed)
        if op is None or graph.op_name(op) not in ("MAXIMUM", "MINIMUM", "RELU_N1_TO_1"):
            return False
        if graph.op_name(op) != "RELU_N1_TO_1" and not _is_clip(graph, op):
            return False
        passed = graph.inputs(op)[0]
    return True


def _is_clip(graph: Graph, op: Any) -> bool:
    """Whether a MAXIMUM or MINIMUM keeps every number's sign: its limit is on its side of 0."""
    limit = graph.constant(graph.inputs(op)[1])
    if limit is None:
        return False
    return bool((limit < 0).all() if graph.op_name(op) == "MAXIMUM" else (limit > 0).all())
