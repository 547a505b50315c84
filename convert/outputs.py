"""Output files: those that Onebit wrote may be overwritten, any other only when asked to."""

import hashlib
import os
from pathlib import Path

import numpy as np

from convert.report_files import read_report, report_path_of
from convert.tflite.c_header import FIRST_LINE
from onebit.errors import OnebitError

_HINT = "give another path, or pass --force (force=True) to overwrite it"


def require_own_tflite(path: str | os.PathLike[str], force: bool = False) -> None:
    """Refuses to overwrite a `.tflite` file, or a report beside it, that Onebit did not write.

    Onebit's files have a report beside them with their SHA-256.

    Raises:
        OnebitError: The file is another one, and `force` is not given.
    """
    target = Path(path)
    report_path = report_path_of(target)
    digest = None
    if not _is_empty(report_path):
        try:
            digest = read_report(report_path).file.sha256
        except OnebitError as error:
            _refuse(report_path, force, error)
    if not _is_empty(target) and hashlib.sha256(target.read_bytes()).hexdigest() != digest:
        _refuse(target, force)


def require_own_header(path: Path, force: bool = False) -> None:
    """Refuses to overwrite a file that is not a header written by Onebit.

    Raises:
        OnebitError: It is another one, and `force` is not given.
    """
    if not _is_empty(path) and not path.read_bytes().startswith(FIRST_LINE.encode()):
        _refuse(path, force)


def require_own_weights(path: Path, force: bool = False) -> None:
    """Refuses to overwrite a file that does not hold packed weights.

    Raises:
        OnebitError: It is another one, and `force` is not given.
    """
    if _is_empty(path):
        return
    try:
        with np.load(path, allow_pickle=False) as content:
            known = "layout" in content
    except Exception:  # whatever NumPy's readers raise: it is not such a file
        known = False
    if not known:
        _refuse(path, force)


def _is_empty(path: Path) -> bool:
    """Whether there is nothing to lose at a place."""
    return not path.is_file() or path.stat().st_size == 0


def _refuse(path: Path, force: bool, cause: Exception | None = None) -> None:
    if not force:
        raise OnebitError(
            f"{path} exists, and Onebit did not write it", hint=_HINT, reason="not-ours"
        ) from cause
