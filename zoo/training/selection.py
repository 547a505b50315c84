"""The epoch whose weights a training ends with: the last, or the best by the validation split.

BinaryConnect, arXiv 1511.00363, section 3.1 reports the test error of the epoch with the lowest
validation error; its program takes the later of two equal ones. With drawn weights that error is
the latent weights' ("best_latent"), or that of their signs ("best").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onebit.errors import UsageError
from onebit.keras import keras, tf
from zoo.datasets import Dataset
from zoo.recipes import Recipe
from zoo.training.batch_norm import draws_weights

LATENT_ACCURACY = "val_latent_weights_accuracy"
"""Key of the validation accuracy with latent weights in the history."""

_CHOSEN_BY = {"best": "val_accuracy", "best_latent": LATENT_ACCURACY}
"""Selection → key of the history."""


def require_validated(recipe: Recipe, dataset: Dataset, replicas: int) -> None:
    """Checks that a recipe's data set lets it select an epoch.

    Raises:
        UsageError: It selects one, and there is no validation split, or more than one replica.
    """
    if recipe.selection == "last":
        return
    if dataset.validation is None:
        raise _impossible(recipe, f"{recipe.dataset} has no validation split")
    if replicas > 1:
        raise _impossible(recipe, "several replicas train")


def require_drawn(recipe: Recipe, model: keras.Model) -> None:
    """Checks that there are latent weights to select by, where a recipe does.

    Raises:
        UsageError: The network's weights are not drawn.
    """
    if recipe.selection == "best_latent" and not draws_weights(model):
        raise _impossible(recipe, f"{recipe.model} is not trained with drawn weights")


def _impossible(recipe: Recipe, problem: str) -> UsageError:
    return UsageError(
        f"{recipe.name}: selection {recipe.selection} is impossible: {problem}; "
        "give --set selection=last"
    )


class BestEpoch:
    """The weights of the best epoch so far, kept in the training's checkpoints.

    Args:
        model: What is trained.
        selection: "best" or "best_latent".
    """

    def __init__(self, model: keras.Model, selection: str):
        self._model = model
        self._key = _CHOSEN_BY[selection]
        weights = [tf.Variable(weight, trainable=False) for weight in model.weights]
        self.state = tf.train.Checkpoint(
            weights=weights,
            accuracy=tf.Variable(-1.0, dtype=tf.float64),
            epoch=tf.Variable(0, dtype=tf.int64),
        )

    @property
    def epoch(self) -> int:
        """Which epoch it was, counted from 1; 0 before the first."""
        return int(self.state.epoch.numpy())

    def offer(self, record: Mapping[str, Any]) -> None:
        """Keeps the model's weights if that epoch was validated, and none was better."""
        value = record.get(self._key)
        if value is None or value < self.state.accuracy.numpy():
            return
        self.state.accuracy.assign(value)
        self.state.epoch.assign(record["epoch"])
        for kept, weight in zip(self.state.weights, self._model.weights, strict=True):
            kept.assign(weight)

    def restore(self) -> None:
        """Gives the model the weights that were kept."""
        for kept, weight in zip(self.state.weights, self._model.weights, strict=True):
            weight.assign(kept)
