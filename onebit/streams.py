"""Standard error of native code, which writes past Python's streams."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def held_stderr() -> Iterator[Callable[[], str]]:
    """Holds back what is written to file descriptor 2, by native code too.

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
            yield held
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
            text = held()


def _content(descriptor: int) -> str:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode("utf-8", "replace")
