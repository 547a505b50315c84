"""Standard output and error of the commands, on full devices and in narrow encodings.

Standard output that cannot be written ends a command with one line; a broken pipe, as `| head`
leaves it, without a word. Standard error only says how things go: what cannot be written there is
dropped, and the command goes on. Characters that an encoding lacks are replaced.
"""

import io
import os
import sys
from typing import Any, TextIO

from onebit.errors import OnebitError


class _Output(io.FileIO):
    """Standard output, whose first failure ends the command."""

    def __init__(self) -> None:
        super().__init__(1, "w", closefd=False)
        self._failed = False

    def write(self, content: Any, /) -> int:
        """Writes bytes; after a failure Python's buffers still hold some, which are dropped."""
        if self._failed:
            return len(content)
        try:
            return super().write(content)
        except BrokenPipeError:  # click and rich end the command
            self._failed = True
            raise
        except OSError as error:
            self._failed = True
            raise OnebitError(
                f"cannot write standard output: {error.strerror}",
                hint="free the space, or send it elsewhere",
            ) from error


class _Messages(io.FileIO):
    """Standard error, whose failures change nothing."""

    def __init__(self) -> None:
        super().__init__(2, "w", closefd=False)

    def write(self, content: Any, /) -> int:
        """Writes bytes, or drops them."""
        try:
            return super().write(content)
        except OSError:
            return len(content)


def prepare() -> None:
    """Makes `sys.stdout` and `sys.stderr` such streams; what a program put there stays.

    A closed one, as `>&-` leaves it, becomes the null device.
    """
    if sys.stdout is None:
        sys.stdout = _null_device()
    elif sys.stdout is sys.__stdout__:
        sys.stdout = _text(_Output(), sys.stdout, errors="replace")
    if sys.stderr is None:
        sys.stderr = _null_device()
    elif sys.stderr is sys.__stderr__:
        sys.stderr = _text(_Messages(), sys.stderr, errors="backslashreplace")


def _null_device() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def _text(raw: io.FileIO, before: Any, errors: str) -> TextIO:
    """Text over a descriptor, in the encoding of the stream before."""
    before.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=before.encoding,
        errors=errors,
        line_buffering=before.line_buffering,
    )
