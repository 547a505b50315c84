"""`edge/runner/` as the one file that goes to a device."""

import io
import os
import zipfile
from pathlib import Path

FILE = "runner.pyz"
PACKAGE = "onebit_runner"
_MAIN = f"import sys\nfrom {PACKAGE}.main import main\nsys.exit(main(sys.argv[1:]))\n"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def runner_archive() -> bytes:
    """A zip that `python runner.pyz` runs (PEP 441).

    The standard library's zipapp would do the same, but puts the files' times into it: without them
    equal sources give equal bytes, and a device that has this file by its hash needs no other.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:  # stored: the device may lack zlib
        content.writestr(zipfile.ZipInfo("__main__.py", _LONG_AGO), _MAIN)
        for path in sorted((Path(__file__).parents[1] / "runner").glob("*.py")):
            if path.name != "__main__.py":
                info = zipfile.ZipInfo(f"{PACKAGE}/{path.name}", _LONG_AGO)
                content.writestr(info, path.read_bytes())
    return archive.getvalue()


def write_runner(folder: str | os.PathLike[str]) -> Path:
    """Writes the archive into a folder; returns its path."""
    path = Path(folder) / FILE
    path.write_bytes(runner_archive())
    return path
