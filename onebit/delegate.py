"""Finds the delegate with which stock LiteRT runs files of Larq Compute Engine."""

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

PACKAGE = "onebit_delegate"
MEND = "build it with `make delegate`, or install the package onebit-delegate"

_IN_TREE = Path(__file__).parents[1] / "edge" / "native" / "python" / PACKAGE / "__init__.py"


@dataclass(frozen=True)
class Delegate:
    """The delegate's library.

    Attributes:
        library: The shared library.
        label: What rows and reports call it: the package and its version.
    """

    library: Path
    label: str


def find_delegate() -> Delegate | None:
    """The installed package's library, else the one built in this checkout; None without both."""
    package = _package()
    if package is None:
        return None
    try:
        return Delegate(package.library_path(), f"onebit-delegate {package.__version__}")
    except FileNotFoundError:
        return None


def _package() -> ModuleType | None:
    if importlib.util.find_spec(PACKAGE) is not None:
        return importlib.import_module(PACKAGE)
    spec = importlib.util.spec_from_file_location(PACKAGE, _IN_TREE)
    if spec is None or spec.loader is None or not _IN_TREE.is_file():
        return None
    package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    return package
