"""Fetches the published files of data sets, which must have the hashes that are written here."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onebit import files
from onebit.errors import OnebitError, first_line


@dataclass(frozen=True)
class RemoteFile:
    """A published file: where it is fetched from, and the SHA-256 that it must have."""

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """The last part of its address."""
        return self.url.rpartition("/")[2]


def fetch(name: str, remote: Sequence[RemoteFile], folder: Path) -> list[Path]:
    """The files in `folder`, each downloaded if it is not there.

    Args:
        name: The data set's name, for messages.
        remote: What is needed.
        folder: Where a user may have put them, and where they are kept.

    Raises:
        OnebitError: A file is absent and cannot be downloaded, or is not the published one.
    """
    for file in remote:
        path = folder / file.name
        if not path.is_file():
            _download(name, file, remote, folder)
        elif files.sha256(path) != file.sha256:
            raise OnebitError(
                f"{path} is not the published file: its SHA-256 is not {file.sha256}; remove it, "
                f"or fetch {file.url} again"
            )
    return [folder / file.name for file in remote]


def _download(name: str, file: RemoteFile, remote: Sequence[RemoteFile], folder: Path) -> None:
    from onebit.keras import keras

    # Keras reports on standard output, which is for results.
    with contextlib.redirect_stdout(sys.stderr), files.replacing(folder / file.name) as path:
        try:
            keras.utils.get_file(
                path.name, file.url, cache_dir=path.parent, cache_subdir="", file_hash=file.sha256
            )
        except Exception as error:  # Keras wraps every failure to fetch in a plain Exception
            absent = [other.name for other in remote if not (folder / other.name).is_file()]
            raise OnebitError(
                f"{name} is not here and cannot be downloaded ({first_line(error)}); put "
                f"{', '.join(absent)} from {file.url.rpartition('/')[0]}/ into {folder}"
            ) from error
