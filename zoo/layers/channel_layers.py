"""Layers that treat each channel by itself: shifts, scales, means."""

from __future__ import annotations

from typing import Any

from onebit.keras import keras, tf


@keras.utils.register_keras_serializable(package="onebit")
class ChannelShift(keras.layers.Layer):
    """Adds a trained number to each channel, 0 at first: `[…, C]` → `[…, C]`.

    In front of a sign it is the sign's threshold: BNext's `LearnableBias`, BHViT's
    `LearnableBiasnn`. ReActNet's `RSign` has the same shift within the sign; as a layer it is in
    float baselines too.
    """

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the shift `[C]`."""
        self.shift = self.add_weight("shift", [int(input_shape[-1])], initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Inputs plus the shift."""
        return inputs + self.shift


@keras.utils.register_keras_serializable(package="onebit")
class ChannelScale(ChannelShift):
    """A trained scale and shift per channel: `[…, C]` → `[…, C]`.

    LayerScale, arXiv 2103.17239, with a shift, as BHViT's program has it.

    Args:
        initial: What the scales start at; the shifts start at 0.
        name: The layer's name.
    """

    def __init__(self, initial: float = 0.1, name: str | None = None, **options: Any):
        super().__init__(name=name, **options)
        self.initial = initial

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates scale and shift `[C]`."""
        initial = keras.initializers.Constant(self.initial)
        self.scale = self.add_weight("scale", [int(input_shape[-1])], initializer=initial)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Inputs times the scale plus the shift."""
        return inputs * self.scale + self.shift

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "initial": self.initial}


@keras.utils.register_keras_serializable(package="onebit")
class ChannelMeans(keras.layers.Layer):
    """The mean of every `size` channels in a row: `[…, C]` → `[…, C / size]`."""

    def __init__(self, size: int, name: str | None = None, **options: Any):
        super().__init__(name=name, **options)
        self.size = size

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The means."""
        *shape, channels = inputs.shape[1:]
        groups = tf.reshape(inputs, [-1, *shape, channels // self.size, self.size])
        return tf.reduce_mean(groups, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "size": self.size}
