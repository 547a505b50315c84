"""Learning rates over a training, as recipes name them.

With the steps T of the training, the step t of 0 to T − 1 and the rates r₀ and r₁ of its begin and
its end:

exponential   r₀·(r₁ / r₀)^(t / T)
linear        r₀ + (r₁ − r₀)·t / T
cosine        r₁ + (r₀ − r₁)·(1 + cos(π·t / T)) / 2
steps         r₀·fᵢ from the beginning of epoch bᵢ on

In epochs that a run was extended by, beyond T, the rate may stay where it is (`extension.HOLD`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onebit.keras import keras, tf

if TYPE_CHECKING:
    from zoo.recipes import Recipe


def make_schedule(recipe: Recipe, steps: int, first: float | None = None) -> Any:
    """The recipe's learning rate at each step, a Keras `LearningRateSchedule`.

    Args:
        recipe: What to train.
        steps: Steps of the whole training.
        first: In place of the recipe's `learning_rate`; `final_learning_rate` scales along.
    """
    first = recipe.learning_rate if first is None else first
    last = recipe.final_learning_rate * first / recipe.learning_rate
    epochs = max(recipe.epochs, 1)
    warmup = steps * recipe.warmup_epochs // epochs
    rest = max(steps - warmup, 1)
    schedules = keras.optimizers.schedules
    if recipe.schedule == "exponential":
        schedule = ExponentialDecay(first, rest, last / first)
    elif recipe.schedule == "linear":
        schedule = schedules.PolynomialDecay(first, rest, last)
    elif recipe.schedule == "cosine":
        schedule = schedules.CosineDecay(first, rest, alpha=last / first)
    else:
        # Keras' boundary is the last step of the old rate; epochs count from the beginning.
        ends = [steps * epoch // epochs - warmup - 1 for epoch in recipe.boundaries]
        rates = [first, *(first * factor for factor in recipe.factors)]
        schedule = schedules.PiecewiseConstantDecay(ends, rates)
    return WarmUp(schedule, warmup) if warmup else schedule


@keras.utils.register_keras_serializable(package="onebit")
class ExponentialDecay(keras.optimizers.schedules.ExponentialDecay):
    """Keras' exponential decay that ends where Keras' other decays do: after `decay_steps`."""

    def __call__(self, step: Any) -> tf.Tensor:
        """The rate at a step, counted from 0."""
        return super().__call__(tf.minimum(tf.cast(step, tf.float32), float(self.decay_steps)))


@keras.utils.register_keras_serializable(package="onebit")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Another schedule behind `steps` steps of a rate that rises to its first.

    r(t) = s(0)·(t + 1) / steps for t < steps, else s(t − steps)
    """

    def __init__(self, schedule: Any, steps: int):
        self.schedule = schedule
        self.steps = steps

    def __call__(self, step: Any) -> tf.Tensor:
        """The rate at a step, counted from 0."""
        step = tf.cast(step, tf.float32)
        rising = self.schedule(tf.constant(0.0)) * (step + 1) / self.steps
        later = self.schedule(tf.maximum(step - self.steps, 0))
        return tf.where(step < self.steps, rising, later)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal schedule."""
        schedule = keras.optimizers.schedules.serialize(self.schedule)
        return {"schedule": schedule, "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WarmUp:
        """The schedule of a `get_config`."""
        return cls(keras.optimizers.schedules.deserialize(config["schedule"]), config["steps"])
