"""Errors that a user can act on."""


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
