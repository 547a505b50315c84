"""Writes a training's checkpoints and results, which `zoo.runs.run` describes and reads."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import onebit
from onebit import files, provenance
from onebit.dataclass_json import as_json
from onebit.errors import OnebitError, UsageError
from zoo.datasets import Dataset, Split
from zoo.datasets.preprocessing import Preprocessor
from zoo.recipes import Recipe
from zoo.runs.run import (
    CARD,
    CHECKPOINTS,
    HISTORY,
    LATENT_MOMENTS,
    MAX_SAMPLES,
    MODEL,
    PREPROCESSING,
    SAMPLES,
    SCHEMA_VERSION,
    TOKENIZER,
)

if TYPE_CHECKING:
    from onebit.keras import keras, tf
    from zoo.datasets._tfrecords import RecordSplit


def write_history(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Rewrites history.jsonl."""
    lines = (json.dumps(epoch, allow_nan=False) + "\n" for epoch in history)
    files.write_text(folder / HISTORY, "".join(lines))


def require_checkpoints_path(folder: Path) -> None:
    """Checks that TensorFlow can find checkpoints in a folder again.

    Raises:
        UsageError: Its path has what TensorFlow reads as a pattern.
    """
    found = sorted(set("*?[\\") & set(str(folder.resolve())))
    if found:
        raise UsageError(
            f"{folder}: TensorFlow would not find a checkpoint in a path with {' '.join(found)}; "
            "give another folder"
        )


def newest_checkpoint(folder: Path) -> str | None:
    """The path of a run's newest checkpoint without its suffix; None without any.

    Raises:
        OnebitError: The list of checkpoints is damaged.
    """
    from onebit.keras import tf

    listed = folder / CHECKPOINTS / "checkpoint"
    if not listed.exists():
        return None
    try:
        # Not `latest_checkpoint`, which takes a damaged list for none, and the path for a pattern.
        state = tf.train.get_checkpoint_state(str(listed.parent))
    except (ValueError, tf.errors.OpError) as error:
        raise damaged_checkpoints(folder) from error
    if state is None or not Path(f"{state.model_checkpoint_path}.index").is_file():
        raise damaged_checkpoints(folder)
    return str(state.model_checkpoint_path)


def damaged_checkpoints(folder: Path) -> OnebitError:
    """The error for checkpoints from which training cannot go on."""
    return OnebitError(
        f"{folder / CHECKPOINTS} is damaged or of another Onebit; train again with --restart"
    )


def epochs_done(folder: Path) -> int:
    """The number of the newest checkpoint, of which each epoch writes one; 0 without any."""
    newest = newest_checkpoint(folder)
    return int(newest.rpartition("-")[2]) if newest else 0


def random_states(model: keras.Model) -> Iterator[tf.random.Generator]:
    """The generators that the model draws from in training, in the order of its layers."""
    from onebit.keras import tf

    for layer in model.submodules:
        # Keras keeps dropout's generator out of checkpoints, though a resumed run needs it.
        hidden = getattr(getattr(layer, "_random_generator", None), "_generator", None)
        for generator in (hidden, getattr(layer, "generator", None)):
            if isinstance(generator, tf.random.Generator):
                yield generator


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
    more: Mapping[str, Any],
) -> None:
    """Writes the model, the samples and, last, the card, which marks the run as finished.

    Args:
        folder: The run folder.
        model: The trained model.
        recipe: What it was trained with.
        options: Every option of the model.
        dataset: What it was trained on.
        preprocessor: What its images go through; None for token ids.
        accuracy: On the test split, a fraction.
        latent_weights_accuracy: The same with latent weights, where weights were drawn.
        latent_moments: Their moments of batch normalisation.
        command: The command line to record.
        more: Further entries of the card, or others in place of these.
    """
    hashes = _write_parts(folder, model, dataset, preprocessor, latent_moments)
    files.write_json(
        folder / CARD,
        {
            "schema_version": SCHEMA_VERSION,
            "name": recipe.model,
            "options": as_json(options),
            "recipe": recipe.name,
            "seed": recipe.seed,
            "commit": provenance.commit(),
            "created": provenance.utc_now(),
            "onebit_version": onebit.__version__,
            "dataset": {
                "name": dataset.name,
                "sha256": dataset.sha256,
                **({"source": dataset.source} if dataset.source else {}),
                "train_samples": len(dataset.train),
                "test_samples": len(dataset.test),
            },
            "input_shape": list(dataset.input_shape),
            "preprocessing": recipe.preprocessing and dataclasses.asdict(recipe.preprocessing),
            "preprocessing_sha256": hashes.get(PREPROCESSING),
            "classes": list(dataset.classes),
            "accuracy": {"value": accuracy, "split": "test", "samples": len(dataset.test)},
            "latent_weights_accuracy": latent_weights_accuracy,
            "latent_moments_sha256": hashes.get(LATENT_MOMENTS),
            "parameters": model.count_params(),
            "model_sha256": hashes[MODEL],
            "samples_sha256": hashes[SAMPLES],
            "tokenizer_sha256": hashes.get(TOKENIZER),
            "command": command,
            **more,
        },
    )


def _write_parts(
    folder: Path,
    model: keras.Model,
    dataset: Dataset,
    preprocessor: Preprocessor | None,
    latent_moments: Mapping[str, NDArray[np.float32]] | None,
) -> dict[str, str]:
    """Writes what a finished run holds beside its card; the SHA-256 of each file."""
    written = [MODEL, SAMPLES]
    with files.replacing(folder / MODEL) as temporary:
        model.save(temporary)
    _write_samples(folder / SAMPLES, dataset.test)
    if preprocessor and preprocessor.arrays:
        files.write_arrays(folder / PREPROCESSING, preprocessor.arrays)
        written.append(PREPROCESSING)
    if latent_moments is not None:
        files.write_arrays(folder / LATENT_MOMENTS, latent_moments)
        written.append(LATENT_MOMENTS)
    if dataset.tokenizer is not None:
        files.write_bytes(folder / TOKENIZER, dataset.tokenizer)
        written.append(TOKENIZER)
    return {name: files.sha256(folder / name) for name in written}


def _write_samples(path: Path, split: Split | RecordSplit) -> None:
    kept = split.first(MAX_SAMPLES)
    kind = "images" if kept.images.dtype == np.uint8 else "tokens"
    files.write_arrays(path, {kind: kept.images, "labels": kept.labels}, compressed=True)
