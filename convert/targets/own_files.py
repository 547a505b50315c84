"""Outputs: those that Onebit wrote may be overwritten, any other only when asked to."""

from pathlib import Path

import numpy as np

from onebit.files import require_own

HEADER_LINE = "// Written by `onebit convert`; do not edit."
"""The first line of C headers that Onebit writes."""


def require_own_header(path: Path, force: bool = False) -> None:
    """Refuses to overwrite a file that is not a header written by Onebit.

    Raises:
        OnebitError: It is another one, and `force` is not given.
    """
    require_own(path, lambda file: file.read_bytes().startswith(HEADER_LINE.encode()), force)


def require_own_weights(path: Path, force: bool = False) -> None:
    """Refuses to overwrite a file that does not hold packed weights.

    Raises:
        OnebitError: It is another one, and `force` is not given.
    """
    require_own(path, _holds_packed_weights, force)


def _holds_packed_weights(path: Path) -> bool:
    with np.load(path, allow_pickle=False) as content:
        return "layout" in content
