"""XNOR-Net and Binary-Weight-Network (BWN): AlexNet and ResNet-18 with scaled binary filters.

XNOR-Net: ImageNet Classification Using Binary Convolutional Neural Networks, arXiv 1603.05279.
Every filter is its signs times its mean magnitude (section 3.1, `ScaledSign`); in
XNOR-Net the inputs are signs too, in blocks of batch norm, sign, convolution, pooling (section 3.2,
figure 4). The first and the last layer stay real. AlexNet follows the authors' program layer by
layer, https://github.com/allenai/XNOR-Net (models/alexnet.lua, models/alexnetxnor.lua).

Differs from the paper: no scaling factors K of the inputs (equation 11); the authors' program has
none either, and Larq Compute Engine no operator for them. Latent weights are clipped, not centred
around their mean as well. Convolutions have no bias. Batch normalisation's epsilon is 1e-4
throughout, where the program has 1e-3 in BWN, and in XNOR-Net 1e-5 in the first, 1e-3 in the last
but one.
"""

from collections.abc import Callable

from onebit.keras import keras, lq, tf
from zoo.layers.binary import batch_norm
from zoo.layers.quantizers import ScaledSign
from zoo.models import Paper, register_model
from zoo.models._blocks import added, binary_conv, pooled_logits, real_conv, resnet_stem

PAPER = Paper(
    "XNOR-Net: ImageNet Classification Using Binary Convolutional Neural Networks", "1603.05279"
)
BINARY = "binary weights and activations"
BINARY_WEIGHTS = "binary weights"

_CONVOLUTIONS = ((4, 5, True), (6, 3, False), (6, 3, False), (4, 3, True))
"""AlexNet's second to fifth convolution: filters in multiples of `width`, size, pooled or not."""


@register_model(family="XNOR-Net", kind=BINARY, paper=PAPER)
def xnor_net_alexnet(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: int = 64
) -> keras.Model:
    """AlexNet with binary inputs and scaled binary weights.

    Args:
        input_shape: `[H, W, C]` of an image; H and W at least 63.
        classes: Outputs.
        width: Sets all widths: 1.5·width filters in the first convolution, 64·width units at last.

    Differs from the paper: see the module.
    """
    x, image = _alexnet_stem(input_shape, width)
    for index, (multiple, size, pooled) in enumerate(_CONVOLUTIONS, start=2):
        x = _xnor_conv(x, multiple * width, size, f"conv_{index}")
        if pooled:
            x = _pool(x, f"pool_{index}")
    # What the authors write as dense layers are convolutions over all that is left, 6×6 and 1×1.
    x = _xnor_conv(x, 64 * width, x.shape[1:3], "hidden_1", padding="valid")
    x = _xnor_conv(x, 64 * width, 1, "hidden_2")
    x = batch_norm(name="last_bn")(x)
    x = keras.layers.ReLU(name="last_relu")(x)
    return _alexnet_end(image, x, classes, "xnor_net_alexnet")


@register_model(family="XNOR-Net", kind=BINARY_WEIGHTS, paper=PAPER)
def bwn_alexnet(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    width: int = 64,
    dropout: float = 0.1,
) -> keras.Model:
    """AlexNet with scaled binary weights and real inputs (BWN).

    Args:
        input_shape: `[H, W, C]` of an image; H and W at least 63.
        classes: Outputs.
        width: Sets all widths: 1.5·width filters in the first convolution, 64·width units at last.
        dropout: Fraction of the channels that training drops before each hidden layer.

    Differs from the paper: see the module.
    """
    x, image = _alexnet_stem(input_shape, width)
    for index, (multiple, size, pooled) in enumerate(_CONVOLUTIONS, start=2):
        x = _bwn_conv(x, multiple * width, size, f"conv_{index}")
        if pooled:
            x = _pool(x, f"pool_{index}")
    for index, size in ((1, x.shape[1:3]), (2, 1)):
        if dropout:
            x = keras.layers.SpatialDropout2D(
                dropout, force_generator=True, name=f"hidden_{index}_dropout"
            )(x)
        x = _bwn_conv(x, 64 * width, size, f"hidden_{index}", padding="valid")
    return _alexnet_end(image, x, classes, "bwn_alexnet")


