"""Folders that `onebit convert export --to c` wrote."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onebit.errors import UsageError
from onebit.files import read_json
from onebit.own_folders import MANIFEST


@dataclass(frozen=True)
class Field:
    """An array of a network's input or output structure.

    Attributes:
        dtype: `float32`, `int8`, `uint8`, `bool`, `int32` or `bits`.
        shape: Its shape; that of bits counts channels.
        scale: What one step of an integer stands for, of pixels in each channel or all; None where
            integers stand for themselves.
        zero_point: The integer that stands for 0, or a number between two.
    """

    dtype: str
    shape: tuple[int, ...]
    scale: float | tuple[float, ...] | None = None
    zero_point: float | tuple[float, ...] = 0


@dataclass(frozen=True)
class ExportedNetwork:
    """A network's folder.

    Attributes:
        folder: Where it is.
        name: What its C symbols begin with.
        sha256: Of the `.tflite` file that it is from.
        size_bytes: Of that file.
        macs: Multiply-accumulates by kind, as the exporter counts them.
        inputs: The arrays of its input structure, in order.
        outputs: Of its output structure.
        input_names: What the file calls the inputs.
    """

    folder: Path
    name: str
    sha256: str
    size_bytes: int
    macs: dict[str, int]
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    input_names: tuple[str, ...]

    @property
    def sources(self) -> list[Path]:
        """The C files of the network and its kernels."""
        return sorted((self.folder / "src").glob("*.c"))


def is_export(path: Path) -> bool:
    """Whether a path is such a folder."""
    return (path / MANIFEST).is_file()


def read_export(path: Path) -> ExportedNetwork:
    """Reads a folder's description.

    Raises:
        UsageError: It is not an exported network.
    """
    if not is_export(path):
        raise UsageError(
            f"{path} is not an exported network",
            hint="write one with `onebit convert export MODEL.tflite --to c -o FOLDER`",
        )
    content = read_json(path / MANIFEST)
    network = content.get("network") if isinstance(content, dict) else None
    if not isinstance(network, dict) or not re.fullmatch(r"[A-Za-z_]\w*", str(network.get("name"))):
        raise UsageError(f"{path} was exported to another target than C", hint="use --to c")
    try:
        inputs, outputs = (
            tuple(_field(described) for described in network[side])
            for side in ("inputs", "outputs")
        )
        return ExportedNetwork(
            path,
            network["name"],
            str(network["sha256"]),
            int(network["bytes"]),
            {str(kind): int(count) for kind, count in network["macs"].items()},
            inputs,
            outputs,
            tuple(map(str, network["input_names"])),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is damaged", hint="export the network again") from error


def _field(described: dict[str, Any]) -> Field:
    values: dict[str, Any] = described | {"shape": tuple(described["shape"])}
    for key in ("scale", "zero_point"):
        if isinstance(values.get(key), list):
            values[key] = tuple(values[key])
    return Field(**values)
