"""Constraints of latent weights."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="onebit")
class WeightClip(keras.constraints.Constraint):
    """Keeps latent weights within [-clip_value, clip_value].

    Beyond the range in which a sign passes gradients, a weight would never move again.

    Args:
        clip_value: The limit.
    """

    def __init__(self, clip_value: float = 1.0) -> None:
        self.clip_value = clip_value

    def __call__(self, value: Any) -> Any:
        """The clipped weights."""
        return keras.ops.clip(value, -self.clip_value, self.clip_value)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal constraint."""
        return {"clip_value": self.clip_value}


def get(identifier: Any) -> Any:
    """A constraint by Larq's name `weight_clip`, or as Keras itself gets it."""
    return WeightClip() if identifier == "weight_clip" else keras.constraints.get(identifier)
