"""XNOR-Net for small images: LeNet-5 and Network in Network, with their float baselines.

XNOR-Net: ImageNet Classification Using Binary Convolutional Neural Networks, arXiv 1603.05279,
section 3.2, whose blocks are batch norm, sign, convolution; layer by layer as in
https://github.com/jiecaoyu/XNOR-Net-PyTorch (MNIST/models/LeNet_5.py, CIFAR_10/models/nin.py). The
first and the last layer stay real, and a ReLU follows each convolution.

Differs from the program: no mean-centring of latent weights, and the scaled sign's gradient is that
of the paper, not the exact product rule (`zoo.layers.quantizers.scaled_sign`); first and last batch
normalisations have a scale and a shift, and no scale is kept above 0.01; binary inputs are padded
with +1, not 0; poolings pad at the end only.
"""

from collections.abc import Callable
from typing import Any

from onebit.keras import keras, lq, tf
from zoo.layers.binary import batch_norm, dropped, seeded_dropout
from zoo.layers.quantizers import ScaledSign
from zoo.models import register_model
from zoo.models._blocks import real_conv
from zoo.models.xnor_net import PAPER

KIND = "binary weights and activations"


@register_model(family="XNOR-Net", kind=KIND, paper=PAPER, float_baseline="float_lenet5")
def xnor_net_lenet5(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    width: int = 20,
    units: int = 500,
) -> keras.Model:
    """LeNet-5 with a binary second convolution and a binary dense layer.

    Args:
        input_shape: `[H, W, C]` of an image; H and W at least 16.
        classes: Outputs.
        width: Filters of the first convolution; the second has 2.5×.
        units: Width of the binary dense layer.
    """
    return _lenet5(input_shape, classes, width, units, True, "xnor_net_lenet5")


@register_model(family="Float", kind="float")
def float_lenet5(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    width: int = 20,
    units: int = 500,
) -> keras.Model:
    """The float baseline of `xnor_net_lenet5`: the same layers without signs.

    Args:
        input_shape: `[H, W, C]` of an image; H and W at least 16.
        classes: Outputs.
        width: Filters of the first convolution; the second has 2.5×.
        units: Width of the dense layer.
    """
    return _lenet5(input_shape, classes, width, units, False, "float_lenet5")


@register_model(family="XNOR-Net", kind=KIND, paper=PAPER, float_baseline="float_nin")
def xnor_net_nin(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    *,
    width: int = 192,
    dropout: float = 0.5,
) -> keras.Model:
    """Network in Network with seven binary convolutions.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of most convolutions; the second has 5/6, the third half of it.
        dropout: Fraction of their inputs' signs that training drops in the second and third stage's
            first convolution.
    """
    return _nin(input_shape, classes, width, dropout, True, "xnor_net_nin")


@register_model(family="Float", kind="float")
def float_nin(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    *,
    width: int = 192,
    dropout: float = 0.5,
) -> keras.Model:
    """The float baseline of `xnor_net_nin`: the same layers without signs.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of most convolutions; the second has 5/6, the third half of it.
        dropout: Fraction that training drops in front of the second and third stage.
    """
    return _nin(input_shape, classes, width, dropout, False, "float_nin")


def _lenet5(
    input_shape: tuple[int, int, int],
    classes: int,
    width: int,
    units: int,
    binary: bool,
    name: str,
) -> keras.Model:
    if min(input_shape[:2]) < 16:
        raise ValueError(f"LeNet-5 needs images of at least 16×16, not {input_shape}")
    x = image = keras.Input(input_shape, name="image")
    x = real_conv(x, width, 5, name="conv_1", padding="valid")
    x = keras.layers.ReLU(name="conv_1_relu")(x)
    x = keras.layers.MaxPooling2D(2, name="pool_1")(x)
    x = batch_norm(name="conv_2_bn")(x)
    x = _layer(binary, lq.layers.QuantConv2D, 5 * width // 2, 5, name="conv_2")(x)
    x = keras.layers.ReLU(name="conv_2_relu")(x)
    x = keras.layers.MaxPooling2D(2, name="pool_2")(x)
    x = batch_norm(name="hidden_bn")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = _layer(binary, lq.layers.QuantDense, units, name="hidden")(x)
    x = keras.layers.ReLU(name="hidden_relu")(x)
    return keras.Model(image, keras.layers.Dense(classes, name="logits")(x), name=name)


def _nin(
    input_shape: tuple[int, int, int],
    classes: int,
    width: int,
    dropout: float,
    binary: bool,
    name: str,
) -> keras.Model:
    def block(x: tf.Tensor, filters: int, size: int, name: str, drop: float = 0.0) -> tf.Tensor:
        x = batch_norm(name=f"{name}_bn")(x)
        options: dict[str, Any] = {"padding": "same"}
        if binary:
            options |= {"pad_values": 1.0, "drop": drop}
        elif drop:
            x = seeded_dropout(drop, name=f"{name}_dropout")(x)
        x = _layer(binary, lq.layers.QuantConv2D, filters, size, name=name, **options)(x)
        return keras.layers.ReLU(name=f"{name}_relu")(x)

    x = image = keras.Input(input_shape, name="image")
    x = real_conv(x, width, 5, name="conv_1")
    x = keras.layers.ReLU(name="conv_1_relu")(x)
    x = block(x, 5 * width // 6, 1, "conv_2")
    x = block(x, width // 2, 1, "conv_3")
    x = keras.layers.MaxPooling2D(3, strides=2, padding="same", name="pool_1")(x)
    x = block(x, width, 5, "conv_4", dropout)
    x = block(x, width, 1, "conv_5")
    x = block(x, width, 1, "conv_6")
    x = keras.layers.AveragePooling2D(3, strides=2, padding="same", name="pool_2")(x)
    x = block(x, width, 3, "conv_7", dropout)
    x = block(x, width, 1, "conv_8")
    x = batch_norm(name="last_bn")(x)
    x = keras.layers.Conv2D(classes, 1, name="last_conv")(x)
    x = keras.layers.ReLU(name="last_relu")(x)
    x = keras.layers.AveragePooling2D(x.shape[1:3], name="global_pool")(x)
    return keras.Model(image, keras.layers.Flatten(name="logits")(x), name=name)


def _layer(
    binary: bool,
    kind: Callable[..., keras.layers.Layer],
    *sizes: int,
    name: str,
    drop: float = 0.0,
    **options: object,
) -> keras.layers.Layer:
    """A Larq layer with scaled signs, or Keras' own; with a bias, for no normalisation follows.

    Args:
        binary: Whether it is Larq's.
        kind: Larq's class.
        sizes: Filters or units, and the side of a filter.
        name: The layer's name.
        drop: Fraction of the inputs' signs that training drops.
        options: Further ones of the layer.
    """
    if not binary:
        plain = {lq.layers.QuantDense: keras.layers.Dense}.get(kind, keras.layers.Conv2D)
        return plain(*sizes, name=name, **options)
    return kind(
        *sizes,
        input_quantizer=dropped(lq.quantizers.SteSign(), drop),
        kernel_quantizer=ScaledSign(),
        kernel_constraint=lq.constraints.WeightClip(1.0),
        name=name,
        **options,
    )
