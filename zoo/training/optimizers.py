"""Optimizers: Keras' own, with what binary layers need where a recipe asks for it.

>>> optimizer = make_optimizer(recipe, 250 * recipe.epochs, quantizer_weights(model))
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onebit.keras import keras, lq, tf
from zoo.training.bop import Bop
from zoo.training.schedules import make_schedule

if TYPE_CHECKING:
    from zoo.recipes import Recipe


def make_optimizer(
    recipe: Recipe, steps: int, of_quantizers: Sequence[tf.Variable] = ()
) -> keras.optimizers.Optimizer:
    """The recipe's optimizer.

    Args:
        recipe: What to train.
        steps: Steps of the whole training, over which the learning rate falls.
        of_quantizers: What has the recipe's `quantizer_learning_rate`: the model's
            `quantizer_weights`.
    """
    rate = make_schedule(recipe, steps)
    optimizer = _sgd(recipe, rate) if recipe.optimizer == "sgd" else _adam(recipe, rate)
    if recipe.quantizer_learning_rate:
        optimizer.quantizer_factor = recipe.quantizer_learning_rate / recipe.learning_rate
        optimizer.set_quantizer_weights(of_quantizers)
    optimizer.global_clipnorm = recipe.gradient_norm
    if recipe.optimizer == "bop":
        return LatentAndReal(Bop(recipe.bop_gamma, recipe.bop_threshold), optimizer)
    if recipe.real_learning_rate is None:
        return optimizer
    rate = make_schedule(recipe, steps, first=recipe.real_learning_rate)
    return LatentAndReal(optimizer, _sgd(recipe, rate))


def _adam(recipe: Recipe, rate: Any) -> keras.optimizers.Optimizer:
    kind = keras.optimizers.Adam
    if recipe.optimizer == "adamw":
        kind = DecoupledAdam
    elif recipe.optimizer == "radam":
        kind = RectifiedAdam
    elif recipe.weight_decay or recipe.quantizer_learning_rate:
        kind = GroupedAdam
    elif recipe.glorot_scaling:
        kind = GlorotScaledAdam
    optimizer = kind(rate, beta_1=recipe.adam_beta_1, epsilon=recipe.adam_epsilon)
    return _with_decay(optimizer, recipe)


def _sgd(recipe: Recipe, rate: Any) -> keras.optimizers.Optimizer:
    kind = keras.optimizers.SGD
    if recipe.weight_decay:
        kind = DecayedSGD
    elif recipe.glorot_scaling:
        kind = GlorotScaledSGD
    elif recipe.fan_in_scaling:
        kind = FanInScaledSGD
    return _with_decay(kind(rate, momentum=recipe.momentum), recipe)


def _with_decay(
    optimizer: keras.optimizers.Optimizer, recipe: Recipe
) -> keras.optimizers.Optimizer:
    """The optimizer with the recipe's weight decay, if it is of a kind that has one."""
    if isinstance(optimizer, DecoupledAdam):
        optimizer.decoupled_decay, optimizer.decayed = recipe.weight_decay, recipe.decayed
    elif isinstance(optimizer, _Decayed):
        optimizer.coupled_decay, optimizer.decayed = recipe.weight_decay, recipe.decayed
    return optimizer


def is_latent(variable: tf.Variable) -> bool:
    """Whether a variable holds the latent weights of a binary layer: a constraint clips them."""
    return isinstance(variable.constraint, lq.constraints.WeightClip)


def quantizer_weights(model: keras.Model) -> list[tf.Variable]:
    """All that a model's quantizers learn, such as scales (`zoo.layers.elastic_quantizer`).

    Names cannot say it: a `ChannelScale` has a weight named scale too.
    """
    quantizers = (part for part in model.submodules if isinstance(part, lq.quantizers.Quantizer))
    return [weight for quantizer in quantizers for weight in quantizer.trainable_weights]


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


class _Scaled:
    """Multiplies what an optimizer adds to a weight by a factor of the weight."""

    def factor(self, variable: tf.Variable) -> float:
        """The factor; 1 leaves the step as it is."""
        raise NotImplementedError

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """One update of one variable, as Keras calls it."""
        factor = self.factor(variable)
        if factor == 1.0:
            super().update_step(gradient, variable)  # type: ignore[misc]
            return
        before = tf.identity(variable)
        super().update_step(gradient, variable)  # type: ignore[misc]
        variable.assign(before + factor * (variable - before))


