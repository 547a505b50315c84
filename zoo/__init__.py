"""Binary network families, data sets, recipes and training.

    >>> import zoo
    >>> model = zoo.build("binary_net_mlp", units=256)
    >>> run = zoo.load_run("runs/bnn")

TensorFlow is imported when the first of these names needs it.
"""

from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from onebit import keras3_modules, register_keras_modules
from onebit.lazy import lazy_names

if TYPE_CHECKING:
    from zoo.datasets import Dataset, load_dataset
    from zoo.factory import build, names
    from zoo.recipes import Recipe, resolve_recipe
    from zoo.runs.packed_weights import export, load_trained
    from zoo.runs.run import Run, load_run
    from zoo.training.evaluation import evaluate
    from zoo.training.loop import train

_MODULE_OF = {
    "Dataset": "zoo.datasets",
    "Recipe": "zoo.recipes",
    "Run": "zoo.runs.run",
    "build": "zoo.factory",
    "evaluate": "zoo.training.evaluation",
    "export": "zoo.runs.packed_weights",
    "load_dataset": "zoo.datasets",
    "load_run": "zoo.runs.run",
    "load_trained": "zoo.runs.packed_weights",
    "names": "zoo.factory",
    "resolve_recipe": "zoo.recipes",
    "train": "zoo.training.loop",
}

__all__ = [
    "Dataset",
    "Recipe",
    "Run",
    "build",
    "evaluate",
    "export",
    "load_dataset",
    "load_run",
    "load_trained",
    "names",
    "resolve_recipe",
    "train",
]

# Saved models hold these modules' classes.
register_keras_modules(
    *(
        f"zoo.layers.{module.name}"
        for module in iter_modules([str(Path(__file__).parent / "layers")])
    ),
    "zoo.training.losses",
)

keras3_modules.append("zoo.keras3.models")

__getattr__ = lazy_names(__name__, _MODULE_OF)
