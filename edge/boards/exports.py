"""Folders that `onebit convert export --to c` wrote."""

import re
from dataclasses import dataclass
from pathlib import Path

from onebit.errors import UsageError
from onebit.files import read_json

MANIFEST = "onebit-export.json"


@dataclass(frozen=True)
class ExportedNetwork:
    """A network's folder.

    Attributes:
        folder: Where it is.
        name: What its C symbols begin with.
        sha256: Of the `.tflite` file that it is from.
        size_bytes: Of that file.
        macs: Multiply-accumulates by kind, as the exporter counts them.
    """

    folder: Path
    name: str
    sha256: str
    size_bytes: int
    macs: dict[str, int]

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
    macs = {str(kind): int(count) for kind, count in dict(network.get("macs", {})).items()}
    sha256, size_bytes = str(network.get("sha256", "")), int(network.get("bytes", 0))
    return ExportedNetwork(path, network["name"], sha256, size_bytes, macs)
