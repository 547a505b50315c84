"""The inputs of a training, as its recipe and data set decide them."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from onebit.errors import UsageError
from onebit.keras import tf
from zoo.datasets import Dataset, Split, load_dataset
from zoo.datasets._tfrecords import RecordSplit
from zoo.datasets.preprocessing import Preprocessor
from zoo.models import models
from zoo.recipes import Recipe


def read_dataset(
    recipe: Recipe, data: str | os.PathLike[str] | None
) -> tuple[Dataset, dict[str, Any]]:
    """A recipe's data set, as far as it is used, and every option of its model.

    Args:
        recipe: What the data set is for.
        data: The folder of data sets, as for `load_dataset`.

    Raises:
        UsageError: The data set has fewer samples, or other channels, than the recipe asks for.
        OnebitError: It is missing.
    """
    dataset = limited(load_dataset(recipe.dataset, data), recipe.samples, recipe.train_samples)
    _require_channels(recipe, dataset)
    return dataset, options_of(recipe, dataset.input_shape, len(dataset.classes))


def options_of(recipe: Recipe, input_shape: tuple[int, ...], classes: int) -> dict[str, Any]:
    """Every option of the recipe's model, the defaults too, for inputs of such a data set."""
    given = {**models.get(recipe.model).options, **recipe.options}
    return {**given, "input_shape": input_shape, "classes": classes}


def _require_channels(recipe: Recipe, dataset: Dataset) -> None:
    """Checks that the recipe's preprocessing takes images of the data set.

    Raises:
        UsageError: It has a scale or an offset for each channel, and they have another number.
    """
    channels = recipe.preprocessing and recipe.preprocessing.channels
    if channels and channels != dataset.input_shape[-1]:
        raise UsageError(
            f"{recipe.name} prepares images of {channels} channels, and {dataset.name} has images "
            f"of {dataset.input_shape[-1]}",
            hint=f"name a data set of {channels} channels (--set dataset=NAME)",
        )


def fitted_preprocessor(recipe: Recipe, dataset: Dataset) -> Preprocessor | None:
    """The recipe's preprocessing, fitted to the training images; None for token ids."""
    if recipe.preprocessing is None:
        return None
    seen = len(dataset.train) if recipe.preprocessing.whitening else 1
    return recipe.preprocessing.fit(dataset.train.first(seen).images)


def limited(dataset: Dataset, samples: int | None, train_samples: int | None = None) -> Dataset:
    """The data set cut to the first `samples` of each split, and `train_samples` to train on.

    Raises:
        UsageError: There are fewer than `train_samples`.
    """
    if train_samples is not None:
        if train_samples > len(dataset.train):
            raise UsageError(
                f"{dataset.name} has {len(dataset.train)} samples to train on, not {train_samples}",
                hint="set train_samples to at most that",
            )
        dataset = dataclasses.replace(dataset, train=dataset.train[:train_samples])
    if samples is None:
        return dataset
    return dataclasses.replace(
        dataset,
        train=dataset.train[:samples],
        validation=dataset.validation and dataset.validation[:samples],
        test=dataset.test[:samples],
    )


def batches(
    split: Split | RecordSplit,
    *,
    preprocessor: Preprocessor | None,
    batch_size: int,
    order: tuple[int, int] | None = None,
    most: int | None = None,
) -> tf.data.Dataset:
    """Preprocessed batches of a split.

    Args:
        split: The samples.
        preprocessor: What images go through; None for token ids.
        batch_size: Samples in a batch.
        order: Seed and epoch, which decide the order; None for the order in which they lie.
        most: How many batches; None for all.
    """

    def preprocess(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if preprocessor is None:
            return images, labels
        inputs = tf.numpy_function(preprocessor, [images], tf.float32, stateful=False)
        return tf.ensure_shape(inputs, images.shape), labels

    options = tf.data.Options()
    # Each worker takes its part of every batch.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    found = split.batches(batch_size, order).map(preprocess)
    if most is not None:
        found = found.take(most)
    return found.prefetch(2).with_options(options)
