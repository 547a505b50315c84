"""FINN's networks with binary weights and activations (W1A1): TFC, SFC and LFC, and CNV.

FINN: A Framework for Fast, Scalable Binarized Neural Network Inference, arXiv 1612.07119,
section 5.1, has SFC, LFC and CNV; TFC comes from the networks that Brevitas trains for FINN
(`brevitas_examples/bnn_pynq`), which these follow.

All of them fit an FPGA without a multiplier: every hidden layer is XNOR, popcount and threshold,
no layer pads bits, and the logits are normalised with one scale and one offset for all classes,
which does not change the largest of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from onebit.keras import keras, tf
from zoo.layers.binary import batch_norm, conv, dense, dropped, latent_uniform
from zoo.layers.quantizers import binary_quantizer
from zoo.models import Paper, register_model

PAPER = Paper(
    "FINN: A Framework for Fast, Scalable Binarized Neural Network Inference", "1612.07119"
)
KIND = "binary weights and activations"

IMAGE_SIDE = 32
"""Three pairs of valid 3×3 convolutions and two poolings leave one pixel of 32×32."""


@register_model(family="FINN", kind=KIND, paper=PAPER)
def tfc_w1a1(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    units: int = 64,
    dropout: float = 0.0,
    kernel_quantizer: str = "ste_sign",
    input_quantizer: str = "ste_sign",
) -> keras.Model:
    """TFC, a tiny MLP of 3×64 units on the signs of pixels.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        units: Width of each hidden layer.
        dropout: Fraction of the pixels' and of each hidden layer's signs that training drops.
        kernel_quantizer: Name of the weights' quantizer (`zoo.layers.quantizers.binary_quantizer`).
        input_quantizer: Name of that of the layers' inputs.

    Differs from Brevitas: no dropout, where it drops 0.2, unless the option says otherwise.
    """
    binary = _Binary(kernel_quantizer, input_quantizer, dropout)
    return _mlp("tfc_w1a1", input_shape, classes, units, binary)


@register_model(family="FINN", kind=KIND, paper=PAPER)
def sfc_w1a1(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    units: int = 256,
    dropout: float = 0.0,
    kernel_quantizer: str = "ste_sign",
    input_quantizer: str = "ste_sign",
) -> keras.Model:
    """SFC, a small MLP of 3×256 units on the signs of pixels.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        units: Width of each hidden layer.
        dropout: Fraction of the pixels' and of each hidden layer's signs that training drops.
        kernel_quantizer: Name of the weights' quantizer (`zoo.layers.quantizers.binary_quantizer`).
        input_quantizer: Name of that of the layers' inputs.

    Differs from Brevitas: as `tfc_w1a1`.
    """
    binary = _Binary(kernel_quantizer, input_quantizer, dropout)
    return _mlp("sfc_w1a1", input_shape, classes, units, binary)


@register_model(family="FINN", kind=KIND, paper=PAPER)
def lfc_w1a1(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    units: int = 1024,
    dropout: float = 0.0,
    kernel_quantizer: str = "ste_sign",
    input_quantizer: str = "ste_sign",
) -> keras.Model:
    """LFC, a large MLP of 3×1024 units on the signs of pixels.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        units: Width of each hidden layer.
        dropout: Fraction of the pixels' and of each hidden layer's signs that training drops.
        kernel_quantizer: Name of the weights' quantizer (`zoo.layers.quantizers.binary_quantizer`).
        input_quantizer: Name of that of the layers' inputs.

    Differs from Brevitas: as `tfc_w1a1`.
    """
    binary = _Binary(kernel_quantizer, input_quantizer, dropout)
    return _mlp("lfc_w1a1", input_shape, classes, units, binary)


@register_model(family="FINN", kind=KIND, paper=PAPER)
def cnv_w1a1(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    *,
    width: int = 64,
    kernel_quantizer: str = "ste_sign",
    input_quantizer: str = "ste_sign",
) -> keras.Model:
    """CNV, BNN-PYNQ's VGG with valid padding; the first layer sees real pixels.

    Args:
        input_shape: `[H, W, C]` of an image; smaller ones than 32×32 get a border of zeros.
        classes: Outputs.
        width: Filters of the first two convolutions; the next have 2× and 4×, the dense layers 8×.
        kernel_quantizer: Name of the weights' quantizer (`zoo.layers.quantizers.binary_quantizer`).
        input_quantizer: Name of that of the layers' inputs.

    Differs from Brevitas: images are not rounded to multiples of 1/128 here, but come as such where
    the preprocessing is `SIGNED_8_BIT`.
    """
    binary = _Binary(kernel_quantizer, input_quantizer)
    x = image = keras.Input(input_shape, name="image")
    borders = [_border(side) for side in input_shape[:2]]
    if any(map(any, borders)):
        x = keras.layers.ZeroPadding2D(borders, name="border")(x)
    for stage in (1, 2, 3):
        for step in (1, 2):
            layer = f"conv_{stage}_{step}"
            x = conv(
                width * 2 ** (stage - 1),
                name=layer,
                **binary.arguments(real_inputs=layer == "conv_1_1"),
                padding="valid",
            )(x)
            x = batch_norm(name=f"{layer}_bn")(x)
        if stage < 3:
            x = keras.layers.MaxPooling2D(2, name=f"pool_{stage}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for index in (1, 2):
        x = dense(8 * width, name=f"hidden_{index}", **binary.arguments())(x)
        x = batch_norm(name=f"hidden_{index}_bn")(x)
    return keras.Model(image, _logits(x, classes, binary), name="cnv_w1a1")


@dataclass(frozen=True)
class _Binary:
    """The names of the quantizers of weights and of inputs, and how many inputs are dropped."""

    kernel: str
    inputs: str
    dropout: float = 0.0

    def arguments(self, *, real_inputs: bool = False) -> dict[str, Any]:
        """Those of a binary layer: objects for it only."""
        return {
            "kernel": binary_quantizer(self.kernel),
            "inputs": None if real_inputs else dropped(binary_quantizer(self.inputs), self.dropout),
            "initializer": latent_uniform(),
        }


def _mlp(
    name: str,
    input_shape: tuple[int, int, int],
    classes: int,
    units: int,
    binary: _Binary,
) -> keras.Model:
    x = image = keras.Input(input_shape, name="image")
    x = keras.layers.Flatten(name="flatten")(x)
    for index in (1, 2, 3):
        x = dense(units, name=f"hidden_{index}", **binary.arguments())(x)
        x = batch_norm(name=f"hidden_{index}_bn")(x)
    return keras.Model(image, _logits(x, classes, binary), name=name)


def _logits(x: tf.Tensor, classes: int, binary: _Binary) -> tf.Tensor:
    """The last layer, its sums normalised with one mean, variance, scale and offset for all."""
    x = dense(classes, name="logits", **binary.arguments())(x)
    x = keras.layers.Reshape((classes, 1), name="one_channel")(x)
    x = batch_norm(name="logits_norm")(x)
    return keras.layers.Reshape((classes,), name="classes")(x)


def _border(side: int) -> tuple[int, int]:
    missing = max(0, IMAGE_SIDE - side)
    return missing // 2, missing - missing // 2
