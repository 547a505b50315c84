"""Files of result rows: JSON Lines, written row by row."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from edge.results.row import Row
from edge.results.row_json import from_json, to_json
from onebit.errors import OnebitError, UsageError

ROW_START = b'{"run": {'


class RowWriter:
    """Writes rows to a file, each flushed to disk as it comes, so that a kill loses no earlier one.

    What the file held stays until the first row is written, then it is replaced, or kept in front
    when `append` is set.

    Raises:
        UsageError: The path is a folder or cannot be written; known before anything is measured.
    """

    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        self._path, self._replace = Path(path), not append
        existed = self._path.exists()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = open(self._path, "a", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            blocked = isinstance(error, FileExistsError | NotADirectoryError)
            reason = f"{self._path.parent} is not a folder" if blocked else error.strerror
            raise UsageError(
                f"cannot write {path}: {reason}; give another path after -o"
            ) from error
        self._created = not existed

    def write(self, row: Row) -> None:
        """Appends one row.

        Raises:
            OnebitError: The disk is full or the file went away.
        """
        try:
            if self._replace:
                self._file.truncate(0)
                self._replace = False
            self._file.write(to_json(row) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OnebitError(f"cannot write {self._path}: {error.strerror}") from error
        self._created = False

    def close(self) -> None:
        """Closes the file, and removes it if it is new and no row came."""
        self._file.close()
        if self._created:
            self._path.unlink(missing_ok=True)


def cut_torn_line(path: str | os.PathLike[str]) -> None:
    """Removes a last line that a kill left unfinished, so that rows can be appended.

    Raises:
        OnebitError: The file cannot be changed, or what it ends with was never a row.
    """
    try:
        with open(path, "r+b") as file:
            content = file.read()
            start = content.rfind(b"\n") + 1
            torn = content[start:]
            if torn and not torn.startswith(ROW_START) and not ROW_START.startswith(torn):
                raise OnebitError(f"{path} does not end with a result row; give another file")
            file.truncate(start)
    except OSError as error:
        raise OnebitError(f"cannot mend {path}: {error.strerror}") from error


def read_rows(paths: Iterable[str | os.PathLike[str]]) -> list[Row]:
    """The rows of one or more JSON Lines files, in their order; blank lines are skipped.

    Raises:
        OnebitError: A file cannot be read, or a line is not a row; the message names the file and
            the line.
    """
    rows = []
    for path in paths:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise OnebitError(f"{path} is not a file of result rows: it is not text") from error
        except OSError as error:
            raise OnebitError(f"cannot read {path}: {error.strerror}") from error
        for number, line in enumerate(text.split("\n"), start=1):
            if not line.strip():
                continue
            try:
                rows.append(from_json(line))
            except ValueError as error:
                raise OnebitError(f"{path}, line {number} is not a result row: {error}") from error
    return rows
