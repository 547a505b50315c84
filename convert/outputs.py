"""Converted files: those that Onebit wrote may be overwritten, any other only when asked to."""

import hashlib
import os
from pathlib import Path

from convert.report_files import read_report, report_path_of
from onebit.errors import OnebitError
from onebit.files import is_empty, refuse_foreign


def require_own_tflite(path: str | os.PathLike[str], force: bool = False) -> None:
    """Refuses to overwrite a `.tflite` file, or a report beside it, that Onebit did not write.

    Onebit's files have a report beside them with their SHA-256.

    Raises:
        OnebitError: The file is another one, and `force` is not given.
    """
    target = Path(path)
    report_path = report_path_of(target)
    digest = None
    if not is_empty(report_path):
        try:
            digest = read_report(report_path).file.sha256
        except OnebitError as error:
            refuse_foreign(report_path, force, error)
    if not is_empty(target) and hashlib.sha256(target.read_bytes()).hexdigest() != digest:
        refuse_foreign(target, force)
