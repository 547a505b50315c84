"""A converted model, and how it is written."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from convert.errors import ConversionError
from convert.outputs import require_own_tflite
from convert.report import Report
from convert.report_files import report_path_of
from onebit.files import replacing, write_json

Stage = Callable[[str], None]
"""Called with the name of each stage as it begins."""


@dataclass(frozen=True)
class Conversion:
    """A converted model.

    Attributes:
        tflite: The `.tflite` file.
        report: Its layers, and how well it agrees with what it was made from.
    """

    tflite: bytes
    report: Report

    def save(
        self, path: str | os.PathLike[str], *, keep_mismatch: bool = False, force: bool = False
    ) -> Path:
        """Writes the file, and the report beside it; returns the report's path.

        Args:
            path: The file.
            keep_mismatch: Whether to write it even if it disagrees with that.
            force: Whether to overwrite a file that Onebit did not write.

        Raises:
            ConversionError: The file disagrees with that; nothing is written.
            OnebitError: The place cannot be written, or holds another file; nothing is changed.
        """
        found = [] if self.report.verification is None else self.report.verification.mismatches()
        if found and not keep_mismatch:
            reference = self.report.verification.reference if self.report.verification else ""
            raise ConversionError(
                f"the converted file disagrees with {reference}: {'; '.join(found)}; nothing was "
                "written",
                hint="pass --keep-mismatch (keep_mismatch=True) to write the file and its report "
                "for a closer look",
            )
        require_own_tflite(path, force)
        target = Path(path)
        report_path = report_path_of(target)
        # The report goes first: a file without its report would pass for one of another converter.
        with replacing(target) as temporary:
            temporary.write_bytes(self.tflite)
            write_json(report_path, self.report.to_dict())
        return report_path
