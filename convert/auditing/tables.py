"""Embeddings' tables whose rows an operator looks up, plain or packed."""

from typing import Any

from convert.auditing.weights import is_weight
from convert.passes.pack_binary_tables import is_row_lookup
from convert.tflite.graph import Graph


def is_table(graph: Graph, op: Any) -> bool:
    """Whether an operator looks up rows of an embedding's table, packed or not."""
    index, (output,) = table_input(graph, op), graph.outputs(op)
    if not graph.is_constant(index) or len(graph.shape(index)) != 2:
        return False
    if graph.op_name(op) == "GATHER" and not is_row_lookup(graph, op):
        return False
    if is_weight(graph, index):
        # A packed table's scales are looked up too; they have one column.
        return graph.shape(index)[1] > 1
    consumers = graph.consumers(output)
    return len(consumers) == 1 and graph.op_name(consumers[0]) == "LceDequantize"


def table_input(graph: Graph, op: Any) -> int:
    """The table from which an operator picks rows."""
    return graph.inputs(op)[1 if graph.op_name(op) == "EMBEDDING_LOOKUP" else 0]


def table_constants(graph: Graph, op: Any) -> list[int]:
    """The constants of a table that is looked up: its rows and, when packed, their scales."""
    return [table_input(graph, lookup) for lookup in (op, *scale_lookups(graph, op))]


def scale_lookups(graph: Graph, op: Any) -> list[Any]:
    """The operators that look up the scales of a packed table's rows."""
    scaled = graph.consumers(table_output(graph, op))
    if len(scaled) != 1 or graph.op_name(scaled[0]) != "MUL":
        return []
    factors = [graph.producer(i) for i in graph.inputs(scaled[0])]
    lookups = [f for f in factors if f is not None and graph.op_name(f) == "GATHER" and f is not op]
    return [f for f in lookups if graph.inputs(op)[1] in graph.inputs(f)]


def table_output(graph: Graph, op: Any) -> int:
    """The tensor that holds the rows, unpacked."""
    (output,) = graph.outputs(op)
    if is_weight(graph, table_input(graph, op)):
        return output
    return graph.outputs(graph.consumers(output)[0])[0]
