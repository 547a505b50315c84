"""A network as calls of C kernels: what lowering builds and the writers read."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.targets.network import Network, Value
from onebit import bits

C_TYPES = {
    "float32": "float",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "bool": "uint8_t",
    "bits": "uint32_t",
}
"""The C types of values; bits are words."""

LIMIT = "onebit_limit"
"""The C type of what sums are compared with: int16_t where all of a network fit, else int32_t."""

_SIZES = {
    "float": 4,
    "int8_t": 1,
    "uint8_t": 1,
    "int16_t": 2,
    "int32_t": 4,
    "uint32_t": 4,
    "onebit_factor": 8,
}


def elements(value: Value) -> int:
    """How many C elements a value takes: words where it is bits."""
    shape = list(value.shape)
    if value.dtype == "bits":
        shape[-1] = bits.packed_length(shape[-1])
    return int(np.prod(shape, dtype=np.int64))


def size_bytes(value: Value) -> int:
    """The bytes that a value takes in memory."""
    return elements(value) * _SIZES[C_TYPES[value.dtype]]


@dataclass(frozen=True)
class Constant:
    """An array in flash.

    Attributes:
        name: Its name in C, without the network's prefix.
        c_type: Of its elements.
        values: Flat; the fields of structures one after the other.
    """

    name: str
    c_type: str
    values: NDArray[Any]

    @property
    def size_bytes(self) -> int:
        """Its bytes in flash."""
        item = self.values.itemsize if self.c_type == LIMIT else _SIZES[self.c_type]
        return self.length * item

    @property
    def length(self) -> int:
        """How many elements it has."""
        return len(self.values) // (2 if self.c_type == "onebit_factor" else 1)


@dataclass(frozen=True)
class Place:
    """An argument: a value, by the number of its first element."""

    value: int
    offset: int = 0
    is_written: bool = False
    batch_step: int = 0


@dataclass(frozen=True)
class Scratch:
    """An argument: the call's scratch memory, as a type."""

    c_type: str


@dataclass(frozen=True)
class Struct:
    """An argument: the address of a constant structure.

    Attributes:
        c_type: Its type.
        fields: Field → C expression, a constant's array, or fields of a structure in it.
    """

    c_type: str
    fields: dict[str, Any]


Argument = str | Place | Scratch | Struct | Constant


@dataclass
class Call:
    """A call of a kernel.

    Attributes:
        layer: The layer that it belongs to.
        kernel: The function.
        arguments: In order.
        reads: The values that it reads from memory.
        writes: The value that it writes.
        file: The kernel's source file.
        scratch_bytes: Memory that it needs only while it runs.
        macs: Multiply-accumulates.
        batch: How often it is called, each time with the next image.
        works_in_place: Whether the output may lie where the first input does.
        note: What the layer is, in a word or two, for the table in the README.
    """

    layer: str
    kernel: str
    arguments: list[Argument]
    reads: tuple[int, ...]
    writes: int
    file: str
    scratch_bytes: int = 0
    macs: int = 0
    batch: int = 1
    works_in_place: bool = False
    note: str = ""

    def constants(self) -> list[Constant]:
        """The arrays in flash that it reads."""
        found: list[Constant] = []
        for argument in self.arguments:
            if isinstance(argument, Constant):
                found.append(argument)
            elif isinstance(argument, Struct):
                found += _constants(argument.fields)
        return found


def _constants(fields: dict[str, Any]) -> list[Constant]:
    found: list[Constant] = []
    for value in fields.values():
        if isinstance(value, Constant):
            found.append(value)
        elif isinstance(value, dict):
            found += _constants(value)
    return found


@dataclass
class Program:
    """A lowered network.

    Attributes:
        network: What it computes.
        calls: In execution order.
        same_memory: Value → the value whose memory it has (a reshaped one).
    """

    network: Network
    calls: list[Call] = field(default_factory=list)
    same_memory: dict[int, int] = field(default_factory=dict)

    def root(self, index: int) -> int:
        """The value in whose memory a value lies."""
        while index in self.same_memory:
            index = self.same_memory[index]
        return index
