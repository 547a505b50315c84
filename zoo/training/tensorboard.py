"""Figures of a training for TensorBoard: hyperparameters, by which runs compare, and epochs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from onebit.keras import tf
from zoo.recipes import SETTABLE, Recipe

SUFFIX = ".hyperparameters"
"""How the name of the events file ends; TensorBoard reads all files of a folder."""

BUCKETS = 30
"""Of a histogram, as many as `tf.summary.histogram` has."""


def hyperparameters(
    recipe: Recipe, options: Mapping[str, Any]
) -> dict[str, bool | int | float | str]:
    """The recipe's model, its options and the settings, as TensorBoard takes them.

    Args:
        recipe: What is trained.
        options: Every option of its model.
    """
    settings = {"model": recipe.model, **{key: getattr(recipe, key) for key in SETTABLE}, **options}
    return {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in settings.items()
        if value is not None
    }


def log_hyperparameters(folder: Path, recipe: Recipe, options: Mapping[str, Any]) -> None:
    """Writes them to a folder of TensorBoard's, in place of those of an earlier session.

    TensorBoard would keep the first ones, whose epochs an extended run no longer has.
    """
    from tensorboard.plugins.hparams import api

    for earlier in folder.glob(f"*{SUFFIX}"):
        earlier.unlink()
    writer = tf.summary.create_file_writer(str(folder), filename_suffix=SUFFIX)
    with writer.as_default(step=0):
        api.hparams(hyperparameters(recipe, options))
    writer.close()


def log_epoch(record: Mapping[str, Any], *, seconds: float) -> None:
    """Writes an epoch's scalars to the current writer."""
    for key, value in {**record, "seconds": seconds}.items():
        if key != "epoch" and value is not None:
            tf.summary.scalar(key, value)
    tf.summary.flush()


def log_histogram(name: str, values: ArrayLike) -> None:
    """Writes how values are distributed to the current writer, as `tf.summary.histogram` does.

    That one makes a one-hot vector of every value, which for millions of weights takes as long as
    ten steps of training.
    """
    from tensorboard.plugins.histogram import metadata

    counts, edges = np.histogram(np.asarray(values, np.float64), BUCKETS)
    buckets = np.stack([edges[:-1], edges[1:], counts], axis=1)
    tf.summary.write(
        name, buckets, metadata=metadata.create_summary_metadata(display_name=None, description="")
    )
