"""MLPerf Tiny's four reference networks, binary, and the references as float baselines.

MLPerf Tiny Benchmark, arXiv 2106.07597, section 4; layer by layer as in the benchmark's programs,
https://github.com/mlcommons/tiny: DS-CNN for keyword spotting, MobileNetV1 with a quarter of the
filters for person detection, ResNet-8 for small images, an autoencoder for anomalies in sounds.

The binary networks are ours: signs with straight-through gradients as in Binarized Neural Networks,
arXiv 1602.02830. The first and the last layer of the classifiers stay real, as do depthwise
convolutions (a few of their weights decide each output, and no runtime has them binary) and the 1×1
convolutions of ResNet's shortcuts. A sign takes the place of the ReLU in front of a binary layer.

Differs from the references: logits instead of probabilities; no bias in front of batch
normalisation, whose own shift makes it redundant; the zoo's batch normalisation.
"""

from __future__ import annotations

from onebit.keras import keras, lq, tf
from zoo.layers.binary import Quantizer, batch_norm, conv, dense, seeded_dropout
from zoo.layers.quantizers import ScaledSign
from zoo.models import register_model
from zoo.models._blocks import added, pooled_logits, real_conv
from zoo.models.binary_net_mlp import PAPER as BINARY_NET

KIND = "binary weights and activations"
DS_CNN_BLOCKS = ((1, 1),) * 4
MOBILENET_BLOCKS = (
    *((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2)),
    *((16, 1),) * 5,
    *((32, 2), (32, 1)),
)
"""Filters of each block, in multiples of the first convolution's, and its stride."""


@register_model(family="MLPerf Tiny", kind=KIND, paper=BINARY_NET, float_baseline="float_ds_cnn")
def binary_ds_cnn(
    input_shape: tuple[int, int, int] = (49, 10, 1),
    classes: int = 12,
    *,
    width: int = 64,
    dropout: float = 0.4,
) -> keras.Model:
    """MLPerf Tiny's keyword spotter with binary pointwise convolutions.

    Args:
        input_shape: `[T, F, 1]`: 49 frames of 10 MFCCs are a second of speech.
        classes: Outputs.
        width: Filters of every convolution.
        dropout: Fraction of the last block's outputs that training drops; half of it behind the
            first convolution.
    """
    return _ds_cnn(input_shape, classes, width, dropout, True, "binary_ds_cnn")


@register_model(family="Float", kind="float")
def float_ds_cnn(
    input_shape: tuple[int, int, int] = (49, 10, 1),
    classes: int = 12,
    *,
    width: int = 64,
    dropout: float = 0.4,
) -> keras.Model:
    """MLPerf Tiny's reference for keyword spotting, a DS-CNN.

    Args:
        input_shape: `[T, F, 1]`: 49 frames of 10 MFCCs are a second of speech.
        classes: Outputs.
        width: Filters of every convolution.
        dropout: Fraction of the last block's outputs that training drops; half of it behind the
            first convolution.
    """
    return _ds_cnn(input_shape, classes, width, dropout, False, "float_ds_cnn")


@register_model(family="MLPerf Tiny", kind=KIND, paper=BINARY_NET, float_baseline="float_mobilenet")
def binary_mobilenet(
    input_shape: tuple[int, int, int] = (96, 96, 3), classes: int = 2, *, width: int = 8
) -> keras.Model:
    """MLPerf Tiny's person detector with binary pointwise convolutions.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first convolution, 32 in MobileNetV1; the last block has 32×.
    """
    return _mobilenet(input_shape, classes, width, True, "binary_mobilenet")


@register_model(family="Float", kind="float")
def float_mobilenet(
    input_shape: tuple[int, int, int] = (96, 96, 3), classes: int = 2, *, width: int = 8
) -> keras.Model:
    """MLPerf Tiny's reference for person detection, MobileNetV1 with a quarter of its filters.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first convolution, 32 in MobileNetV1; the last block has 32×.
    """
    return _mobilenet(input_shape, classes, width, False, "float_mobilenet")


@register_model(family="MLPerf Tiny", kind=KIND, paper=BINARY_NET, float_baseline="float_resnet8")
def binary_resnet8(
    input_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10, *, width: int = 16
) -> keras.Model:
    """MLPerf Tiny's ResNet-8 with binary 3×3 convolutions.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first stage; the next have 2× and 4×.

    Signs take the place of all ReLUs, those behind the sums too; binary inputs are padded with +1.
    """
    return _resnet8(input_shape, classes, width, True, "binary_resnet8")


@register_model(family="Float", kind="float")
def float_resnet8(
    input_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10, *, width: int = 16
) -> keras.Model:
    """MLPerf Tiny's reference for image classification, a ResNet of three stages.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first stage; the next have 2× and 4×.
    """
    return _resnet8(input_shape, classes, width, False, "float_resnet8")


@register_model(
    family="MLPerf Tiny", kind=KIND, paper=BINARY_NET, float_baseline="float_autoencoder"
)
def binary_autoencoder(
    input_shape: tuple[int] = (640,), *, units: int = 128, code: int = 8
) -> keras.Model:
    """MLPerf Tiny's detector of anomalies, an autoencoder, with binary weights in every layer.

    Args:
        input_shape: `[D]`: 5 frames of 128 log-mel energies. The output has the same shape.
        units: Width of the hidden layers.
        code: Width of the layer in the middle.

    Inputs are binary but for the first layer's and those behind the code, which stays real: eight
    bits would be a poor code. The last layer's filters have a scale each (`ScaledSign`), since no
    batch normalisation follows.
    """
    return _autoencoder(input_shape, units, code, True, "binary_autoencoder")


