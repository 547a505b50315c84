"""The folder: the network's files, the kernels that it needs, test vectors, build files."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from convert.targets.c.arena import Arena, plan_arena
from convert.targets.c.config import configured
from convert.targets.c.lower import lower
from convert.targets.c.pixels import PixelType, with_pixels
from convert.targets.c.program import C_TYPES, Program, elements, size_bytes
from convert.targets.c.source import (
    Names,
    array_lines,
    header,
    names_of,
    source,
    source_templates,
    with_prefix,
)
from convert.targets.c.vectors import SEEDS, Vectors, compute_vectors
from convert.targets.network import Network, Value
from convert.targets.reading import read_network
from onebit import bits
from onebit.metadata import Metadata, Normalization, read_metadata

_CONFIG = "onebit_config.h"
_HEADERS = ("onebit_dot.h", "onebit_dot_s8.h", "onebit_f32.h", "onebit_s8.h")

_CMSIS_NN = "onebit_cmsis_nn.c"
_CALLED = {
    "onebit_bconv.c": ("onebit_bands.c",),
    "onebit_pixels.c": ("onebit_bands.c",),
    _CMSIS_NN: ("onebit_s8.c",),
}
"""Kernel file → those with the functions that it calls."""

_TEMPLATES = {
    "README.md": "README.md.j2",
    "main.c": "main.c.j2",
    "vectors.h": "vectors.h.j2",
    "Makefile": "Makefile.j2",
    "CMakeLists.txt": "CMakeLists.txt.j2",
    "library.properties": "library.properties.j2",
    "zephyr/module.yml": "module.yml.j2",
    "idf_component.yml": "idf_component.yml.j2",
}
"""File → its template, beside the sketch, whose name is the network's."""


def project_files(
    content: bytes,
    source_name: str,
    prefix: str,
    pixels: PixelType | None = None,
    cmsis_nn: bool = False,
) -> tuple[dict[str, str], dict[str, Any]]:
    """All files of the exported folder by their relative paths, and what its manifest says.

    Args:
        content: The `.tflite` file.
        source_name: What messages and the README call it.
        prefix: What C symbols begin with.
        pixels: The type of pixels that the network takes in the place of the file's floats.
        cmsis_nn: Whether int8 layers with filters are left to CMSIS-NN.

    Raises:
        ConversionError: A layer has no kernel, the file does not say what pixels are, or nothing
            here computes the test vectors.
        FlatbufferError: The content is not a well-formed `.tflite` file.
    """
    network, normalization = read_network(content, source_name), None
    metadata = read_metadata(content, source_name) or Metadata()
    if pixels is not None:
        network, normalization = with_pixels(network, metadata, pixels)
    program = lower(network, cmsis_nn)
    arena = plan_arena(program)
    names = names_of(program, prefix)
    sha256 = hashlib.sha256(content).hexdigest()
    sources = program_files(program, arena, names, sha256, metadata)
    files = {f"src/{name}": text for name, text in sources.items()}
    values = _template_values(
        program, arena, names, compute_vectors(content, network, normalization)
    )
    values |= {"source": Path(source_name).name, "sha256": sha256}
    values |= {"facts": metadata.lines(), "labels": len(metadata.labels)}
    values["needs_cmsis_nn"] = any(call.file == _CMSIS_NN for call in program.calls)
    values["sources"] = [name for name in files if name.endswith(".c")]
    environment = source_templates("convert.targets.c")
    templates = _TEMPLATES | {f"examples/{prefix}/{prefix}.ino": "sketch.ino.j2"}
    for name, template in templates.items():
        files[name] = environment.get_template(template).render(values)
    macs: dict[str, int] = defaultdict(int)
    for call in program.calls:
        if call.macs:
            macs[call.note] += call.macs
    about = {
        "name": prefix,
        "sha256": sha256,
        "bytes": len(content),
        "macs": dict(macs),
        "inputs": [_described(network.values[i], normalization) for i in network.inputs],
        "outputs": [_described(network.values[i]) for i in network.outputs],
        "input_names": list(network.input_names),
    }
    return files, about


def _described(value: Value, normalization: Normalization | None = None) -> dict[str, Any]:
    """A value for programs that fill or read the C structures, in their order.

    Each number is `scale·(stored − zero_point)`, where pixels have channels of their own a list.
    """
    described: dict[str, Any] = {"dtype": value.dtype, "shape": list(value.shape)}
    if value.quantization is not None:
        described["scale"] = float(value.quantization.scale[0])
        described["zero_point"] = int(value.quantization.zero_point[0])
    if normalization is not None:
        low = 128 if value.dtype == "int8" else 0
        described["scale"] = [1 / deviation for deviation in normalization.std]
        described["zero_point"] = [mean - low for mean in normalization.mean]
    return described


