"""Whether a `.tflite` file is whole, so that a runtime may be given it: several crash on others.

The numbers are the places of fields in TensorFlow Lite's schema.
"""

from collections.abc import Sequence

from flatbuffers import number_types

from onebit.errors import OnebitError, first_line
from onebit.metadata.files import DAMAGE
from onebit.metadata.tables import Table


def require_whole(content: bytes, name: str) -> None:
    """Refuses a `.tflite` file with a part that lies outside of it, or a reference to nothing.

    Args:
        content: The file.
        name: What the error message calls it.

    Raises:
        OnebitError: It is truncated or damaged.
    """
    try:
        model = Table.root(content)
        codes, subgraphs, buffers = model.tables(1), model.tables(2), model.tables(4)
        if not subgraphs:
            raise ValueError("it has no graph")
        for code in codes:
            code.number(3, number_types.Int32Flags)
            code.text(1)
        for buffer in buffers:
            _check_buffer(buffer, len(content))
        for subgraph in subgraphs:
            _check_subgraph(subgraph, len(codes), len(buffers))
    except DAMAGE as error:
        raise OnebitError(
            f"{name} is truncated or damaged: {first_line(error)}",
            hint="convert the model again, or copy the file again",
        ) from error


def _check_buffer(buffer: Table, size: int) -> None:
    """Its bytes are a vector, or in large files a range behind all tables."""
    buffer.content(0)
    offset, length = (buffer.number(field, number_types.Uint64Flags) for field in (1, 2))
    if offset > 1 and offset + length > size:  # 0 and 1 are none
        raise ValueError("a buffer ends behind the file")


def _check_subgraph(subgraph: Table, codes: int, buffers: int) -> None:
    tensors = subgraph.tables(0)
    for tensor in tensors:
        tensor.integers(0)
        tensor.text(3)
        if tensor.number(2, number_types.Uint32Flags) >= max(buffers, 1):
            raise ValueError("a tensor refers to a buffer that does not exist")
    _check_references([*subgraph.integers(1), *subgraph.integers(2)], len(tensors))
    for operator in subgraph.tables(3):
        if operator.number(0, number_types.Uint32Flags) >= codes:
            raise ValueError("an operator refers to a code that does not exist")
        _check_references([*operator.integers(1), *operator.integers(2)], len(tensors))
        operator.content(5)


def _check_references(numbers: Sequence[int], tensors: int) -> None:
    """Numbers of tensors; -1 is one that is left out."""
    if any(not -1 <= number < tensors for number in numbers):
        raise ValueError("the graph refers to a tensor that does not exist")
