"""Parts that the residual families share; every function takes and gives a tensor `[N, H, W, C]`.

Convolutions have no bias, since batch normalisation follows, and pad with zeros as the papers do.
With a stride of 2, "same" padding puts the odd row and column at the end (TensorFlow), where the
authors' PyTorch puts one at each side.
"""

from typing import Any

from onebit.keras import keras, lq, tf
from zoo.layers.binary import Initializer, Quantizer, batch_norm


def real_conv(
    x: tf.Tensor,
    filters: int,
    size: int | tuple[int, int],
    *,
    name: str,
    strides: int = 1,
    padding: str = "same",
) -> tf.Tensor:
    """A convolution of real numbers and its batch normalisation, `NAME_bn`."""
    x = keras.layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    return batch_norm(name=f"{name}_bn")(x)


def binary_conv(
    x: tf.Tensor,
    filters: int,
    size: int | tuple[int, int],
    *,
    name: str,
    kernel: Quantizer,
    inputs: Quantizer,
    strides: int = 1,
    padding: str = "same",
    initializer: Initializer = "glorot_normal",
    limit: float = 1.0,
) -> tf.Tensor:
    """A convolution with quantized weights, inputs or both; latent weights are clipped.

    Args:
        x: Its inputs.
        filters: Output channels.
        size: Height and width of the filter.
        name: The layer's name.
        kernel: Quantizer of the weights; with None they are real and not clipped.
        inputs: Quantizer of the inputs; with None they are real.
        strides: In both directions.
        padding: "same" or "valid".
        initializer: Of the weights.
        limit: Latent weights are clipped to ± this.
    """
    return lq.layers.QuantConv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer=initializer,
        kernel_quantizer=kernel,
        kernel_constraint=None if kernel is None else lq.constraints.WeightClip(limit),
        input_quantizer=inputs,
        name=name,
    )(x)


def resnet_stem(
    x: tf.Tensor, filters: int, *, activation: type[keras.layers.Layer] | None = None
) -> tf.Tensor:
    """ResNet's beginning, a quarter of the size: 7×7 convolution, batch norm, 3×3 max pooling."""
    x = real_conv(x, filters, 7, strides=2, name="stem")
    if activation:
        x = activation(name="stem_activation")(x)
    return keras.layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)


def avg_downsample(x: tf.Tensor, *, name: str) -> tf.Tensor:
    """The means of 2×2 pixels; an odd last row or column counts as whole ones."""
    return keras.layers.AveragePooling2D(2, padding="same", name=name)(x)


def real_shortcut(x: tf.Tensor, filters: int, *, name: str) -> tf.Tensor:
    """Bi-Real Net's shortcut where the width grows: pooling, real 1×1 convolution, batch norm."""
    return real_conv(avg_downsample(x, name=f"{name}_pool"), filters, 1, name=name)


def pooled_logits(x: tf.Tensor, classes: int) -> tf.Tensor:
    """The end of a residual network: `[N, H, W, C]` → `[N, classes]`, without softmax.

    One pooling over the whole image, which runtimes compute faster than a mean over two dimensions.
    """
    x = keras.layers.AveragePooling2D(x.shape[1:3], name="global_pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.layers.Dense(classes, name="logits")(x)


def added(x: tf.Tensor, shortcut: Any, *, name: str) -> tf.Tensor:
    """The sum of a branch and its shortcut."""
    return keras.layers.Add(name=name)([x, shortcut])
