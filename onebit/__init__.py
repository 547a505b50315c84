"""Code that the three stages share: error lines, atomic files, bit packing, finding the delegate.

It imports none of `zoo`, `convert` and `edge`, and only `onebit.keras` imports TensorFlow.
"""

import importlib
import os
import sys

__version__ = "0.1.0"

# Larq needs Keras 2, and TensorFlow decides at its first import, by this variable, which Keras it
# brings. It is set here so that `import zoo` suffices, even if TensorFlow is
# imported before anything of it is used.
os.environ["TF_USE_LEGACY_KERAS"] = "1"

_keras_modules: list[str] = []

keras3_modules: list[str] = []
"""Modules with classes of saved Keras 3 models; the process that loads such files imports them."""


def register_keras_modules(*names: str) -> None:
    """Has `onebit.keras` import these modules, at once when it is itself imported already.

    A package whose classes appear in saved models names their modules here. Loading such a file
    then works after importing the package, which itself need not import TensorFlow.
    """
    _keras_modules.extend(names)
    if "onebit.keras" in sys.modules:
        import_keras_modules()


def import_keras_modules() -> None:
    """Imports what was registered; `onebit.keras` calls it when it is ready."""
    for name in _keras_modules:
        importlib.import_module(name)
