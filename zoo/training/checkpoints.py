"""Writes the run folder, whose files `zoo.runs.run` describes and reads."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import onebit
from onebit import files, provenance
from onebit.errors import UsageError
from zoo.datasets import Dataset, Split
from zoo.datasets.preprocessing import Preprocessor
from zoo.recipes import STAGES, Recipe
from zoo.runs.run import (
    CARD,
    CHECKPOINTS,
    CONFIG,
    HISTORY,
    LATENT_MOMENTS,
    LOGS,
    MAX_SAMPLES,
    MODEL,
    PREPROCESSING,
    SAMPLES,
    SCHEMA_VERSION,
    TOKENIZER,
    with_current_names,
)

if TYPE_CHECKING:
    from onebit.keras import keras
    from zoo.datasets._tfrecords import RecordSplit


def open_run_folder(
    folder: Path,
    recipe: Recipe,
    options: Mapping[str, Any],
    dataset: Dataset,
    *,
    command: str | None,
    restart: bool,
) -> None:
    """Makes `folder` this training's run folder, or checks that it is.

    Args:
        folder: A run folder, an empty folder, or a path at which there is nothing.
        recipe: What is trained.
        options: Every option of its model, the defaults too.
        dataset: What the recipe trains on.
        command: The command line that resumes the training.
        restart: Remove the run that is there; other files stay.

    Raises:
        UsageError: It holds another training, or something else.
        OnebitError: It cannot be written.
    """
    training = {
        "recipe": _json(dataclasses.asdict(recipe)),
        "options": _json(options),
        "dataset_sha256": dataset.sha256,
    }
    path = folder / CONFIG
    _sweep(folder)
    if path.is_file() and not restart:
        difference = _difference(_mapping(files.read_json(path)), training)
        if difference:
            raise UsageError(
                f"{folder} holds a run with {difference}; give another folder, or --restart to "
                "train again"
            )
        return
    if path.is_file():
        _remove_run(folder)
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not a run folder; give a new or empty one")
    files.write_json(
        path,
        {
            "schema_version": SCHEMA_VERSION,
            **training,
            "command": command,
            "created": provenance.utc_now(),
            "commit": provenance.commit(),
            "versions": provenance.versions(["tensorflow", "tf-keras", "larq", "numpy"]),
        },
    )


def is_finished(folder: Path, recipe: Recipe) -> bool:
    """Whether `folder` holds the finished run of that recipe; needs neither data nor TensorFlow."""
    if not (folder / CARD).is_file() or not (folder / CONFIG).is_file():
        return False
    config = _mapping(files.read_json(folder / CONFIG))
    return config.get("recipe") == _json(dataclasses.asdict(recipe))


def _mapping(value: Any) -> Mapping[str, Any]:
    """A configuration in today's terms: present names, and defaults of settings that are newer."""
    if not isinstance(value, dict):
        return {}
    config = with_current_names(value)
    return {**config, "recipe": _with_defaults(config.get("recipe"))}


def _with_defaults(recipe: Any) -> Any:
    if not isinstance(recipe, dict):
        return recipe
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(Recipe)
        if field.default is not dataclasses.MISSING and field.name not in recipe
    }
    stages = {stage: _with_defaults(recipe.get(stage)) for stage in STAGES}
    return {**_json(defaults), **recipe, **stages}


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first thing in which two trainings differ: "epochs 60, not 3"."""
    for key, value in now.items():
        old = before.get(key)
        if old == value:
            continue
        if isinstance(value, dict) and isinstance(old, dict):
            return _difference(old, value) or f"other {key}"
        return f"{key} {old}, not {value}"
    return None


def _sweep(folder: Path) -> None:
    """Removes what a killed process was about to write; the names are those of `onebit.files`."""
    for name in (CONFIG, HISTORY, MODEL, SAMPLES, PREPROCESSING, LATENT_MOMENTS, TOKENIZER, CARD):
        for leftover in folder.glob(f".{name}.*"):
            shutil.rmtree(leftover, ignore_errors=True)


def _remove_run(folder: Path) -> None:
    """Removes the files of a run, and nothing else.

    The card goes first, since it marks the run as finished, the configuration last, since without
    it what is left would be no run folder.
    """
    for name in (CARD, MODEL, SAMPLES, PREPROCESSING, LATENT_MOMENTS, TOKENIZER, HISTORY):
        (folder / name).unlink(missing_ok=True)
    for name in (CHECKPOINTS, LOGS):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / CONFIG).unlink()


def write_history(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Rewrites history.jsonl."""
    lines = (json.dumps(epoch, allow_nan=False) + "\n" for epoch in history)
    files.write_text(folder / HISTORY, "".join(lines))


def finish(
    folder: Path,
    model: keras.Model,
    recipe: Recipe,
    options: Mapping[str, Any],
    dataset: Dataset,
    preprocessor: Preprocessor | None,
    *,
    accuracy: float,
    latent_weights_accuracy: float | None,
    latent_moments: Mapping[str, NDArray[np.float32]] | None,
    command: str | None,
) -> None:
    """Writes the model, the samples and, last, the card, which marks the run as finished."""
    with files.replacing(folder / MODEL) as temporary:
        model.save(temporary)
    _write_samples(folder / SAMPLES, dataset.test)
    if preprocessor and preprocessor.arrays:
        with files.replacing(folder / PREPROCESSING) as temporary:
            np.savez(temporary, **preprocessor.arrays)
    if latent_moments is not None:
        with files.replacing(folder / LATENT_MOMENTS) as temporary:
            np.savez(temporary, **latent_moments)
    if dataset.tokenizer is not None:
        files.write_bytes(folder / TOKENIZER, dataset.tokenizer)
    files.write_json(
        folder / CARD,
        {
            "schema_version": SCHEMA_VERSION,
            "name": recipe.model,
            "options": _json(options),
            "recipe": recipe.name,
            "seed": recipe.seed,
            "commit": provenance.commit(),
            "created": provenance.utc_now(),
            "onebit_version": onebit.__version__,
            "dataset": {
                "name": dataset.name,
                "sha256": dataset.sha256,
                "train_samples": len(dataset.train),
                "test_samples": len(dataset.test),
            },
            "input_shape": list(dataset.input_shape),
            "preprocessing": recipe.preprocessing and dataclasses.asdict(recipe.preprocessing),
            "preprocessing_sha256": (
                files.sha256(folder / PREPROCESSING)
                if preprocessor and preprocessor.arrays
                else None
            ),
            "classes": list(dataset.classes),
            "accuracy": {"value": accuracy, "split": "test", "samples": len(dataset.test)},
            "latent_weights_accuracy": latent_weights_accuracy,
            "latent_moments_sha256": None
            if latent_moments is None
            else files.sha256(folder / LATENT_MOMENTS),
            "parameters": model.count_params(),
            "model_sha256": files.sha256(folder / MODEL),
            "samples_sha256": files.sha256(folder / SAMPLES),
            "tokenizer_sha256": None
            if dataset.tokenizer is None
            else files.sha256(folder / TOKENIZER),
            "command": command,
        },
    )


def _write_samples(path: Path, split: Split | RecordSplit) -> None:
    kept = split.first(MAX_SAMPLES)
    with files.replacing(path) as temporary:
        kind = "images" if kept.images.dtype == np.uint8 else "tokens"
        np.savez_compressed(temporary, **{kind: kept.images, "labels": kept.labels})


def _json(value: Any) -> Any:
    """`value` as reading it back from JSON gives it, so that both can be compared."""
    return json.loads(json.dumps(value, allow_nan=False))
