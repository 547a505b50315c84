"""A run folder of weights that were trained elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from onebit import files
from onebit.errors import UsageError
from zoo.datasets import naming_damage
from zoo.factory import build
from zoo.recipes import Recipe
from zoo.runs.run import Run, load_run
from zoo.runs.state_dicts import Place, load_state_dict
from zoo.runs.tensor_files import read_tensors
from zoo.training.checkpoints import finish
from zoo.training.evaluation import accuracy
from zoo.training.inputs import fitted_preprocessor, read_dataset


def import_run(
    recipe: Recipe,
    weights: Path,
    places: Mapping[str, Place],
    folder: Path,
    *,
    data: str | os.PathLike[str] | None = None,
    command: str | None = None,
) -> Run:
    """Writes a finished run whose weights come from a file, and returns it.

    The recipe names the model, its options, the data set and the preprocessing; nothing is
    trained. The card has the file's name and hash, and no seed.

    Args:
        recipe: What the weights were trained for.
        weights: A `.safetensors` or `.npz` file.
        places: The map of names (`zoo.runs.state_dicts`).
        folder: The run folder; new or empty.
        data: The folder of data sets, as for `load_dataset`.
        command: The command line to record.

    Raises:
        UsageError: The folder is not empty, the file is of another kind, or the preprocessing is
            for images of other channels.
        OnebitError: The weights do not fit the model, or the data set is missing or damaged.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists; give a new or empty folder")
    files.require_writable(folder)
    tensors = read_tensors(weights)
    dataset, options = read_dataset(recipe, data)
    model = build(recipe.model, **options)
    load_state_dict(model, tensors, places, str(weights))
    preprocessor = fitted_preprocessor(recipe, dataset)
    imported = {"file": weights.name, "sha256": files.sha256(weights)}
    with naming_damage(*dataset.splits), files.replacing(folder) as temporary:
        temporary.mkdir()
        finish(
            temporary,
            model,
            recipe,
            options,
            dataset,
            preprocessor,
            accuracy=accuracy(model, dataset.test, preprocessor),
            latent_weights_accuracy=None,
            latent_moments=None,
            command=command,
            more={"recipe": None, "seed": None, "imported": imported},
        )
    return load_run(folder)