@register_model(family="XNOR-Net", kind=BINARY, paper=PAPER)
def xnor_net_resnet18(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: int = 64
) -> keras.Model:
    """ResNet-18 with binary inputs and scaled binary weights.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first stage; the next have 2×, 4× and 8×.

    The authors did not publish this network. Here a residual branch is twice batch norm, sign,
    convolution (section 3.2); shortcuts are real 1×1 convolutions where the width grows (type B,
    section 4.2); batch norm and ReLU stand before the last pooling, as in their AlexNet.
    """

    def branch(x: tf.Tensor, filters: int, strides: int, name: str) -> tf.Tensor:
        x = _xnor_conv(x, filters, 3, f"{name}_a", strides=strides)
        return _xnor_conv(x, filters, 3, f"{name}_b")

    x, image = _resnet18_body(input_shape, width, branch)
    x = batch_norm(name="last_bn")(x)
    x = keras.layers.ReLU(name="last_relu")(x)
    return keras.Model(image, pooled_logits(x, classes), name="xnor_net_resnet18")


@register_model(family="XNOR-Net", kind=BINARY_WEIGHTS, paper=PAPER)
def bwn_resnet18(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: int = 64
) -> keras.Model:
    """ResNet-18 with scaled binary weights and real inputs (BWN).

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first stage; the next have 2×, 4× and 8×.

    Layers stand as in ResNet; its shortcuts are real 1×1 convolutions where the width grows.
    """

    def branch(x: tf.Tensor, filters: int, strides: int, name: str) -> tf.Tensor:
        x = _bwn_conv(x, filters, 3, f"{name}_a", strides=strides)
        return _bwn_conv(x, filters, 3, f"{name}_b", activation=False)

    x, image = _resnet18_body(input_shape, width, branch, relu=True)
    return keras.Model(image, pooled_logits(x, classes), name="bwn_resnet18")


def _resnet18_body(
    input_shape: tuple[int, int, int],
    width: int,
    branch: Callable[[tf.Tensor, int, int, str], tf.Tensor],
    *,
    relu: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """ResNet-18 up to its last pooling; the image.

    Args:
        input_shape: `[H, W, C]` of the image.
        width: Filters of the first stage.
        branch: Makes a residual branch of an input, its filters, strides and the block's name.
        relu: Whether a ReLU follows each sum.
    """
    image = keras.Input(input_shape, name="image")
    x = resnet_stem(image, width, activation=keras.layers.ReLU)
    for stage in (1, 2, 3, 4):
        filters = width * 2 ** (stage - 1)
        for block in (1, 2):
            name = f"block_{stage}_{block}"
            strides = 2 if stage > 1 and block == 1 else 1
            shortcut = x
            if strides == 2:
                shortcut = real_conv(x, filters, 1, strides=2, name=f"shortcut_{stage}")
            x = added(branch(x, filters, strides, name), shortcut, name=f"{name}_add")
            if relu:
                x = keras.layers.ReLU(name=f"{name}_relu")(x)
    return x, image


def _xnor_conv(
    x: tf.Tensor,
    filters: int,
    size: int | tuple[int, int],
    name: str,
    *,
    strides: int = 1,
    padding: str = "same",
) -> tf.Tensor:
    """Batch norm, sign, binary convolution."""
    x = batch_norm(name=f"{name}_bn")(x)
    return binary_conv(
        x,
        filters,
        size,
        strides=strides,
        padding=padding,
        kernel=ScaledSign(),
        inputs=lq.quantizers.SteSign(),
        name=name,
    )


def _bwn_conv(
    x: tf.Tensor,
    filters: int,
    size: int | tuple[int, int],
    name: str,
    *,
    strides: int = 1,
    padding: str = "same",
    activation: bool = True,
) -> tf.Tensor:
    """Convolution with binary weights, batch norm, ReLU."""
    x = binary_conv(
        x,
        filters,
        size,
        strides=strides,
        padding=padding,
        kernel=ScaledSign(),
        inputs=None,
        name=name,
    )
    x = batch_norm(name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x) if activation else x


def _alexnet_stem(input_shape: tuple[int, int, int], width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """AlexNet's real first convolution with its pooling, 27×27 of a 224×224 image; the image."""
    if min(input_shape[:2]) < 63:
        raise ValueError(f"AlexNet needs images of at least 63×63, not {input_shape}")
    image = keras.Input(input_shape, name="image")
    x = keras.layers.ZeroPadding2D(2, name="conv_1_pad")(image)
    x = keras.layers.Conv2D(
        3 * width // 2,
        11,
        strides=4,
        use_bias=False,
        kernel_initializer="he_normal",
        name="conv_1",
    )(x)
    x = batch_norm(name="conv_1_bn")(x)
    x = keras.layers.ReLU(name="conv_1_relu")(x)
    return _pool(x, "pool_1"), image


def _pool(x: tf.Tensor, name: str) -> tf.Tensor:
    """AlexNet's overlapping pooling."""
    return keras.layers.MaxPooling2D(3, strides=2, name=name)(x)


def _alexnet_end(image: tf.Tensor, x: tf.Tensor, classes: int, name: str) -> keras.Model:
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.Model(image, keras.layers.Dense(classes, name="logits")(x), name=name)
