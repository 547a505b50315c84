"""Errors that a user can act on."""

import difflib
from collections.abc import Iterable


class OnebitError(Exception):
    """A failure that one line explains: what is wrong, with which file or option, and the mend.

    Command lines print the message without a traceback and exit with `exit_code`.
    """

    exit_code = 1


class UsageError(OnebitError):
    """The command, its options or its arguments are wrong; nothing was attempted."""

    exit_code = 2


def first_line(error: BaseException) -> str:
    """The first non-empty line of an exception's message, or its type's name."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


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
