"""Which tensors of a float file get a range, and so become int8.

An operator becomes int8 when its inputs and outputs have ranges, and stays float otherwise: ranges
decide. Tensors that hold the same numbers in another shape (RESHAPE and the like) go together.

Layers whose filters are real numbers become int8. Of the other operators that have an int8 form
(`AROUND`), those do whose inputs come from int8 ones, so that nothing is converted between two
layers. What a binary layer computes stays float up to the next sign: the sum with a shortcut would
be rounded once more at every layer, and the delegate joins LceBconv2d, ADD and LceQuantize in one
float operator. Layers with ±1 weights stay float too: their packed bits are smaller than 8-bit
numbers, and the delegate computes with the bits.

In the scope `all` these three become int8 as well, for processors that have no fast float32.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from convert.int8.settings import Int8
from convert.tflite.filters import stored_filter
from convert.tflite.graph import FILTERED, FLOAT32, Graph

MOVES = ("RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS")
"""Operators whose output holds the numbers of their first input."""

_NORMALISERS = ("SOFTMAX", "LOGISTIC", "TANH")

AROUND = (
    *_NORMALISERS,
    "ADD",
    "AVERAGE_POOL_2D",
    "BATCH_MATMUL",
    "CONCATENATION",
    "HARD_SWISH",
    "LEAKY_RELU",
    "MAXIMUM",
    "MAX_POOL_2D",
    "MEAN",
    "MINIMUM",
    "MUL",
    "PAD",
    "PADV2",
    "PRELU",
    "RELU",
    "RELU6",
    "RELU_N1_TO_1",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
    "SUB",
)
"""Operators besides layers that TensorFlow Lite and its quantizer know in int8."""


@dataclass(frozen=True)
class Selection:
    """The tensors that become int8, and operators that do not.

    Attributes:
        groups: The tensors that get a range, in groups that hold the same numbers.
        kept: The operators in `AROUND` that stay float. The quantizer needs their names, for it
            knows the range of probabilities without samples, and gives the inputs of poolings and
            the like the range of their outputs.
    """

    groups: list[list[int]]
    kept: list[Any]


def select(graph: Graph, settings: Int8) -> Selection:
    """Chooses what becomes int8.

    Args:
        graph: The float file; layers that shall stay packed are packed already.
        settings: The scope, and whether the file's inputs and outputs become int8.
    """
    groups = _groups_of(graph)
    group_of = {index: number for number, group in enumerate(groups) for index in group}
    inputs, outputs = (
        {group_of[int(i)] for i in ends if int(i) in group_of}
        for ends in (graph.subgraph.inputs, graph.subgraph.outputs)
    )
    int8_io = settings.io == "int8"
    chosen = inputs | outputs if int8_io else set()
    born = set(inputs) if int8_io else set()
    kept = [*packed_layers(graph), *_probabilities(graph, settings)]
    left_float = {id(op) for op in kept}
    for op in graph.operators:
        name = graph.op_name(op)
        read = {group_of[i] for i in graph.inputs(op) if i in group_of}
        written = {group_of[i] for i in graph.outputs(op) if i in group_of}
        if id(op) in left_float or name not in (*FILTERED, *AROUND):
            continue
        if name in FILTERED or settings.scope == "all" or read <= born:
            chosen |= read | written
            born |= written
        else:
            kept.append(op)
    return Selection(
        [groups[number] for number in sorted(chosen)],
        [op for op in kept if graph.op_name(op) in AROUND],
    )


def _probabilities(graph: Graph, settings: Int8) -> list[Any]:
    """The operators whose probabilities leave the file as floats: no rounding to 1/256 for them."""
    outputs = {int(i) for i in graph.subgraph.outputs}
    return [
        op
        for op in graph.operators
        if settings.io == "float"
        and graph.op_name(op) in _NORMALISERS
        and outputs & set(graph.outputs(op))
    ]


def _groups_of(graph: Graph) -> list[list[int]]:
    """The float tensors that operators compute or the file takes, grouped by the same numbers."""
    group_of: dict[int, int] = {}
    groups: dict[int, list[int]] = defaultdict(list)

    def put(index: int, group: int) -> None:
        if graph.subgraph.tensors[index].type == FLOAT32:
            group_of[index] = group
            groups[group].append(index)

    unpacked = {i for op in graph.operators for i in _unpacked_filter(graph, op)}
    for index in graph.subgraph.inputs:
        put(int(index), int(index))
    for op in graph.operators:
        source = graph.inputs(op)[0] if graph.op_name(op) in MOVES else -1
        for index in graph.outputs(op):
            if index not in unpacked:
                put(index, group_of.get(source, index))
        if graph.op_name(op) == "PACK" and graph.outputs(op)[0] in group_of:
            # The quantizer gives all of them one range. The output, the first in its group, holds
            # the numbers of all.
            (output,) = graph.outputs(op)
            for index in graph.inputs(op):
                for member in groups.pop(group_of.get(index, -1), []):
                    put(member, group_of[output])
    return list(groups.values())


def packed_layers(graph: Graph) -> list[Any]:
    """The operators of layers whose filters are unpacked from bits, and their scales' and biases'.

    LceDequantize → RESHAPE → FULLY_CONNECTED → MUL → ADD: the last three, and a MUL in front.
    """
    found: list[Any] = []
    for op in graph.operators:
        if not _unpacked_filter(graph, op):
            continue
        found.append(op)
        data, last = graph.data_input(op), op
        for kind in ("MUL", "ADD"):
            readers = graph.consumers(graph.outputs(last)[0])
            if len(readers) == 1 and _has_constant(graph, readers[0], (kind,)):
                last = readers[0]
                found.append(last)
        before = graph.producer(data)
        if before is not None and _has_constant(graph, before, ("MUL",)):
            found.append(before)
    return found


def _has_constant(graph: Graph, op: Any, kinds: Iterable[str]) -> bool:
    return graph.op_name(op) in kinds and any(graph.is_constant(i) for i in graph.inputs(op))


def _unpacked_filter(graph: Graph, op: Any) -> list[int]:
    """The tensors between the bits of an operator's filter and the operator."""
    if graph.op_name(op) not in FILTERED:
        return []
    index = graph.inputs(op)[1]
    if stored_filter(graph, index)[1] != "LceDequantize":
        return []
    tensors = []
    while not graph.is_constant(index):
        tensors.append(index)
        index = graph.inputs(graph.producer(index))[0]
    return tensors
