"""The target `c`."""

from convert.targets.c.project import project_files
from convert.targets.c_array import c_identifier
from convert.targets.target import Export, Target
from onebit.own_folders import require_own_folder, write_folder


def _write(export: Export) -> str:
    name = c_identifier(export.options.name or export.path.name)
    files, about = project_files(export.content, export.source, name)
    write_folder(export.path, files, target="c", network=about)
    return f"{len(files)} files; try: make -C {export.path.name} check"


TARGET = Target(_write, require_own_folder, None, ("name",))
