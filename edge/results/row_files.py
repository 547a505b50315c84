"""Files of result rows: JSON Lines, written row by row."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from edge.results.row import Row
from edge.results.row_json import from_json, to_json
from onebit.errors import OnebitError, UsageError, unreadable
from onebit.files import is_endless

ROW_START = b'{"run": {'
PathLike = str | os.PathLike[str]


class RowWriter:
    """Writes rows to a file, each flushed to disk as it comes, so that a kill loses no earlier one.

    Rows that the file holds are kept in front of the new ones. Without `append` they stay until
    the first new row is written, which then replaces them.

    Raises:
        UsageError: The path is a folder, cannot be written, or holds something other than rows;
            known before anything is measured.
    """

    def __init__(self, path: PathLike, append: bool = True) -> None:
        self._path, self._replace = Path(path), not append
        existed = self._path.exists()
        if existed and not self._path.is_file() and not self._path.is_dir():
            # Reading what a device holds may never end.
            raise UsageError(
                f"{path} is not a file", hint="--format jsonl prints rows to standard output"
            )
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = open(self._path, "a", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            blocked = isinstance(error, FileExistsError | NotADirectoryError)
            reason = f"{self._path.parent} is not a folder" if blocked else error.strerror
            raise UsageError(
                f"cannot write {path}: {reason}", hint="give another path after -o"
            ) from error
        self._created = not existed
        if existed:
            try:
                repair_rows(self._path)
            except OnebitError:
                self._file.close()
                raise

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
            with contextlib.suppress(OSError):  # it writes what is left of the row, and fails again
                self._file.close()
            raise OnebitError(f"cannot write {self._path}: {error.strerror}") from error
        self._created = False

    def close(self) -> None:
        """Closes the file, and removes it if it is new and no row came."""
        self._file.close()
        if self._created:
            self._path.unlink(missing_ok=True)


def repair_rows(path: PathLike) -> None:
    """Ends a file of rows with a whole line, so that rows can be appended.

    A last line that a kill left unfinished is removed; a whole row gets its missing line break.

    Raises:
        UsageError: The file holds something other than result rows.
        OnebitError: The file cannot be read or changed.
    """
    try:
        with open(path, "r+b") as file:
            content = file.read()
            start = content.rfind(b"\n") + 1
            first, last = content[:start].strip().partition(b"\n")[0], content[start:].strip()
            unfinished = last.startswith(ROW_START) or ROW_START.startswith(last)
            if (first and not _is_row(first)) or not (unfinished or _is_row(last)):
                raise UsageError(
                    f"{path} holds something other than result rows", hint="give another file"
                )
            if _is_row(last):
                file.write(b"\n")
            else:
                file.truncate(start)
    except OSError as error:
        raise OnebitError(f"cannot repair {path}: {error.strerror}") from error


def _is_row(line: bytes) -> bool:
    try:
        return bool(from_json(line.decode()))
    except ValueError:
        return False


def read_rows(paths: PathLike | Iterable[PathLike]) -> list[Row]:
    """The rows of one or more JSON Lines files, in their order; blank lines are skipped.

    Raises:
        UsageError: A file does not exist.
        OnebitError: A file cannot be read, or a line is not a row; the message names the file and
            the line.
    """
    rows = []
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        if is_endless(Path(path)):
            raise UsageError(f"{path} is a device, not a file of result rows")
        try:
            text = Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise OnebitError(f"{path} is not a file of result rows: it is not text") from error
        except OSError as error:
            # Not 1, with which `edge compare` ends after a regression.
            raise UsageError(unreadable(path, error)) from error
        for number, line in enumerate(text.split("\n"), start=1):
            if not line.strip():
                continue
            try:
                rows.append(from_json(line))
            except ValueError as error:
                raise OnebitError(f"{path}, line {number} is not a result row: {error}") from error
    return rows
