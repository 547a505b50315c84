"""Layers of larq-zoo's networks in a form that files can hold.

larq-zoo writes the first two as Lambda layers, which carry Python code, `Tanh` as an activation in
a quantizer's place, which Larq cannot read back, and `BlurPool` as a function that only it knows.
"""

from typing import Any

from onebit.keras import keras, lq, tf


@keras.utils.register_keras_serializable(package="onebit")
class SplitChannels(keras.layers.Layer):
    """`[…, C]` → `groups` tensors `[…, C / groups]`."""

    def __init__(self, groups: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.groups = groups

    def call(self, inputs: tf.Tensor) -> list[tf.Tensor]:
        """The groups in order."""
        return tf.split(inputs, self.groups, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "groups": self.groups}


@keras.utils.register_keras_serializable(package="onebit")
class AddToLastChannels(keras.layers.Layer):
    """(x `[N, H, W, C]`, y `[N, H, W, D]`) → x with y added to its last D channels.

    MeliusNet's improvement block, arXiv 2001.05936.
    """

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """`[N, H, W, C]`."""
        x, y = inputs
        missing = x.shape[-1] - y.shape[-1]
        return x + tf.pad(y, [[0, 0], [0, 0], [0, 0], [missing, 0]])


@keras.utils.register_keras_serializable(package="onebit")
class Tanh(lq.quantizers.Quantizer):
    """tanh in an input quantizer's place: what a sign of a real-valued teacher is made of.

    Forward: f(x) = tanh(x)
    Gradient: ∂f/∂x = 1 − tanh(x)²
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Real numbers of the inputs' shape."""
        return tf.tanh(inputs)


@keras.utils.register_keras_serializable(package="onebit")
class BlurPool(keras.initializers.Initializer):
    """The 3×3 binomial filter (1, 2, 1)ᵀ·(1, 2, 1) / 16 in every channel, for anti-aliased pooling.

    Making Convolutional Networks Shift-Invariant Again, arXiv 1904.11486.
    """

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> tf.Tensor:
        """The filter `[3, 3, C, 1]`."""
        row = tf.constant([1.0, 2.0, 1.0])
        filter_ = tf.tensordot(row, row, axes=0)[..., tf.newaxis, tf.newaxis] / 16.0
        return tf.cast(tf.broadcast_to(filter_, shape), dtype or tf.float32)
