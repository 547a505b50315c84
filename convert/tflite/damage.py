"""Damaged files: references that lead nowhere, and operators whose parts don't fit together."""

import contextlib
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from convert.errors import FlatbufferError

if TYPE_CHECKING:
    from convert.tflite.graph import Graph

# Errors that come up on truncated or scrambled bytes, which the generated reader does not check.
DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


@contextlib.contextmanager
def refusing_damage(name: str, done: str) -> Iterator[None]:
    """While the block works on a file's operators, what inconsistent ones raise becomes one line.

    Args:
        name: What error messages call the file.
        done: What is done with it, such as `read`.

    Raises:
        FlatbufferError: The block raised one of `DAMAGE`.
    """
    try:
        yield
    except DAMAGE as error:
        raise FlatbufferError(
            f"{name} cannot be {done}: the shapes, options or constants of an operator do not fit "
            "together"
        ) from error


def check_references(graph: "Graph") -> None:
    """Checks that whatever a subgraph refers to exists.

    Raises:
        ValueError: It refers to a tensor, buffer, code or subgraph that does not.
    """
    model, subgraph = graph.model, graph.subgraph
    tensors, buffers = range(len(subgraph.tensors)), range(len(model.buffers))
    for index, tensor in enumerate(subgraph.tensors):
        if tensor.buffer not in buffers:
            raise ValueError("a tensor refers to a buffer that does not exist")
        graph.constant(index)  # raises if the shape and the bytes disagree
    for op in graph.operators:
        if op.opcodeIndex not in range(len(model.operatorCodes)):
            raise ValueError("an operator refers to a code that does not exist")
        used = [*graph.inputs(op), *graph.outputs(op)]
        used += [] if op.intermediates is None else map(int, op.intermediates)
        if any(i != -1 and i not in tensors for i in used):
            raise ValueError("an operator refers to a tensor that does not exist")
        if any(i not in range(len(model.subgraphs)) for i in graph.callees(op)):
            raise ValueError("an operator refers to a subgraph that does not exist")
    ends = [*map(int, subgraph.inputs), *map(int, subgraph.outputs)]
    for signature in graph.signatures():
        entries = [*(signature.inputs or []), *(signature.outputs or [])]
        ends += [entry.tensorIndex for entry in entries]
    if any(i not in tensors for i in ends):
        raise ValueError("an input or output refers to a tensor that does not exist")
    listed = [] if model.metadataBuffer is None else map(int, model.metadataBuffer)
    if any(i not in buffers for i in [*(entry.buffer for entry in model.metadata or []), *listed]):
        raise ValueError("metadata refer to a buffer that does not exist")
