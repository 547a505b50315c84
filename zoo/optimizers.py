"""Optimizers: Keras' own, with the learning rates of binary layers scaled where a recipe asks.

>>> optimizer = make_optimizer(recipe, steps=250 * recipe.epochs)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from onebit.keras import keras, lq, tf

if TYPE_CHECKING:
    from zoo.recipes import Recipe


def make_optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    """The recipe's optimizer.

    Args:
        recipe: What to train.
        steps: Steps of the whole training, over which the learning rate falls.
    """
    rate = keras.optimizers.schedules.ExponentialDecay(
        recipe.learning_rate,
        decay_steps=steps,
        decay_rate=recipe.final_learning_rate / recipe.learning_rate,
    )
    if recipe.optimizer == "sgd":
        kind = GlorotScaledSGD if recipe.glorot_scaling else keras.optimizers.SGD
        return kind(rate, momentum=recipe.momentum)
    kind = GlorotScaledAdam if recipe.glorot_scaling else keras.optimizers.Adam
    return kind(rate)


def glorot_coefficient(shape: Sequence[int]) -> float:
    """√((fan in + fan out) / 1.5), the factor for the learning rate of a kernel of that shape.

    It is the inverse of √(1.5 / (fan in + fan out)), the coefficient that the authors' code takes
    from Glorot and Bengio's initialisation (2010, equation 16, but for a constant). A latent weight
    that lies in [-1, 1], instead of within the initial ±√(6 / (fan in + fan out)), then crosses its
    range in as many steps as an ordinary one would.

    BinaryConnect, arXiv 1511.00363, section 2.6.

    Args:
        shape: `[…, I, O]` of a dense or convolutional kernel; what stands before I is its window.
    """
    window = math.prod(shape[:-2])
    return math.sqrt(window * (shape[-2] + shape[-1]) / 1.5)


class _GlorotScaled:
    """Multiplies what an optimizer adds to a clipped kernel by a power of `glorot_coefficient`.

    Only latent weights, which a constraint keeps in [-1, 1], are scaled; biases and normalisations
    are not.
    """

    _power: int

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """One update of one variable, as Keras calls it."""
        if not isinstance(variable.constraint, lq.constraints.WeightClip):
            super().update_step(gradient, variable)  # type: ignore[misc]
            return
        before = tf.identity(variable)
        super().update_step(gradient, variable)  # type: ignore[misc]
        factor = glorot_coefficient(variable.shape) ** self._power
        variable.assign(before + factor * (variable - before))


@keras.utils.register_keras_serializable(package="onebit")
class GlorotScaledAdam(_GlorotScaled, keras.optimizers.Adam):
    """Adam, with the learning rate of latent weights times their Glorot coefficient."""

    _power = 1


@keras.utils.register_keras_serializable(package="onebit")
class GlorotScaledSGD(_GlorotScaled, keras.optimizers.SGD):
    """SGD, with the learning rate of latent weights times their squared Glorot coefficient.

    Squared because SGD's step is proportional to the gradient, which has the inverse unit of the
    weight (section 2.6).
    """

    _power = 2
