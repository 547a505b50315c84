"""How often one inference runs each subgraph, such as the body of a recurrent layer's loop."""

import math
from collections import defaultdict
from typing import Any

from convert.tflite.graph import Graph


def runs_per_inference(graph: Graph) -> dict[int, int]:
    """Subgraph's number → how often it runs, over all operators that call it.

    A loop whose number of steps the file does not show counts as one step; so does a branch. What a
    signature runs counts once for each signature.
    """
    subgraphs = {subgraph.number: subgraph for subgraph in graph.subgraphs()}
    runs: dict[int, int] = defaultdict(int)

    def visit(number: int, times: int, callers: tuple[int, ...]) -> None:
        runs[number] += times
        for op in subgraphs[number].operators:
            for callee in subgraphs[number].callees(op):
                if callee not in callers:  # a damaged file may call in a circle
                    steps = _steps(subgraphs, number, op)
                    visit(callee, times * steps, (*callers, callee))

    entries = {signature.subgraphIndex for signature in graph.model.signatureDefs or []}
    for number in sorted({0, *entries} & set(subgraphs)):
        visit(number, 1, (number,))
    # What nothing calls still is in the file.
    return {number: runs.get(number, 1) for number in subgraphs}


def _steps(subgraphs: dict[int, Graph], number: int, op: Any) -> int:
    """How often a WHILE that counts to a constant runs its body; 1 where that is not known."""
    graph = subgraphs[number]
    if graph.op_name(op) != "WHILE":
        return 1
    condition = subgraphs[op.builtinOptions.condSubgraphIndex]
    body = subgraphs[op.builtinOptions.bodySubgraphIndex]
    found = []
    for test in condition.operators:
        if condition.op_name(test) != "LESS":
            continue
        counter, limit = condition.inputs(test)
        positions = [int(i) for i in condition.subgraph.inputs]
        if counter not in positions:
            continue
        position = positions.index(counter)
        start, end = _scalar(graph, graph.inputs(op)[position]), _scalar(condition, limit)
        stride = _stride(body, position)
        if start is not None and end is not None and stride is not None and stride > 0:
            found.append(max(math.ceil((end - start) / stride), 0))
    return min(found, default=1)


def _stride(body: Graph, position: int) -> int | None:
    """The constant that a loop's body adds to one of its variables."""
    step = body.producer(int(body.subgraph.outputs[position]))
    if step is None or body.op_name(step) != "ADD":
        return None
    variable = int(body.subgraph.inputs[position])
    operands = body.inputs(step)
    if variable not in operands:
        return None
    return _scalar(body, operands[1 - operands.index(variable)])


def _scalar(graph: Graph, index: int) -> int | None:
    value = graph.constant(index) if index >= 0 else None
    return int(value.reshape(-1)[0]) if value is not None and value.size == 1 else None
