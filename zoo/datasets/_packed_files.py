"""Files of data sets as users bring them, packed or not."""

from __future__ import annotations

import gzip
import lzma
import zlib
from pathlib import Path

from onebit.errors import OnebitError, first_line


def read_unpacked(path: Path) -> bytes:
    """The content of a file, unpacked where its suffix is `.gz` or `.xz`.

    Raises:
        OnebitError: It cannot be read, or is damaged.
    """
    unpack = {".gz": gzip.decompress, ".xz": lzma.decompress}.get(path.suffix, bytes)
    try:
        return unpack(path.read_bytes())
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise OnebitError(f"cannot read {path}: {first_line(error)}; download it again") from error
