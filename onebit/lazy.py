"""Packages whose names are imported when they are first used."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(package: str, module_of: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's `__getattr__` that imports each of its names when it is first asked for.

    It keeps `import zoo` and `python -m zoo --help` from waiting seconds for TensorFlow:

        __getattr__ = lazy_names(__name__, {"build": "zoo.factory"})

    Args:
        package: The name of the module that gets the function.
        module_of: Exported name → module that defines it.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807 - it is bound to that name
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(module_of[name]), name)

    return __getattr__