class _GlorotScaled(_Scaled):
    """Scales the steps of clipped kernels by a power of `glorot_coefficient`.

    Only latent weights, which a constraint keeps in [-1, 1], are scaled; biases and normalisations
    are not.
    """

    _power: int

    def factor(self, variable: tf.Variable) -> float:
        """The power of the coefficient for a latent weight."""
        return glorot_coefficient(variable.shape) ** self._power if is_latent(variable) else 1.0


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


@keras.utils.register_keras_serializable(package="onebit")
class FanInScaledSGD(keras.optimizers.SGD):
    """SGD, with the gradients of latent weights times n, the weights of an output channel.

    g ← n·g for a kernel `[…, O]` of n·O weights. `zoo.layers.quantizers.scaled_sign` has the
    gradient 1/n + α: without the factor the step of a latent weight is n times smaller than that of
    a real one, and α, a mean magnitude of 0.01 to 0.03, hardly adds to it.

    XNOR-Net's program, https://github.com/allenai/XNOR-Net, `util.lua`, `updateBinaryGradWeight`,
    which multiplies by n for SGD. Differs from the program: its constant 1 − 1/C is left out.
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """One update of one variable, as Keras calls it."""
        if is_latent(variable):
            gradient = gradient * float(math.prod(variable.shape[:-1]))
        super().update_step(gradient, variable)


PER_CHANNEL = ("threshold", "shift_in", "shift_out", "shift", "share")
"""Names of ReActNet's learned shifts, and of BNext's shifts and shares of a mixture: (1, C, 1, 1)
in their authors' programs (`zoo.layers`: `reactnet_layers`, `channel_layers`, `bnext_layers`)."""


def own_name(variable: tf.Variable) -> str:
    """The last part of a variable's name, which its layer gave it.

    Where several devices train, each but the first has `…/replica_1` and so on behind it.
    """
    path = re.sub(r"/replica_\d+$", "", variable.name.split(":")[0])
    return path.rpartition("/")[2]


def is_decayed(variable: tf.Variable, decayed: str) -> bool:
    """Whether a recipe's weight decay is for a variable.

    Args:
        variable: A trained weight.
        decayed: "kernels" for all that is not a vector, "convolutions" for their kernels and
            what is `PER_CHANNEL`, but no dense layer, or "others" for all but these: the programs
            of ReActNet and BNext ask whether a weight has four dimensions in PyTorch.
    """
    if decayed == "kernels":
        return bool(variable.shape.rank > 1)
    four = variable.shape.rank == 4 or own_name(variable) in PER_CHANNEL
    return four == (decayed == "convolutions")


class _Decayed:
    """Adds λ·w to the gradient of each weight w that `is_decayed`: the L2 penalty λ/2·‖w‖².

    As PyTorch's Adam has it. Keras' own `weight_decay` is that of AdamW, which does not pass
    through Adam's averages.
    """

    coupled_decay = 0.0
    decayed = "kernels"

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """One update of one variable, as Keras calls it."""
        if self.coupled_decay and is_decayed(variable, self.decayed):
            gradient = gradient + self.coupled_decay * variable
        super().update_step(gradient, variable)  # type: ignore[misc]


@keras.utils.register_keras_serializable(package="onebit")
class GroupedAdam(_Scaled, _Decayed, keras.optimizers.Adam):
    """Adam with `coupled_decay`, and with another rate for quantizers' scales and thresholds.

    These are parameter groups in PyTorch. Adam's step is proportional to its rate, so
    `quantizer_factor` is the ratio of the two rates.
    """

    quantizer_factor = 1.0
    _quantizer_keys: frozenset[str] = frozenset()

    def set_quantizer_weights(self, weights: Sequence[tf.Variable]) -> None:
        """Names the weights that have the other rate."""
        # A replica updates its own part of a variable; Keras' key is the same for all parts.
        self._quantizer_keys = frozenset(self._var_key(weight) for weight in weights)

    def factor(self, variable: tf.Variable) -> float:
        """The ratio for what a quantizer learns."""
        return self.quantizer_factor if self._var_key(variable) in self._quantizer_keys else 1.0


