"""FlatBuffers' tables by the numbers of their fields, without code generated from a schema.

A field's number is its place in the schema's table, from 0; a union takes two, its type and its
value. https://flatbuffers.dev/internals/
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flatbuffers
from flatbuffers import number_types
from flatbuffers.table import Table as Accessor


class Number(NamedTuple):
    """A scalar field: its value and its type of `flatbuffers.number_types`."""

    value: int
    type: Any


def byte(value: int) -> Number:
    """An int8: how the schema stores enumerations; those of unions are unsigned, and equal here."""
    return Number(value, number_types.Int8Flags)


Fields = Mapping[int, Any]
"""Number → text, number, vector of floats, table, or vector of tables; None is left out."""


def write(fields: Fields, identifier: bytes) -> bytes:
    """The FlatBuffer whose root is a table with these fields."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write_table(builder, fields), file_identifier=identifier)
    return bytes(builder.Output())


def _write_table(builder: Any, fields: Fields) -> int:
    present = {number: value for number, value in fields.items() if value is not None}
    # What a table refers to is written before it.
    offsets = {
        number: _write_value(builder, value)
        for number, value in present.items()
        if not isinstance(value, Number)
    }
    builder.StartObject(max(present, default=-1) + 1)
    for number, value in present.items():
        if isinstance(value, Number):
            builder.PrependSlot(value.type, number, value.value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(number, offsets[number], 0)
    return int(builder.EndObject())


def _write_value(builder: Any, value: Any) -> int:
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, Mapping):
        return _write_table(builder, value)
    of_tables = bool(value) and isinstance(value[0], Mapping)
    items = [_write_table(builder, item) for item in value] if of_tables else value
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        if of_tables:
            builder.PrependUOffsetTRelative(item)
        else:
            builder.PrependFloat32(item)
    return int(builder.EndVector())


class Table:
    """A table that is read; an absent field is None or empty.

    Nothing is checked: damaged bytes raise whatever comes up (`DAMAGE`).
    """

    def __init__(self, content: bytes, position: int) -> None:
        self._content = content
        self._table = Accessor(content, position)

    @classmethod
    def root(cls, content: bytes) -> "Table":
        """The table at the root of a FlatBuffer."""
        return cls(content, int.from_bytes(content[:4], "little"))

    def _place(self, field: int) -> int:
        offset = self._table.Offset(4 + 2 * field)
        return int(self._table.Pos + offset) if offset else 0

    def number(self, field: int, type_: Any) -> int:
        """A scalar, 0 by default."""
        place = self._place(field)
        return int(self._table.Get(type_, place)) if place else 0

    def text(self, field: int) -> str | None:
        """A string."""
        return self.content(field).decode("utf-8", "replace") if self._place(field) else None

    def table(self, field: int) -> "Table | None":
        """A table, also that of a union."""
        place = self._place(field)
        return Table(self._content, self._table.Indirect(place)) if place else None

    def tables(self, field: int) -> list["Table"]:
        """A vector of tables."""
        return [
            Table(self._content, self._table.Indirect(place)) for place in self._places(field, 4)
        ]

    def floats(self, field: int) -> tuple[float, ...]:
        """A vector of float32."""
        flags = number_types.Float32Flags
        return tuple(float(self._table.Get(flags, place)) for place in self._places(field, 4))

    def integers(self, field: int) -> tuple[int, ...]:
        """A vector of int32."""
        flags = number_types.Int32Flags
        return tuple(int(self._table.Get(flags, place)) for place in self._places(field, 4))

    def content(self, field: int) -> bytes:
        """A vector of bytes."""
        places = self._places(field, 1)
        return bytes(self._content[places.start : places.stop])

    def _places(self, field: int, size: int) -> range:
        if not self._place(field):
            return range(0)
        offset = self._place(field) - self._table.Pos
        start = self._table.Vector(offset)
        stop = start + size * self._table.VectorLen(offset)
        if stop > len(self._content):
            raise IndexError("a vector ends behind the file")
        return range(start, stop, size)
