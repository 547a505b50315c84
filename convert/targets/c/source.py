"""The network's two files, `NAME.h` and `NAME.c`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from convert.targets.c.arena import Arena
from convert.targets.c.facts import header_lines, source_lines
from convert.targets.c.lowering import number
from convert.targets.c.program import (
    C_TYPES,
    LIMIT,
    Argument,
    Call,
    Constant,
    Place,
    Program,
    Scratch,
    Struct,
    elements,
)
from convert.targets.network import Value
from onebit.metadata import Metadata

_PER_LINE = {
    "uint32_t": 8,
    "float": 6,
    "int32_t": 10,
    "int8_t": 20,
    "uint8_t": 20,
    "onebit_factor": 6,
    LIMIT: 10,
}

FIRST_LINE = "/* Written by `onebit convert export`; do not edit. */"


@dataclass(frozen=True)
class Names:
    """Names of a network's parts in C.

    Attributes:
        prefix: The network's name, before all of its symbols.
        inputs: Input → field of `NAME_input_t`.
        outputs: Output → field of `NAME_output_t`.
    """

    prefix: str
    inputs: dict[int, str]
    outputs: dict[int, str]


def names_of(program: Program, prefix: str) -> Names:
    """Names of a network's parts; fields are called as the file's signature does."""
    network = program.network
    return Names(
        prefix,
        dict(zip(network.inputs, _fields(network.input_names), strict=True)),
        dict(zip(network.outputs, _fields(network.output_names), strict=True)),
    )


_KEYWORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int
long register restrict return short signed sizeof static struct switch typedef union unsigned void
volatile while class new delete template this private public
"""
_RESERVED = frozenset(_KEYWORDS.split())