@keras.utils.register_keras_serializable(package="onebit")
class DecayedSGD(_Decayed, keras.optimizers.SGD):
    """SGD with `coupled_decay`."""


@keras.utils.register_keras_serializable(package="onebit")
class DecoupledAdam(keras.optimizers.Adam):
    """AdamW: takes r·λ·w from each weight w that `is_decayed`, r the learning rate, at each step.

    Decoupled Weight Decay Regularization, arXiv 1711.05101, algorithm 2. Keras' own AdamW decays
    all weights but those whose names it is given.
    """

    decoupled_decay = 0.0
    decayed = "kernels"

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """One update of one variable, as Keras calls it."""
        if self.decoupled_decay and is_decayed(variable, self.decayed):
            rate = tf.cast(self.learning_rate, variable.dtype)
            variable.assign_sub(rate * self.decoupled_decay * variable)
        super().update_step(gradient, variable)


@keras.utils.register_keras_serializable(package="onebit")
class RectifiedAdam(_Decayed, keras.optimizers.Adam):
    """RAdam: Adam without its division while that is of too few gradients, then rectified.

    On the Variance of the Adaptive Learning Rate and Beyond, arXiv 1908.03265, algorithm 2: with
    ρ∞ = 2 / (1 − β₂) − 1 and ρₜ = ρ∞ − 2t·β₂ᵗ / (1 − β₂ᵗ), the step is the rate times
    m / (1 − β₁ᵗ) until ρₜ exceeds 5, and from then on Adam's step times
    √((ρₜ − 4)(ρₜ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρₜ)).

    Differs from the paper: 5 instead of 4, as in its authors' program
    (https://github.com/LiyuanLucasLiu/RAdam).
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """One update of one variable, as Keras calls it."""
        before = tf.identity(variable)
        super().update_step(gradient, variable)
        step = tf.cast(self.iterations + 1, tf.float64)
        power = tf.pow(tf.constant(self.beta_2, tf.float64), step)
        most = 2.0 / (1.0 - self.beta_2) - 1.0
        length = most - 2.0 * step * power / (1.0 - power)
        known = tf.maximum(length, 5.0)
        squared = (known - 4) * (known - 2) * most / ((most - 4) * (most - 2) * known)
        factor = tf.cast(tf.sqrt(squared), variable.dtype)
        first = 1.0 - tf.pow(tf.constant(self.beta_1, tf.float64), step)
        mean = self._momentums[self._index_dict[self._var_key(variable)]]
        rate = tf.cast(self.learning_rate, variable.dtype) / tf.cast(first, variable.dtype)
        move = tf.where(length > 5.0, factor * (variable - before), -rate * mean)
        variable.assign(before + move)


class LatentAndReal(keras.optimizers.Optimizer):
    """One optimizer for latent weights, another for all others, as Larq trains QuickNets.

    `larq.optimizers.CaseOptimizer` does the same for Keras' former optimizers, whose states are not
    made before the first step: a checkpoint could not be checked to be whole.

    Args:
        latent: Trains what `is_latent`.
        real: Trains the rest.
    """

    def __init__(self, latent: keras.optimizers.Optimizer, real: keras.optimizers.Optimizer):
        super().__init__(name="latent_and_real")
        self.latent = latent
        self.real = real

    @property
    def learning_rate(self) -> tf.Tensor:
        """That of latent weights."""
        return self.latent.learning_rate

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Makes both optimizers' states."""
        super().build(var_list)
        self.latent.build([variable for variable in var_list if is_latent(variable)])
        self.real.build([variable for variable in var_list if not is_latent(variable)])

    def apply_gradients(
        self, grads_and_vars: Sequence[tuple[tf.Tensor, tf.Variable]], **options: bool
    ) -> tf.Tensor:
        """One update of all variables; returns the number of updates so far."""
        pairs = list(grads_and_vars)
        for optimizer, chosen in ((self.latent, True), (self.real, False)):
            optimizer.apply_gradients(
                [pair for pair in pairs if is_latent(pair[1]) == chosen], **options
            )
        return self.iterations.assign_add(1)
