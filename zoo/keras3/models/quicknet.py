"""QuickNetSmall, layer for layer as larq-zoo has it, so that its weights fit.

Larq Compute Engine: Design, Benchmark, and Deploy State-of-the-Art Binarized Neural Networks,
arXiv 2011.09398, section 5.
"""

from typing import Any

import keras
import numpy as np

from zoo.keras3.constraints import WeightClip
from zoo.keras3.layers import QuantConv2D, QuantDense, QuantDepthwiseConv2D
from zoo.keras3.quantizers import SteSign

_CLIP = 1.25


def quicknet_small(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    filters: tuple[int, ...] = (32, 64, 256, 512),
    blocks: tuple[int, ...] = (4, 4, 4, 4),
) -> keras.Model:
    """QuickNetSmall; other filters and blocks give its sisters.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs, probabilities.
        filters: Filters of each section.
        blocks: Residual blocks of each section.
    """
    x = image = keras.Input(input_shape)
    x = _stem(x, filters[0])
    for count, width in zip(blocks, filters, strict=True):
        if width != x.shape[-1]:
            x = _transition(x, width)
        for _ in range(count):
            x = _residual(x)
    x = keras.layers.Activation("relu")(x)
    x = keras.layers.AveragePooling2D(x.shape[1:3])(x)
    x = keras.layers.Flatten()(x)
    x = QuantDense(classes, kernel_initializer="glorot_normal")(x)
    x = keras.layers.Activation("softmax", dtype="float32")(x)
    return keras.Model(image, x, name="quicknet_small")


def _stem(x: Any, filters: int) -> Any:
    """A quarter of the size: 3×3 convolution, depthwise 3×3, pointwise."""
    x = QuantConv2D(
        filters // 4,
        3,
        kernel_initializer="he_normal",
        padding="same",
        strides=2,
        use_bias=False,
    )(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Activation("relu")(x)
    x = QuantDepthwiseConv2D(3, padding="same", strides=2, use_bias=False)(x)
    x = keras.layers.BatchNormalization(scale=False, center=False)(x)
    x = QuantConv2D(filters, 1, kernel_initializer="he_normal", use_bias=False)(x)
    return keras.layers.BatchNormalization()(x)


def _residual(x: Any) -> Any:
    """A binary 3×3 convolution, ReLU and normalisation, added to what came in."""
    y = QuantConv2D(
        x.shape[-1],
        3,
        activation="relu",
        input_quantizer=SteSign(clip_value=_CLIP),
        kernel_quantizer=SteSign(clip_value=_CLIP),
        kernel_constraint=WeightClip(clip_value=_CLIP),
        kernel_initializer="glorot_normal",
        padding="same",
        pad_values=1.0,
        use_bias=False,
    )(x)
    y = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(y)
    return keras.layers.Add()([y, x])


def _transition(x: Any, filters: int) -> Any:
    """Half the size by anti-aliased pooling, then a real pointwise convolution."""
    x = keras.layers.Activation("relu")(x)
    x = keras.layers.MaxPooling2D(2, strides=1)(x)
    blur = keras.layers.DepthwiseConv2D(
        3, depthwise_initializer=blurpool, padding="same", strides=2, use_bias=False
    )
    blur.trainable = False
    x = QuantConv2D(filters, 1, kernel_initializer="glorot_normal", use_bias=False)(blur(x))
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


@keras.saving.register_keras_serializable(package="onebit")
def blurpool(shape: tuple[int, ...], dtype: Any = None) -> Any:
    """A 3×3 binomial filter for each channel: `[3, 3, C, 1]`.

    Making Convolutional Networks Shift-Invariant Again, arXiv 1904.11486.
    """
    taps = np.outer([1, 2, 1], [1, 2, 1]) / 16
    values = np.broadcast_to(taps[:, :, np.newaxis, np.newaxis], shape)
    return keras.ops.convert_to_tensor(values, dtype=dtype)