def network_files(network: Network, prefix: str, sha256: str) -> dict[str, str]:
    """The network's and the kernels' sources by file name."""
    program = lower(network)
    arena = plan_arena(program)
    return program_files(program, arena, names_of(program, prefix), sha256, Metadata())


def program_files(
    program: Program,
    arena: Arena,
    names: Names,
    sha256: str,
    metadata: Metadata,
) -> dict[str, str]:
    """The sources of a lowered network by file name."""
    prefix = names.prefix
    files = {
        f"{prefix}.h": header(program, arena, names, sha256, metadata),
        f"{prefix}.c": source(program, arena, names, metadata),
    }
    kernels = {call.file for call in program.calls}
    files |= kernel_files(kernels, prefix)
    config = configured(_runtime_source(_CONFIG), program)
    return files | {_CONFIG.replace("onebit", prefix, 1): with_prefix(config, prefix)}


def kernel_files(kernels: Iterable[str], prefix: str) -> dict[str, str]:
    """Kernel files with those that they call and include, by file name."""
    needed = set(kernels)
    needed |= {file for kernel in needed for file in _CALLED.get(kernel, ())}
    return {
        file.replace("onebit", prefix, 1): with_prefix(_runtime_source(file), prefix)
        for file in (*sorted(needed), *_included(sorted(needed)))
    }


def _runtime_source(name: str) -> str:
    return (resources.files("convert.targets.c") / "runtime" / name).read_text(encoding="utf-8")


def _included(kernels: Sequence[str]) -> list[str]:
    """The headers that kernel files include."""
    text = "".join(_runtime_source(file) for file in kernels)
    return ["onebit_kernels.h", _CONFIG, *(h for h in _HEADERS if f'"{h}"' in text)]


def _template_values(
    program: Program, arena: Arena, names: Names, vectors: Vectors
) -> dict[str, Any]:
    network = program.network
    return {
        "name": names.prefix,
        "oracle": vectors.oracle,
        "vectors": [
            {"seed": seed, "outputs": _expected(network, arrays)}
            for seed, arrays in zip(SEEDS, vectors.outputs, strict=True)
        ],
        "inputs": _ends(network, names.inputs),
        "outputs": _ends(network, names.outputs),
        "flash_bytes": flash_bytes(program),
        "arena_bytes": arena.size_bytes,
        "input_bytes": sum(size_bytes(network.values[i]) for i in network.inputs),
        "output_bytes": sum(size_bytes(network.values[i]) for i in network.outputs),
        "layers": layer_rows(program),
    }


def _ends(network: Network, fields: dict[int, str]) -> list[dict[str, Any]]:
    found = []
    for index, field in fields.items():
        value = network.values[index]
        c_type = C_TYPES[value.dtype]
        shape = "×".join(map(str, value.shape))
        found.append(
            {
                "field": field,
                "c_type": c_type,
                "count": elements(value),
                "channels": value.shape[-1] if value.shape else 1,
                "words": bits.packed_length(value.shape[-1]) if value.dtype == "bits" else 0,
                "is_bool": value.dtype == "bool",
                "text": f"{field}: {value.dtype} {shape}",
            }
        )
    return found


def _expected(network: Network, arrays: Sequence[Any]) -> list[str]:
    lines = []
    for index, array in zip(network.outputs, arrays, strict=True):
        c_type = C_TYPES[network.values[index].dtype]
        lines.append("\n".join("    " + line for line in array_lines(c_type, array)))
    return lines


def flash_bytes(program: Program) -> int:
    """The bytes of all constants; each is counted once."""
    constants = {c.name: c.size_bytes for call in program.calls for c in call.constants()}
    return sum(constants.values())


def layer_rows(program: Program) -> list[dict[str, Any]]:
    """Layer by layer: kind, flash, RAM and multiply-accumulates."""
    charged: set[str] = set()
    rows: list[dict[str, Any]] = []
    for position, call in enumerate(program.calls):
        fresh = {c.name: c.size_bytes for c in call.constants() if c.name not in charged}
        charged |= set(fresh)
        rows.append(
            {
                "layer": call.layer,
                "kind": call.note or call.kernel.removeprefix("onebit_").replace("_", " "),
                "flash": sum(fresh.values()),
                "ram": _alive(program, position),
                "macs": call.macs,
            }
        )
    return rows


def _alive(program: Program, position: int) -> int:
    """The bytes in use while a call runs, the caller's input and output included."""
    values = program.network.values
    roots: dict[int, tuple[int, int, int]] = {}
    for number, call in enumerate(program.calls):
        for index in (*call.reads, call.writes):
            first, _, size = roots.get(program.root(index), (number, number, 0))
            roots[program.root(index)] = first, number, max(size, size_bytes(values[index]))
    used = sum(size for first, last, size in roots.values() if first <= position <= last)
    return math.ceil(used) + program.calls[position].scratch_bytes
