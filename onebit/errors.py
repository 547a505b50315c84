"""Errors that a user can act on."""

import difflib
import os
from collections.abc import Iterable


class OnebitError(Exception):
    """A failure that one line explains: what is wrong, with which file or option, and the fix.

    Command lines print it without a traceback and exit with `exit_code`. Code never reads the
    message: it looks at the type, at `reason` and at `hint`.

    Attributes:
        message: What is wrong.
        hint: How to fix it; None where the message says it or nothing is known.
        reason: A code that programs compare, such as `no-python`; None where nothing needs one.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, reason: str | None = None):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.reason = reason

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}; {self.hint}"


class UsageError(OnebitError):
    """The command, its options or its arguments are wrong; nothing was attempted."""

    exit_code = 2


def first_line(error: BaseException) -> str:
    """The first non-empty line of an exception's message, or its type's name."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def unreadable(path: str | os.PathLike[str], error: OSError) -> str:
    """The message about a file that could not be read.

    >>> unreadable("a.npz", FileNotFoundError(2, "No such file or directory"))
    'a.npz does not exist'
    >>> unreadable("a.npz", PermissionError(13, "Permission denied"))
    'cannot read a.npz: Permission denied'
    """
    if isinstance(error, FileNotFoundError):
        return f"{path} does not exist"
    return f"cannot read {path}: {error.strerror or error}"


def near_matches(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: what was probably meant, or what there is.

    >>> near_matches("epoch", ["epochs", "seed"])
    'did you mean epochs?'
    >>> near_matches("x", ["epochs", "seed"])
    'known: epochs, seed'
    """
    most = 30
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3)
    if close:
        return f"did you mean {' or '.join(close)}?"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"known: {', '.join(names[:most]) or 'none'}{more}"
