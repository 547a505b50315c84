"""Larq Compute Engine's extension modules, loaded from their files.

Importing LCE's package imports TensorFlow, which takes seconds where an extension module takes a
tenth of one, and which cannot be had where TensorFlow has chosen Keras 3. NumPy is not imported
either: the process of a conversion does without.
"""

import glob
import importlib.util
import os
import sys
from typing import Any


def is_installed() -> bool:
    """Whether LCE is there, with its interpreter."""
    return importlib.util.find_spec("larq_compute_engine") is not None


def load_extension(folder: str, name: str) -> Any:
    """One of LCE's extension modules.

    It gets the name that LCE's package gives it: a second copy could not be loaded.

    Args:
        folder: Where it is in the package, such as `mlir`.
        name: Its name.

    Raises:
        ImportError: LCE is not installed, or not as version 0.16 is.
    """
    full_name = ".".join(["larq_compute_engine", *folder.split("/"), name])
    if full_name in sys.modules:
        return sys.modules[full_name]
    package = importlib.util.find_spec("larq_compute_engine")
    if package is None or not package.submodule_search_locations:
        raise ImportError("no module named larq_compute_engine")
    place = os.path.join(next(iter(package.submodule_search_locations)), *folder.split("/"))
    for path in glob.glob(os.path.join(glob.escape(place), f"{name}*")):
        spec = importlib.util.spec_from_file_location(full_name, path)
        if spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            sys.modules[full_name] = module
            return module
    raise ImportError(f"larq_compute_engine has no {name} in {place}")
