"""Transposes within a sign → behind it, and no two that undo each other.

    x ≥ 0 → TRANSPOSE → SELECT(…, 1, -1) → TRANSPOSE back   →   x ≥ 0 → SELECT(…, 1, -1)

PyTorch's exporter turns images from channels-last to channels-first and back wherever an operator
is not a convolution's. Exact: elementwise operators with single numbers don't ask for places.
"""

from typing import Any

import numpy as np

from convert.binariser.elementwise import ELEMENTWISE
from convert.binariser.steps import find_steps
from convert.tflite.graph import FLOAT32, Graph


def sink_transposes(graph: Graph) -> list[str]:
    """Moves transposes of comparisons to behind the sign; returns the names of the moved tensors.

    It does not fire where anything else reads the transposed tensor, or the operator behind it
    reads a tensor of more than one number.
    """
    changed = []
    steps = find_steps(graph)
    for op in [op for op in graph.operators if graph.op_name(op) == "TRANSPOSE"]:
        while graph.inputs(op)[0] in steps:
            reader = _elementwise_reader(graph, op)
            if reader is None:
                break
            graph.move_behind(op, reader, "unturned")
            steps = find_steps(graph)
            changed.append(graph.tensor_name(graph.outputs(op)[0]))
    changed += _cancel_pairs(graph)
    if changed:
        graph.drop_unread_ops()
    return changed


def _elementwise_reader(graph: Graph, op: Any) -> Any | None:
    """The only reader of a transposed tensor, if it is elementwise with single numbers."""
    (turned,) = graph.outputs(op)
    readers = graph.consumers(turned)
    if len(readers) != 1 or turned in graph.subgraph.outputs:
        return None
    (reader,) = readers
    (output,) = graph.outputs(reader)
    others = [i for i in graph.inputs(reader) if i != turned]
    single = all(i >= 0 and graph.is_constant(i) and np.prod(graph.shape(i)) == 1 for i in others)
    fits = graph.subgraph.tensors[output].type == FLOAT32
    fits = fits and graph.shape(output) == graph.shape(turned)
    return reader if single and fits and graph.op_name(reader) in ELEMENTWISE else None


def _cancel_pairs(graph: Graph) -> list[str]:
    """Has the readers of a transpose that undoes another one read what that one reads."""
    changed = []
    for op in [op for op in graph.operators if graph.op_name(op) == "TRANSPOSE"]:
        data, (output,) = graph.inputs(op)[0], graph.outputs(op)
        above = graph.producer(data)
        if above is None or graph.op_name(above) != "TRANSPOSE":
            continue
        first, second = (graph.constant(graph.inputs(each)[1]) for each in (above, op))
        if first is None or second is None or output in graph.subgraph.outputs:
            continue
        if (first[second] == np.arange(len(first))).all():
            source = graph.inputs(above)[0]
            changed.append(graph.tensor_name(output))
            graph.redirect(output, source)
            graph.replace_op(op, [])
    return changed
