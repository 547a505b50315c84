"""Bop, which trains binary weights without latent ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onebit.keras import keras, tf


@keras.utils.register_keras_serializable(package="onebit")
class Bop(keras.optimizers.Optimizer):
    """Flips a binary weight whose average gradient has its sign and is large enough.

    m ← (1 − γ)·m + γ·g, then w ← −w where |m| ≥ τ and sign(m) = sign(w)

    Weights must be ±1; the first step takes the signs of others. γ is the learning rate.

    Latent Weights Do Not Exist: Rethinking Binarized Neural Network Optimization,
    arXiv 1906.02107, algorithm 1. Larq has it for Keras' former optimizers.

    Args:
        learning_rate: γ, a number or a schedule: how fast the average follows the gradient.
        threshold: τ, which the average must reach.
        name: The optimizer's name.
    """

    def __init__(
        self, learning_rate: Any = 1e-4, threshold: float = 1e-8, name: str = "Bop", **options: Any
    ):
        super().__init__(name=name, **options)
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.threshold = threshold

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Makes the averages, 0 at first."""
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self._averages = [self.add_variable_from_reference(v, "average") for v in var_list]
        self._built = True

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """One update of one variable, as Keras calls it."""
        average = self._averages[self._index_dict[self._var_key(variable)]]
        rate = tf.cast(self.learning_rate, variable.dtype)
        average.assign_add(rate * (gradient - average))
        signs = tf.where(variable < 0, -1.0, 1.0)
        flips = (tf.abs(average) >= self.threshold) & (average * signs > 0)
        variable.assign(tf.where(flips, -signs, signs))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal optimizer."""
        return {
            **super().get_config(),
            "learning_rate": self._serialize_hyperparameter(self._learning_rate),
            "threshold": self.threshold,
        }
