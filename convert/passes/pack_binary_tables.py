"""Embedding tables of ±r → one bit a number.

An embedding looks rows of a table up. Where each row v holds r[v]·±1, the rows of packed words are
looked up instead, and unpacked behind the look-up, so that the table itself never is:

    before   y = GATHER(T, ids)                                    T[v] = r[v]·sign(T[v])
    after    y = LceDequantize(GATHER(pack(T), ids)) · GATHER(r, ids)

Exact: r[v]·±1 is the number that stood in the table. Where all r are 1 the product is left out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.tflite.graph import FLOAT32, Graph, schema
from convert.tflite.scales import has_binary_rows, row_scales
from onebit import bits

_GRAPH_BYTES = 1024
"""Bytes of the further operators and tensors in the file, rounded up: 700 were measured."""


def pack_binary_tables(graph: Graph) -> list[str]:
    """Packs every looked-up table whose rows are ±r; returns the look-ups' output tensors.

    It does not fire where another operator reads the table too, for tables of other than two
    dimensions, of real numbers or integers, nor where the packed form is not smaller.
    """
    changed = []
    for op in [op for op in graph.operators if graph.op_name(op) == "GATHER"]:
        index, ids = graph.inputs(op)[:2]
        if graph.subgraph.tensors[index].type != FLOAT32 or not is_row_lookup(graph, op):
            continue
        table = graph.constant(index)
        if table is None or len(graph.consumers(index)) > 1 or not has_binary_rows(table):
            continue
        channels, scales = table.shape[1], row_scales(table)
        if table_bytes(table) + _GRAPH_BYTES > table.nbytes:
            continue
        (output,) = graph.outputs(op)
        name, shape = graph.tensor_name(output), graph.shape(output)
        words = graph.add_constant(f"{name}/bits", bits.pack(table))
        found = graph.add_words(f"{name}/words", [*shape[:-1], bits.packed_length(channels)])
        steps = [graph.make_op("GATHER", [words, ids], [found], _by_rows())]
        if (scales == 1).all():
            steps.append(graph.make_op("LceDequantize", [found], [output]))
        else:
            signs = graph.add_tensor(f"{name}/signs", shape)
            column = graph.add_constant(f"{name}/scale", scales.reshape(-1, 1).astype("<f4"))
            scale = graph.add_tensor(f"{name}/row_scale", [*shape[:-1], 1])
            steps += [
                graph.make_op("LceDequantize", [found], [signs]),
                graph.make_op("GATHER", [column, ids], [scale], _by_rows()),
                graph.make_op("MUL", [signs, scale], [output], schema.MulOptionsT()),
            ]
        graph.replace_op(op, steps)
        changed.append(name)
    return changed


def table_bytes(table: NDArray[np.float32]) -> int:
    """Bytes of a packed table of ±r: its bits, and its scales where they are not all 1."""
    rows, channels = table.shape
    return 4 * rows * (bits.packed_length(channels) + int((row_scales(table) != 1).any()))


def is_row_lookup(graph: Graph, op: Any) -> bool:
    """Whether a GATHER picks whole rows of a matrix."""
    options = op.builtinOptions
    plain = options is None or (options.axis == 0 and options.batchDims == 0)
    return plain and len(graph.shape(graph.inputs(op)[0])) == 2


def _by_rows() -> Any:
    options = schema.GatherOptionsT()
    options.axis = 0
    options.batchDims = 0
    return options
