"""Tensors, buffers and operator codes that nothing refers to any more are left out of the file."""

from typing import Any

import numpy as np

from convert.tflite.graph import Graph


def drop_unused(graph: Graph) -> list[str]:
    """Removes what no operator, input, output or metadata refers to; returns the tensors' names.

    Buffer 0 stays: the schema keeps it empty and computed tensors refer to it.
    """
    dropped = [name for subgraph in graph.subgraphs() for name in _drop_tensors(subgraph)]
    _drop_buffers(graph)
    _drop_codes(graph)
    return dropped


def _drop_tensors(graph: Graph) -> list[str]:
    subgraph = graph.subgraph
    entries = [
        entry
        for signature in graph.signatures()
        for entry in [*(signature.inputs or []), *(signature.outputs or [])]
    ]
    used: set[int] = {*map(int, subgraph.inputs), *map(int, subgraph.outputs)}
    used.update(entry.tensorIndex for entry in entries)
    for op in graph.operators:
        used.update(graph.inputs(op) + graph.outputs(op))
        used.update([] if op.intermediates is None else map(int, op.intermediates))
    used.discard(-1)
    order = sorted(used)
    dropped = [graph.tensor_name(i) for i in range(len(subgraph.tensors)) if i not in used]
    renumber = {old: new for new, old in enumerate(order)} | {-1: -1}

    def renumbered(indices: Any) -> Any:
        return np.array([renumber[int(i)] for i in indices], np.int32)

    subgraph.tensors = [subgraph.tensors[i] for i in order]
    subgraph.inputs, subgraph.outputs = renumbered(subgraph.inputs), renumbered(subgraph.outputs)
    for op in graph.operators:
        graph.set_inputs(op, renumbered(graph.inputs(op)))
        graph.set_outputs(op, renumbered(graph.outputs(op)))
        if op.intermediates is not None:
            op.intermediates = renumbered(op.intermediates)
    for entry in entries:
        entry.tensorIndex = renumber[entry.tensorIndex]
    return dropped


def _drop_buffers(graph: Graph) -> None:
    model = graph.model
    holders = [t for subgraph in model.subgraphs for t in subgraph.tensors]
    holders += model.metadata or []
    used = {0} | {holder.buffer for holder in holders}
    # An older field that refers to buffers by number.
    listed = [] if model.metadataBuffer is None else [int(i) for i in model.metadataBuffer]
    order = sorted(used | set(listed))
    renumber = {old: new for new, old in enumerate(order)}
    model.buffers = [model.buffers[i] for i in order]
    for holder in holders:
        holder.buffer = renumber[holder.buffer]
    if listed:
        model.metadataBuffer = np.array([renumber[i] for i in listed], np.int32)


def _drop_codes(graph: Graph) -> None:
    model = graph.model
    operators = [op for subgraph in graph.subgraphs() for op in subgraph.operators]
    order = sorted({op.opcodeIndex for op in operators})
    renumber = {old: new for new, old in enumerate(order)}
    model.operatorCodes = [model.operatorCodes[i] for i in order]
    for op in operators:
        op.opcodeIndex = renumber[op.opcodeIndex]