@register_model(family="Float", kind="float")
def float_autoencoder(
    input_shape: tuple[int] = (640,), *, units: int = 128, code: int = 8
) -> keras.Model:
    """MLPerf Tiny's reference for anomaly detection, an autoencoder of dense layers.

    Args:
        input_shape: `[D]`: 5 frames of 128 log-mel energies. The output has the same shape.
        units: Width of the hidden layers.
        code: Width of the layer in the middle.
    """
    return _autoencoder(input_shape, units, code, False, "float_autoencoder")


def _sign(binary: bool) -> Quantizer:
    """A new quantizer, or None for the float baseline."""
    return lq.quantizers.SteSign() if binary else None


def _ds_cnn(
    input_shape: tuple[int, int, int],
    classes: int,
    width: int,
    dropout: float,
    binary: bool,
    name: str,
) -> keras.Model:
    image = keras.Input(input_shape, name="image")
    x = real_conv(image, width, (10, 4), strides=2, name="stem")
    x = keras.layers.ReLU(name="stem_relu")(x)
    if dropout:
        x = seeded_dropout(dropout / 2, name="stem_dropout")(x)
    for index, (multiple, strides) in enumerate(DS_CNN_BLOCKS, start=1):
        x = _separable(x, multiple * width, strides, binary, f"block_{index}")
    if dropout:
        x = seeded_dropout(dropout, name="last_dropout")(x)
    return keras.Model(image, pooled_logits(x, classes), name=name)


def _mobilenet(
    input_shape: tuple[int, int, int], classes: int, width: int, binary: bool, name: str
) -> keras.Model:
    image = keras.Input(input_shape, name="image")
    x = real_conv(image, width, 3, strides=2, name="stem")
    x = keras.layers.ReLU(name="stem_relu")(x)
    for index, (multiple, strides) in enumerate(MOBILENET_BLOCKS, start=1):
        x = _separable(x, multiple * width, strides, binary, f"block_{index}")
    return keras.Model(image, pooled_logits(x, classes), name=name)


def _resnet8(
    input_shape: tuple[int, int, int], classes: int, width: int, binary: bool, name: str
) -> keras.Model:
    image = keras.Input(input_shape, name="image")
    x = real_conv(image, width, 3, name="stem")
    if not binary:
        x = keras.layers.ReLU(name="stem_relu")(x)
    for stage in (1, 2, 3):
        filters, strides = width * 2 ** (stage - 1), 1 if stage == 1 else 2
        shortcut = x
        if stage > 1:
            shortcut = keras.layers.Conv2D(
                filters,
                1,
                strides=strides,
                kernel_initializer="he_normal",
                name=f"shortcut_{stage}",
            )(x)
        for step, stride in (("a", strides), ("b", 1)):
            layer = f"block_{stage}_{step}"
            x = conv(
                filters,
                strides=stride,
                kernel=_sign(binary),
                inputs=_sign(binary),
                initializer="glorot_normal" if binary else "he_normal",
                name=layer,
            )(x)
            x = batch_norm(name=f"{layer}_bn")(x)
            if step == "b":
                x = added(x, shortcut, name=f"block_{stage}_add")
            if not binary:
                x = keras.layers.ReLU(name=f"{layer}_relu")(x)
    return keras.Model(image, pooled_logits(x, classes), name=name)


def _autoencoder(
    input_shape: tuple[int], units: int, code: int, binary: bool, name: str
) -> keras.Model:
    x = spectrum = keras.Input(input_shape, name="spectrum")
    widths = [("encoder", units)] * 4 + [("code", code)] + [("decoder", units)] * 4
    real = True  # whether the next layer's inputs are real in the binary network too
    for index, (part, outputs) in enumerate(widths, start=1):
        layer = f"{part}_{index}"
        x = dense(outputs, kernel=_sign(binary), inputs=_sign(binary and not real), name=layer)(x)
        x = batch_norm(name=f"{layer}_bn")(x)
        real = part == "code"
        if real or not binary:
            x = keras.layers.ReLU(name=f"{layer}_relu")(x)
    if binary:
        last = lq.layers.QuantDense(
            input_shape[0],
            input_quantizer=_sign(True),
            kernel_quantizer=ScaledSign(),
            kernel_constraint=lq.constraints.WeightClip(1.0),
            name="outputs",
        )
    else:
        last = keras.layers.Dense(input_shape[0], name="outputs")
    return keras.Model(spectrum, last(x), name=name)


def _separable(x: tf.Tensor, filters: int, strides: int, binary: bool, name: str) -> tf.Tensor:
    """A real depthwise 3×3 convolution and a pointwise one, which is binary or not."""
    x = keras.layers.DepthwiseConv2D(
        3,
        strides=strides,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_depthwise",
    )(x)
    x = batch_norm(name=f"{name}_depthwise_bn")(x)
    if not binary:
        x = keras.layers.ReLU(name=f"{name}_depthwise_relu")(x)
    x = conv(
        filters,
        size=1,
        kernel=_sign(binary),
        inputs=_sign(binary),
        initializer="glorot_normal" if binary else "he_normal",
        name=f"{name}_pointwise",
    )(x)
    x = batch_norm(name=f"{name}_pointwise_bn")(x)
    return keras.layers.ReLU(name=f"{name}_pointwise_relu")(x)