def _fields(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for position, name in enumerate(names):
        stem = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
        if not stem or stem[0].isdigit() or stem in _RESERVED:
            stem = f"value_{stem}" if stem else f"value_{position}"
        while stem in found:
            stem += "_"
        found.append(stem)
    return found


def source_templates(package: str) -> jinja2.Environment:
    """The templates of a package that writes C, C++ and Markdown."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 (no HTML)
    )


def with_prefix(text: str, prefix: str) -> str:
    """Kernel sources with the network's name in the place of Onebit's, so that several link."""
    text = re.sub(r"\bonebit_", f"{prefix}_", text)
    return re.sub(r"\bONEBIT_", f"{prefix.upper()}_", text)


def header(program: Program, arena: Arena, names: Names, sha256: str, metadata: Metadata) -> str:
    """`NAME.h`: types, sizes, names of classes, and the functions that a firmware calls."""
    network, name = program.network, names.prefix
    guard = f"{name.upper()}_H_"

    def struct(fields: dict[int, str], which: str) -> list[str]:
        members = [_member(network.values[i], field) for i, field in fields.items()]
        return ["typedef struct {", *members, f"}} {name}_{which}_t;", ""]

    return "\n".join(
        [
            FIRST_LINE,
            f"#ifndef {guard}",
            f"#define {guard}",
            "",
            "#include <stdint.h>",
            "",
            "#ifdef __cplusplus",
            'extern "C" {',
            "#endif",
            "",
            "/* The .tflite file that this network is from. */",
            f'#define {name.upper()}_SHA256 "{sha256}"',
            "",
            *header_lines(metadata, name),
            "/* Working memory of one call. */",
            f"#define {name.upper()}_ARENA_BYTES {max(arena.size_bytes, 4)}",
            "",
            *struct(names.inputs, "input"),
            *struct(names.outputs, "output"),
            "/* Computes the output; returns 0, or -1 where an argument is NULL or the arena not",
            " * aligned to 4 bytes. It uses a static arena: calls must not overlap. */",
            f"int {name}_invoke(const {name}_input_t *input, {name}_output_t *output);",
            "",
            "/* The same in memory of the caller's, aligned to 4 bytes. */",
            f"int {name}_invoke_in(void *arena, const {name}_input_t *input,",
            f"{' ' * len(f'int {name}_invoke_in(')}{name}_output_t *output);",
            "",
            "#ifdef __cplusplus",
            "}",
            "#endif",
            "",
            f"#endif /* {guard} */",
            "",
        ]
    )


def _member(value: Value, field: str) -> str:
    shape = "x".join(map(str, value.shape))
    note = f"bits of {shape}, 1 for -1" if value.dtype == "bits" else shape
    if value.quantization is not None and value.dtype in ("int8", "uint8"):
        scale, zero = value.quantization.scale[0], value.quantization.zero_point[0]
        note += f", ({number(float(scale))[:-1]} * (q - {zero}))" if zero else ""
        note += f", {number(float(scale))[:-1]} * q" if not zero else ""
    elif value.dtype in ("int8", "uint8"):
        note += ", pixels from 0 to 255" + (" less 128" if value.dtype == "int8" else "")
    return f"  {C_TYPES[value.dtype]} {field}[{elements(value)}]; /* {note} */"


def source(program: Program, arena: Arena, names: Names, metadata: Metadata) -> str:
    """`NAME.c`: weights, layers, and the calls in order; names of classes behind them."""
    text = with_prefix(_Writer(program, arena, names).text(), names.prefix)
    labels = source_lines(metadata, names.prefix)
    return "\n".join([text, *labels]) if labels else text


class _Writer:
    def __init__(self, program: Program, arena: Arena, names: Names) -> None:
        self.program, self.arena, self.names = program, arena, names

    def text(self) -> str:
        name = self.names.prefix
        constants = {c.name: c for call in self.program.calls for c in call.constants()}
        structs: list[str] = []
        lines: list[str] = []
        for position, call in enumerate(self.program.calls):
            lines += self._statement(position, call, structs)
        return "\n".join(
            [
                FIRST_LINE,
                f'#include "{name}.h"',
                "",
                "#include <stddef.h>",
                "",
                '#include "onebit_kernels.h"',
                "",
                *(line for c in constants.values() for line in _definition(c)),
                *structs,
                f"int {name}_invoke_in(void *arena, const {name}_input_t *input, "
                f"{name}_output_t *output) {{",
                *self._body(lines),
                "  return 0;",
                "}",
                "",
                f"int {name}_invoke(const {name}_input_t *input, {name}_output_t *output) {{",
                f"  static uint32_t arena[{name.upper()}_ARENA_BYTES / 4];",
                f"  return {name}_invoke_in(arena, input, output);",
                "}",
                "",
            ]
        )

    def _body(self, lines: list[str]) -> list[str]:
        body = [
            "  if (arena == NULL || input == NULL || output == NULL || "
            "((uintptr_t)arena & 3u) != 0) return -1;"
        ]
        if self.arena.size_bytes:
            body.append("  uint8_t *const a = (uint8_t *)arena;")
        return body + lines

    def _statement(self, position: int, call: Call, structs: list[str]) -> list[str]:
        arguments = []
        for argument in call.arguments:
            if isinstance(argument, Struct):
                label = f"{argument.c_type.removeprefix('onebit_')}_{position}"
                structs.append(_struct(argument, label))
                arguments.append(f"&{label}")
            else:
                arguments.append(self._expression(argument, position, call))
        text = f"{call.kernel}({', '.join(arguments)});"
        note = f"  /* {call.layer.replace('*/', '* /')} */"
        if call.batch == 1:
            return [note, f"  {text}"]
        return [note, f"  for (int32_t n = 0; n < {call.batch}; ++n) {{", f"    {text}", "  }"]

    def _expression(self, argument: Argument, position: int, call: Call) -> str:
        if isinstance(argument, str):
            return argument
        if isinstance(argument, Constant):
            return argument.name
        if isinstance(argument, Scratch):
            offset = self.arena.scratch[position]
            return "NULL" if offset is None else f"({argument.c_type} *)(void *)(a + {offset})"
        assert isinstance(argument, Place)  # noqa: S101 (structures are handled above)
        pointer = self._pointer(argument)
        if argument.offset:
            pointer = f"{pointer} + {argument.offset}"
        if call.batch > 1:
            pointer = f"{pointer} + n * {argument.batch_step}"
        return pointer

    def _pointer(self, place: Place) -> str:
        index, network = place.value, self.program.network
        c_type = C_TYPES[network.values[index].dtype]
        const = "" if place.is_written else "const "
        root = self.program.root(index)
        if index in self.arena.offsets:
            return f"({const}{c_type} *)(void *)(a + {self.arena.offsets[index]})"
        if index in self.arena.outputs:
            owner = self.arena.outputs[index]
            pointer, owned = f"output->{self.names.outputs[owner]}", network.values[owner].dtype
        else:
            owner = next(i for i in network.inputs if self.program.root(i) == root)
            pointer, owned = f"input->{self.names.inputs[owner]}", network.values[owner].dtype
        if C_TYPES[owned] == c_type:
            return pointer
        return f"({const}{c_type} *)({const}void *){pointer}"


def _struct(struct: Struct, label: str) -> str:
    return f"static const {struct.c_type} {label} = {_fields_text(struct.fields)};\n"


def _fields_text(fields: dict[str, Any]) -> str:
    parts = []
    for key, value in fields.items():
        if isinstance(value, dict):
            text = _fields_text(value)
        elif isinstance(value, list):
            text = "{" + ", ".join(map(str, value)) + "}"
        else:
            text = value.name if isinstance(value, Constant) else str(value)
        parts.append(f".{key} = {text}")
    return "{" + ", ".join(parts) + "}"


def _definition(constant: Constant) -> list[str]:
    return [
        f"static const {constant.c_type} {constant.name}[{constant.length}] = {{",
        *array_lines(constant.c_type, constant.values),
        "};",
        "",
    ]


def array_lines(c_type: str, values: NDArray[Any]) -> list[str]:
    """An array's values in C, several a line."""
    flat = values.reshape(-1)
    if c_type == "uint32_t":
        texts = [f"0x{value:08x}u" for value in flat.view(np.uint32).tolist()]
    elif c_type == "float":
        texts = [number(value) for value in flat.tolist()]
    elif c_type == "onebit_factor":
        texts = [f"{{{multiplier}, {shift}}}" for multiplier, shift in flat.reshape(-1, 2).tolist()]
    elif c_type == "int32_t":
        # -2^31 is not a literal in C.
        texts = [str(v) if v > -(2**31) else "(-2147483647 - 1)" for v in flat.tolist()]
    else:
        texts = [str(int(value)) for value in flat.tolist()]
    width = _PER_LINE[c_type]
    return [
        "  " + ", ".join(texts[start : start + width]) + ","
        for start in range(0, len(texts), width)
    ]
