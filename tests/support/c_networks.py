"""Networks that were exported as C, compiled here and called."""

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convert.targets.c.program import C_TYPES, elements
from convert.targets.c.project import network_files
from convert.targets.network import Network, Value
from convert.targets.reading import read_network

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")

COMPILED: dict[tuple[str, ...], bytes] = {}
"""Kernel, options → its object file."""

NUMPY_TYPES = {
    "float": np.float32, "int8_t": np.int8, "uint8_t": np.uint8, "int32_t": np.int32,
    "uint32_t": np.int32, "int16_t": np.int16,
}  # fmt: skip


class CNetwork:
    """A network in a shared library; kernels are compiled once for all networks."""

    def __init__(
        self, content: bytes, folder: Path, prefix: str = "onebit", network: Network | None = None
    ):
        self.network, self.prefix, self.folder = network or read_network(content), prefix, folder
        self.files = network_files(self.network, prefix, "0" * 64)
        for name, text in self.files.items():
            (folder / name).write_text(text)

    def build(self, *options: str, compiler: str = "cc") -> "CNetwork":
        objects = [
            self._compiled(name, (compiler, *STRICT, "-O1", "-fPIC", *options))
            for name in self.files
            if name.endswith(".c")
        ]
        library = self.folder / f"{self.prefix}.so"
        run([compiler, "-shared", *options, *map(str, objects), "-o", str(library)])
        self.invoke = getattr(ctypes.CDLL(str(library)), f"{self.prefix}_invoke")
        return self

    def _compiled(self, name: str, command: Sequence[str]) -> Path:
        own_header = f"{self.prefix}.h"
        headers = "".join(
            text for file, text in self.files.items() if file.endswith(".h") and file != own_header
        )
        own = name == f"{self.prefix}.c"
        key = (name, self.files[name], headers, *command)
        if own or key not in COMPILED:
            target = self.folder / f"{name}.o"
            run([*command, "-c", str(self.folder / name), "-o", str(target)])
            if own:
                return target
            COMPILED[key] = target.read_bytes()
        path = self.folder / f"{name}.o"
        path.write_bytes(COMPILED[key])
        return path

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        network = self.network
        given = ctypes.create_string_buffer(packed(network, network.inputs, inputs))
        taken, size = layout(network, network.outputs)
        result = ctypes.create_string_buffer(size)
        assert self.invoke(given, result) == 0
        return [
            np.frombuffer(result.raw, c_numpy(value), elements(value), offset).reshape(
                words_shape(value)
            )
            for value, offset in taken
        ]


def c_numpy(value: Value) -> type:
    return np.bool_ if value.dtype == "bool" else NUMPY_TYPES[C_TYPES[value.dtype]]


def words_shape(value: Value) -> list[int]:
    return [*value.shape[:-1], -(-value.shape[-1] // 32)] if value.dtype == "bits" else value.shape


def layout(network: Network, ends: Sequence[int]) -> tuple[list[tuple[Value, int]], int]:
    """The values of a C structure with their offsets, and its size."""
    found, offset = [], 0
    for value in (network.values[i] for i in ends):
        size = np.dtype(c_numpy(value)).itemsize
        offset = -(-offset // size) * size
        found.append((value, offset))
        offset += size * elements(value)
    return found, -(-offset // 4) * 4


def packed(network: Network, ends: Sequence[int], arrays: Sequence[np.ndarray]) -> bytes:
    found, size = layout(network, ends)
    content = bytearray(size)
    for (value, offset), array in zip(found, arrays, strict=True):
        data = np.ascontiguousarray(array, c_numpy(value)).tobytes()
        content[offset : offset + len(data)] = data
    return bytes(content)


def run(command: Sequence[str]) -> None:
    done = subprocess.run(list(command), check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
