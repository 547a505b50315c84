"""Float ResNets: the teachers of binary ones, and what these are compared with.

Deep Residual Learning for Image Recognition, arXiv 1512.03385, table 1; shortcuts of type B.
"""

from collections.abc import Sequence

from onebit.keras import keras
from zoo.models import register_model
from zoo.models._blocks import added, pooled_logits, real_conv, resnet_stem


@register_model(family="Float", kind="float")
def float_resnet18(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: int = 64
) -> keras.Model:
    """ResNet-18.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first stage; the next have 2×, 4× and 8×.
    """
    return _resnet((2, 2, 2, 2), input_shape, classes, width, "float_resnet18")


@register_model(family="Float", kind="float")
def float_resnet34(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: int = 64
) -> keras.Model:
    """ResNet-34, ReActNet's teacher.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first stage; the next have 2×, 4× and 8×.
    """
    return _resnet((3, 4, 6, 3), input_shape, classes, width, "float_resnet34")


def _resnet(
    depths: Sequence[int],
    input_shape: tuple[int, int, int],
    classes: int,
    width: int,
    name: str,
) -> keras.Model:
    """Stages of blocks of two 3×3 convolutions."""
    image = keras.Input(input_shape, name="image")
    x = resnet_stem(image, width, activation=keras.layers.ReLU)
    for stage, depth in enumerate(depths, start=1):
        filters = width * 2 ** (stage - 1)
        for block in range(1, depth + 1):
            layer = f"block_{stage}_{block}"
            strides = 2 if stage > 1 and block == 1 else 1
            shortcut = x
            if strides == 2:
                shortcut = real_conv(x, filters, 1, strides=2, name=f"shortcut_{stage}")
            x = real_conv(x, filters, 3, strides=strides, name=f"{layer}_a")
            x = keras.layers.ReLU(name=f"{layer}_a_relu")(x)
            x = real_conv(x, filters, 3, name=f"{layer}_b")
            x = added(x, shortcut, name=f"{layer}_add")
            x = keras.layers.ReLU(name=f"{layer}_relu")(x)
    return keras.Model(image, pooled_logits(x, classes), name=name)
