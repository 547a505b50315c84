"""Layers that are binary where a quantizer is given and Keras' own where none is.

A family and its float baseline share one description of the network that way.
"""

from typing import Any

from onebit.keras import keras, lq, tf

Quantizer = Any
"""A quantizer as Larq takes it: an object, a registered name or None."""

Initializer = Any
"""An initialiser as Keras takes it: an object or a registered name."""

BATCH_NORM_MOMENTUM = 0.9
BATCH_NORM_EPSILON = 1e-4


def dense(
    units: int,
    *,
    name: str,
    kernel: Quantizer = None,
    inputs: Quantizer = None,
    initializer: Initializer = "glorot_uniform",
) -> keras.layers.Layer:
    """A dense layer without bias: `[N, I]` → `[N, units]`; a `Dense` when nothing is quantized.

    Args:
        units: Outputs.
        name: The layer's name.
        kernel: Quantizer of the weights, whose latent values are then clipped to [-1, 1].
        inputs: Quantizer of the inputs.
        initializer: Of the latent weights.
    """
    if kernel is None and inputs is None:
        return keras.layers.Dense(units, use_bias=False, kernel_initializer=initializer, name=name)
    return lq.layers.QuantDense(
        units,
        use_bias=False,
        kernel_initializer=initializer,
        kernel_quantizer=kernel,
        kernel_constraint=_clip(kernel),
        input_quantizer=inputs,
        name=name,
    )


def conv(
    filters: int,
    *,
    name: str,
    size: int | tuple[int, int] = 3,
    strides: int = 1,
    kernel: Quantizer = None,
    inputs: Quantizer = None,
    initializer: Initializer = "glorot_uniform",
    padding: str = "same",
) -> keras.layers.Layer:
    """A convolution without bias, 3×3 unless `size` differs: `[N, H, W, C]` → `[N, H, W, filters]`.

    Binary inputs are padded with +1, because a zero is not a bit: only then does Larq Compute
    Engine fuse the layer with what follows. Real inputs are padded with 0. With "valid" padding
    height and width shrink by `size` − 1.
    """
    if kernel is None and inputs is None:
        return keras.layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding=padding,
            use_bias=False,
            kernel_initializer=initializer,
            name=name,
        )
    return lq.layers.QuantConv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        pad_values=0.0 if inputs is None else 1.0,
        use_bias=False,
        kernel_initializer=initializer,
        kernel_quantizer=kernel,
        kernel_constraint=_clip(kernel),
        input_quantizer=inputs,
        name=name,
    )


def batch_norm(
    *, name: str, scale: bool = True, epsilon: float = BATCH_NORM_EPSILON
) -> keras.layers.Layer:
    """Batch normalisation whose averages follow within a few dozen steps.

    Keras' momentum of 0.99 needs several hundred, which a small data set takes many epochs for.
    Several workers share their statistics, so that they are those of the global batch.

    Args:
        name: The layer's name.
        scale: Whether it learns a scale.
        epsilon: Added to the variance.
    """
    return keras.layers.BatchNormalization(
        momentum=BATCH_NORM_MOMENTUM,
        epsilon=epsilon,
        scale=scale,
        name=name,
        # Only then: it gives up the fused operation.
        synchronized=tf.distribute.get_strategy().num_replicas_in_sync > 1,
    )


def seeded_dropout(rate: float, *, name: str) -> keras.layers.Layer:
    """Dropout whose random state is a variable, so that a resumed training goes on drawing from it.

    Keras' default draws from an operation's hidden state, which no checkpoint holds.
    """
    return keras.layers.Dropout(rate, force_generator=True, name=name)


@keras.utils.register_keras_serializable(package="onebit")
class Dropped(lq.quantizers.Quantizer):
    """A quantizer of activations with dropout behind it.

    Forward, training: 0 with probability p, else q(x) / (1 − p)
    Forward, otherwise: q(x)

    Dropout in front of a sign would make +1 of all that it drops, and so sums in training that no
    test has.

    Args:
        quantizer: q, as Larq takes it.
        rate: p, from 0 to 1.
        name: The layer's name.
    """

    def __init__(self, quantizer: Quantizer, rate: float, name: str | None = None):
        super().__init__(name=name)
        self.quantizer, self.rate = lq.quantizers.get(quantizer), rate
        self.dropout = seeded_dropout(rate, name="dropout")

    @property
    def precision(self) -> int:
        """Bits of the values that are not dropped."""
        return int(self.quantizer.precision)

    def call(self, inputs: tf.Tensor, training: bool | tf.Tensor | None = None) -> tf.Tensor:
        """Values of the inputs' shape."""
        return self.dropout(self.quantizer(inputs), training=training)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal quantizer."""
        quantizer = lq.quantizers.serialize(self.quantizer)
        return {"name": self.name, "quantizer": quantizer, "rate": self.rate}


def dropped(quantizer: Quantizer, rate: float) -> Quantizer:
    """The quantizer, with dropout behind it where the rate is above 0."""
    return Dropped(quantizer, rate) if rate else quantizer


def latent_uniform(limit: float | None = 1.0) -> Initializer:
    """Uniform within ±1, the range of latent weights, as BinaryConnect's authors' code has it.

    Args:
        limit: Uniform within ± this instead; None for Glorot's uniform range.

    Near 0 every draw of a stochastic sign would be a coin toss, which three layers in a row turn
    into pure noise. An initialiser is for one layer: a shared one repeats its values.
    """
    if limit is None:
        return "glorot_uniform"
    return keras.initializers.RandomUniform(-limit, limit)


def _clip(kernel: Quantizer) -> keras.constraints.Constraint | None:
    # A latent weight beyond ±1 has no effect on the binary one and, under SteSign, no gradient.
    return None if kernel is None else lq.constraints.WeightClip(1.0)
