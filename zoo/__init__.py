"""Binary network families, data sets, recipes and training.

    >>> import zoo
    >>> model = zoo.build("binary_net_mlp", units=256)
    >>> run = zoo.load_run("runs/bnn")

TensorFlow is imported when the first of these names needs it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.datasets import Dataset, load_dataset
    from zoo.registry import build, names
    from zoo.run import Run, load_run

_MODULE_OF = {
    "Dataset": "zoo.datasets",
    "Run": "zoo.run",
    "build": "zoo.registry",
    "load_dataset": "zoo.datasets",
    "load_run": "zoo.run",
    "names": "zoo.registry",
}

__all__ = ["Dataset", "Run", "build", "load_dataset", "load_run", "names"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)
