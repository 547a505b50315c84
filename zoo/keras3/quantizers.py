"""Quantizers as layers: `gradients.py` has their formulas.

`get` knows Larq's names for them, so that `input_quantizer="ste_sign"` works.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from zoo.keras3 import gradients

SMALLEST_SCALE = 1e-5
"""A scale that training drives below counts as this one: zero would divide, negative would turn."""


class Quantizer(keras.layers.Layer):
    """A quantizer of inputs or weights.

    Attributes:
        precision: How many bits its values take.
    """

    precision = 1

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The inputs' shape."""
        return input_shape


@keras.saving.register_keras_serializable(package="onebit")
class SteSign(Quantizer):
    """The sign with the straight-through gradient, `gradients.ste_sign`.

    Args:
        clip_value: Beyond it no gradient passes; None lets all pass.
        kwargs: Those of `keras.layers.Layer`.
    """

    def __init__(self, clip_value: float | None = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.clip_value = clip_value

    def call(self, inputs: Any) -> Any:
        """±1 of the inputs' shape."""
        return gradients.ste_sign(inputs, self.clip_value)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal quantizer."""
        return {**super().get_config(), "clip_value": self.clip_value}


@keras.saving.register_keras_serializable(package="onebit")
class ApproxSign(Quantizer):
    """Bi-Real Net's sign, `gradients.approx_sign`."""

    def call(self, inputs: Any) -> Any:
        """±1 of the inputs' shape."""
        return gradients.approx_sign(inputs)


@keras.saving.register_keras_serializable(package="onebit")
class SwishSign(Quantizer):
    """BNN+'s sign, `gradients.swish_sign`.

    Args:
        beta: Larger values come closer to the derivative of the sign.
        kwargs: Those of `keras.layers.Layer`.
    """

    def __init__(self, beta: float = 5.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.beta = beta

    def call(self, inputs: Any) -> Any:
        """±1 of the inputs' shape."""
        return gradients.swish_sign(inputs, self.beta)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal quantizer."""
        return {**super().get_config(), "beta": self.beta}


@keras.saving.register_keras_serializable(package="onebit")
class MagnitudeAwareSign(Quantizer):
    """Bi-Real Net's binary weights: the sign times the mean magnitude of each output channel.

    Forward: q(w) = α·sign(w), α = mean |w| over the channel
    Gradient: ∂q/∂w = α if |w| ≤ clip_value, else 0, and none through α

    Bi-Real Net, arXiv 1808.00278, section 3.3.

    Args:
        clip_value: Beyond it no gradient passes; None lets all pass.
        kwargs: Those of `keras.layers.Layer`.
    """

    def __init__(self, clip_value: float | None = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.clip_value = clip_value

    def call(self, inputs: Any) -> Any:
        """±α of the inputs' shape `[…, O]`."""
        outer = tuple(range(len(inputs.shape) - 1))
        scale = ops.stop_gradient(ops.mean(ops.abs(inputs), axis=outer))
        return scale * gradients.ste_sign(inputs, self.clip_value)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal quantizer."""
        return {**super().get_config(), "clip_value": self.clip_value}


@keras.saving.register_keras_serializable(package="onebit")
class ScaledSign(Quantizer):
    """XNOR-Net's binary weights, `gradients.scaled_sign`."""

    def call(self, inputs: Any) -> Any:
        """±α of the inputs' shape `[…, O]`."""
        return gradients.scaled_sign(inputs)


@keras.saving.register_keras_serializable(package="onebit")
class StochasticSign(Quantizer):
    """BinaryConnect's stochastic sign: drawn in training, the plain sign otherwise.

    Forward, training: `gradients.stochastic_sign`
    Forward, otherwise: q(w) = −1 if w < 0, else +1
    Gradient: ∂q/∂w = 1; clip the weights with `WeightClip(1.0)`

    Args:
        seed: Start of the sequence; None takes a random one.
        kwargs: Those of `keras.layers.Layer`.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """±1 of the inputs' shape."""
        if not training:
            return gradients.ste_sign(inputs, None)
        uniform = keras.random.uniform(ops.shape(inputs), dtype=inputs.dtype, seed=self.generator)
        return gradients.stochastic_sign(inputs, uniform)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal quantizer."""
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="onebit")
class RSign(Quantizer):
    """ReActNet's sign with a learned threshold α per channel, 0 at first.

    Forward: q(x) = −1 if x < α, else +1
    Gradient: that of `gradients.approx_sign` at x − α; ∂q/∂α = −∂q/∂x

    ReActNet, arXiv 2003.03488, section 4.
    """

    def build(self, input_shape: Any) -> None:
        """Makes the thresholds for inputs `[…, C]`."""
        self.threshold = self.add_weight(
            name="threshold", shape=(input_shape[-1],), initializer="zeros"
        )
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """±1 of the inputs' shape."""
        return gradients.approx_sign(inputs - self.threshold)


@keras.saving.register_keras_serializable(package="onebit")
class Elastic(Quantizer):
    """BiT's elastic quantizer of activations with one bit, `gradients.elastic`.

    The thresholds β start at 0, the scale α at 2·mean|x − β| (signed) or 4·mean|x − β| of the first
    batch in training; untrained it is 1.

    Args:
        signed: False for non-negative inputs, such as probabilities and ReLU's outputs.
        per_channel: Whether each index of the last dimension has its own threshold.
        kwargs: Those of `keras.layers.Layer`.
    """

    def __init__(self, signed: bool = True, per_channel: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.signed, self.per_channel = signed, per_channel

    def build(self, input_shape: Any) -> None:
        """Makes α `[]`, β `[C]` or `[]`, and whether α has been set."""
        channels = (input_shape[-1],) if self.per_channel else ()
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        self.threshold = self.add_weight(name="threshold", shape=channels, initializer="zeros")
        self.calibrated = self.add_weight(
            name="calibrated", shape=(), initializer="zeros", trainable=False
        )
        super().build(input_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The levels times α, of the inputs' shape."""
        scale = ops.copy(self.scale)
        if training:
            factor = 2.0 if self.signed else 4.0
            first = factor * ops.mean(ops.abs(inputs - self.threshold))
            scale = ops.where(self.calibrated < 0.5, first, scale)
            self.scale.assign(ops.stop_gradient(scale))
            self.calibrated.assign(ops.ones(()))
        # The bound passes the gradient on, so that a scale which fell below it can rise again.
        latent = ops.copy(self.scale)
        bound = ops.stop_gradient(ops.maximum(scale, SMALLEST_SCALE))
        scale = bound + (latent - ops.stop_gradient(latent))
        threshold = ops.copy(self.threshold)
        return gradients.elastic(inputs, scale, threshold, signed=self.signed)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal quantizer."""
        return {**super().get_config(), "signed": self.signed, "per_channel": self.per_channel}


_ALIASES: dict[str, Callable[[], Quantizer]] = {
    "approx_sign": ApproxSign,
    "magnitude_aware_sign": MagnitudeAwareSign,
    "ste_sign": SteSign,
    "swish_sign": SwishSign,
}


def get(identifier: Any) -> Any:
    """A quantizer by Larq's name, by a saved configuration, or the callable itself; None for None.

    Raises:
        ValueError: The name is unknown.
    """
    if identifier is None or callable(identifier):
        return identifier
    if isinstance(identifier, dict):
        return keras.saving.deserialize_keras_object(identifier)
    if identifier in _ALIASES:
        return _ALIASES[identifier]()
    raise ValueError(f"unknown quantizer {identifier!r}; known: {', '.join(sorted(_ALIASES))}")


__all__ = [
    "ApproxSign",
    "Elastic",
    "MagnitudeAwareSign",
    "Quantizer",
    "RSign",
    "ScaledSign",
    "SteSign",
    "StochasticSign",
    "SwishSign",
    "get",
]
