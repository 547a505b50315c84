"""Damaged files: operators whose parts don't fit together."""

import contextlib
import struct
from collections.abc import Iterator

from convert.errors import FlatbufferError

# Errors that come up on truncated or scrambled bytes, which the generated reader does not check.
DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


@contextlib.contextmanager
def refusing_damage(name: str, done: str) -> Iterator[None]:
    """While the block works on a file's operators, what inconsistent ones raise becomes one line.

    Args:
        name: What error messages call the file.
        done: What is done with it, such as `read`.

    Raises:
        FlatbufferError: The block raised one of `DAMAGE`.
    """
    try:
        yield
    except DAMAGE as error:
        raise FlatbufferError(
            f"{name} cannot be {done}: the shapes, options or constants of an operator do not fit "
            "together"
        ) from error
