"""The target `tflm`."""

from functools import partial

from convert.targets.c_array import c_identifier
from convert.targets.target import Export, Target
from convert.targets.tflm.project import tflm_files
from onebit.own_folders import require_own_folder, write_folder


def _write(export: Export) -> str:
    name = c_identifier(export.options.name or export.path.name)
    files = tflm_files(export.content, export.source, name)
    write_folder(export.path, files, target="tflm")
    return f"{len(files)} files for TensorFlow Lite Micro; README.md says what to call"


TARGET = Target(_write, partial(require_own_folder, target="tflm"), None, ("name",))
