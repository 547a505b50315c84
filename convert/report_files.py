"""Reports as files: their place, and how those of older versions are read."""

import os
from pathlib import Path

from convert.report import Report
from onebit.dataclass_json import decode
from onebit.errors import OnebitError
from onebit.files import read_json

_RETIRED = {
    "mend": "fix",
    "flips": "bit_flips",
    "pieces": "tensors",
    "step": "scale",
    "difference_in_steps": "difference_in_scales",
}
"""The names of fields in reports of version 0.1.0."""


def report_path_of(path: Path) -> Path:
    """The place of a `.tflite` file's report: `model.tflite` → `model.report.json`."""
    return path.with_suffix(".report.json")


def read_report(path: str | os.PathLike[str]) -> Report:
    """A report that this or an older version wrote.

    Raises:
        OnebitError: The file is missing, or is not a conversion report.
    """
    content = read_json(path)
    try:
        return decode(Report, content, "report", _RETIRED)
    except ValueError as error:
        raise OnebitError(f"{path} is not a conversion report: {error}") from error
