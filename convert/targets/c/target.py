"""The target `c`."""

from functools import partial
from typing import cast

from convert.targets.c.pixels import PixelType
from convert.targets.c.project import project_files
from convert.targets.c_array import c_identifier
from convert.targets.target import Export, Target
from onebit.errors import UsageError
from onebit.own_folders import require_own_folder, write_folder


def _write(export: Export) -> str:
    name, kind = c_identifier(export.options.name or export.path.name), export.options.input_type
    if kind == "integer":
        raise UsageError(
            "--input-type integer has no effect with --to c", hint="write uint8 or int8"
        )
    pixels = None if kind in (None, "float") else cast(PixelType, kind)
    files, about = project_files(
        export.content, export.source, name, pixels, export.options.cmsis_nn
    )
    write_folder(export.path, files, target="c", network=about)
    given = " CMSIS_NN=/path/to/CMSIS-NN" if export.options.cmsis_nn else ""
    return f"{len(files)} files; try: make -C {export.shown} check{given}"


TARGET = Target(
    _write, partial(require_own_folder, target="c"), None, ("name", "input_type", "cmsis_nn")
)
