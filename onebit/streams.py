"""Standard error of native code, which writes past Python's streams."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator

from onebit.console import stderr_console


@contextlib.contextmanager
def held_stderr() -> Iterator[Callable[[], str]]:
    """Holds back what is written to file descriptor 2, by native code too.

    On a terminal `console.stderr_console` goes on showing what it shows, so that spinners move.

    Yields a function that gives the text held so far; it may still be called after the block.
    """
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as file:
        text = ""

        def held() -> str:
            return text if file.closed else _content(file.fileno())

        os.dup2(file.fileno(), 2)
        try:
            with _shown_on(original):
                yield held
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
            text = held()


@contextlib.contextmanager
def _shown_on(descriptor: int) -> Iterator[None]:
    """Lets the console write to a descriptor, if that is a terminal."""
    if not os.isatty(descriptor):
        yield
        return
    before = stderr_console.file
    with open(descriptor, "w", encoding="utf-8", closefd=False) as terminal:
        stderr_console.file = terminal
        try:
            yield
        finally:
            stderr_console.file = before


def _content(descriptor: int) -> str:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode("utf-8", "replace")
