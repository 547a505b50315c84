"""The part of a distillation that does not depend on its loss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from onebit.keras import keras, tf


def replica_share() -> float:
    """1/R with R replicas: the factor of a loss that is the mean over one replica's images.

    The replicas' gradients are added. Keras divides the losses of `compile` itself.
    """
    return 1.0 / tf.distribute.get_strategy().num_replicas_in_sync


class Student(keras.Model):
    """A second model around a network's layers, which `fit` trains by the loss of `measure`.

    Args:
        network: What is trained.
        parts: Names of the loss's parts that the history has beside the loss on labels; `measure`
            updates their means in `self.parts`.
    """

    def __init__(self, network: keras.Model, parts: Iterable[str]):
        super().__init__(network.inputs, network.outputs, name=network.name)
        self.parts = {name: keras.metrics.Mean(name) for name in parts}

    def measure(
        self, data: tuple[tf.Tensor, tf.Tensor], training: bool
    ) -> tuple[tf.Tensor, dict[str, Any]]:
        """The loss of a batch, and the figures of all batches since the metrics were reset."""
        raise NotImplementedError

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Those of `compile` and the parts of the loss; Keras resets them each epoch."""
        return [*super().metrics, *self.parts.values()]

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, Any]:
        """One update; called by Keras."""
        with tf.GradientTape() as tape:
            loss, figures = self.measure(data, training=True)
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        return figures

    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, Any]:
        """One batch of a validation; called by Keras."""
        return self.measure(data, training=False)[1]
