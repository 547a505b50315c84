"""Finds the delegate with which stock LiteRT runs files of Larq Compute Engine."""

import importlib
import importlib.util
import platform
from dataclasses import dataclass
from pathlib import Path

from onebit import __version__

PACKAGE = "onebit_delegate"
HINT = (
    "in a checkout run `make delegate`; elsewhere install Onebit's wheel for this platform, "
    f"onebit-{__version__}-py3-none-manylinux_2_28_{platform.machine()}.whl"
)
"""How to get the delegate where it is missing."""


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
    """The library of the package `onebit_delegate`; None where there is no package or no library.

    Onebit's wheels bring both; in a checkout `make delegate` builds the library.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        return None
    package = importlib.import_module(PACKAGE)
    try:
        return Delegate(package.library_path(), f"onebit-delegate {package.__version__}")
    except FileNotFoundError:
        return None
