"""ReActNet-A, -B and -C and ReAct-ResNet18.

ReActNet: Towards Precise Binary Neural Network with Generalized Activation Functions,
arXiv 2003.03488, section 4: a MobileNet of binary convolutions with a shortcut around each, RSign
before and RPReLU behind it. ReActNet-A and ReAct-ResNet18 are layer by layer as in the authors'
program, https://github.com/liuzechun/ReActNet, which lacks B and C.

Differs from the program: latent weights start Glorot-normal and are clipped to ±1, where the
program starts them uniformly in [0, 0.001) and clips nothing; the magnitude-aware sign's gradient
is multiplied by the magnitude, as Bi-Real Net's paper says; batch normalisation's epsilon is 1e-4
instead of 1e-5.

All are trained twice: first with binary activations and real weights
(`binary_weights=False`), then with both binary from the first training's weights.
"""

from onebit.keras import keras, lq, tf
from zoo.layers.binary import batch_norm
from zoo.layers.larq_zoo import SplitChannels
from zoo.layers.reactnet_layers import RPReLU, RSign
from zoo.models import Paper, register_model
from zoo.models._blocks import (
    added,
    avg_downsample,
    binary_conv,
    pooled_logits,
    real_conv,
    real_shortcut,
    resnet_stem,
)

PAPER = Paper(
    "ReActNet: Towards Precise Binary Neural Network with Generalized Activation Functions",
    "2003.03488",
)
KIND = "binary weights and activations"
REACTNET_A_WIDTHS = (2, 4, 4, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32)
"""Filters of each block, in multiples of the first convolution's."""


@register_model(family="ReActNet", kind=KIND, paper=PAPER)
def reactnet_a(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    width: int = 32,
    binary_weights: bool = True,
) -> keras.Model:
    """A MobileNet of 26 binary convolutions, each with a shortcut, RSign and RPReLU.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first convolution; the blocks have 2 to 32 times as many.
        binary_weights: False for the first of the two trainings.

    Differs from the paper: with a stride of 2, zeros are padded at the end only.
    """
    return _reactnet(input_shape, classes, width, binary_weights, "reactnet_a")


@register_model(family="ReActNet", kind=KIND, paper=PAPER)
def reactnet_b(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    width: int = 32,
    binary_weights: bool = True,
) -> keras.Model:
    """ReActNet-A whose 1×1 convolutions are real where the width doubles, in four groups.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first convolution, a multiple of 4; the blocks have 2 to 32 times as
            many.
        binary_weights: False for the first of the two trainings.

    Differs from the paper: as ReActNet-A. The authors did not publish this network's program.
    """
    return _reactnet(input_shape, classes, width, binary_weights, "reactnet_b", real_groups=4)


@register_model(family="ReActNet", kind=KIND, paper=PAPER)
def reactnet_c(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    width: int = 32,
    binary_weights: bool = True,
) -> keras.Model:
    """ReActNet-A whose 1×1 convolutions are real where the width doubles.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first convolution; the blocks have 2 to 32 times as many.
        binary_weights: False for the first of the two trainings.

    Differs from the paper: as ReActNet-A. The authors did not publish this network's program.
    """
    return _reactnet(input_shape, classes, width, binary_weights, "reactnet_c", real_groups=1)


@register_model(family="ReActNet", kind=KIND, paper=PAPER)
def react_resnet18(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    width: int = 64,
    binary_weights: bool = True,
) -> keras.Model:
    """Bi-Real Net 18 with RSign and RPReLU.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first stage; the next have 2×, 4× and 8×.
        binary_weights: False for the first of the two trainings.

    Differs from the paper: with a stride of 2, zeros are padded at the end only.
    """
    image = keras.Input(input_shape, name="image")
    x = resnet_stem(image, width)
    for stage in (1, 2, 3, 4):
        filters = width * 2 ** (stage - 1)
        for step in (1, 2, 3, 4):
            layer = f"conv_{stage}_{step}"
            grows = stage > 1 and step == 1
            shortcut = real_shortcut(x, filters, name=f"shortcut_{stage}") if grows else x
            x = _rsign_conv(x, filters, 3, 2 if grows else 1, binary_weights, layer)
            x = added(x, shortcut, name=f"{layer}_add")
            x = RPReLU(name=f"{layer}_rprelu")(x)
    return keras.Model(image, pooled_logits(x, classes), name="react_resnet18")


def _reactnet(
    input_shape: tuple[int, int, int],
    classes: int,
    width: int,
    binary_weights: bool,
    name: str,
    *,
    real_groups: int | None = None,
) -> keras.Model:
    """ReActNet-A, or with real 1×1 convolutions of that many groups where the width doubles."""
    image = keras.Input(input_shape, name="image")
    x = real_conv(image, width, 3, strides=2, name="stem")
    for index, multiple in enumerate(REACTNET_A_WIDTHS, start=1):
        filters = width * multiple
        grows = filters != x.shape[-1]
        # The first block doubles the width without halving the image, as MobileNet's does.
        strides = 2 if grows and index > 1 else 1
        groups = real_groups if grows else None
        x = _mobile_block(x, filters, strides, binary_weights, f"block_{index}", groups)
    return keras.Model(image, pooled_logits(x, classes), name=name)


def _mobile_block(
    x: tf.Tensor,
    filters: int,
    strides: int,
    binary_weights: bool,
    name: str,
    real_groups: int | None = None,
) -> tf.Tensor:
    """A 3×3 convolution that may halve the image, then a 1×1 one that may double the width."""
    channels = x.shape[-1]
    shortcut = x if strides == 1 else avg_downsample(x, name=f"{name}_pool")
    x = _rsign_conv(x, channels, 3, strides, binary_weights, f"{name}_conv")
    x = added(x, shortcut, name=f"{name}_conv_add")
    x = RPReLU(name=f"{name}_conv_rprelu")(x)
    # The paper's two convolutions side by side are one with twice the filters.
    shortcut = x
    if filters != channels:
        shortcut = keras.layers.Concatenate(name=f"{name}_duplicate")([x] * (filters // channels))
    if real_groups is None:
        x = _rsign_conv(x, filters, 1, 1, binary_weights, f"{name}_pointwise")
    else:
        x = _real_groups(x, filters, real_groups, f"{name}_pointwise")
    x = added(x, shortcut, name=f"{name}_pointwise_add")
    return RPReLU(name=f"{name}_pointwise_rprelu")(x)


def _real_groups(x: tf.Tensor, filters: int, groups: int, name: str) -> tf.Tensor:
    """A real 1×1 convolution of each group of channels, then batch normalisation."""
    if groups == 1:
        return real_conv(x, filters, 1, name=name)
    # TensorFlow has no grouped convolution with a gradient on processors.
    parts = [
        keras.layers.Conv2D(
            filters // groups,
            1,
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"{name}_{index}",
        )(part)
        for index, part in enumerate(SplitChannels(groups, name=f"{name}_split")(x), start=1)
    ]
    return batch_norm(name=f"{name}_bn")(keras.layers.Concatenate(name=f"{name}_concat")(parts))


def _rsign_conv(
    x: tf.Tensor, filters: int, size: int, strides: int, binary_weights: bool, name: str
) -> tf.Tensor:
    """RSign, convolution, batch normalisation."""
    kernel = lq.quantizers.MagnitudeAwareSign() if binary_weights else None
    x = binary_conv(x, filters, size, strides=strides, kernel=kernel, inputs=RSign(), name=name)
    return batch_norm(name=f"{name}_bn")(x)
