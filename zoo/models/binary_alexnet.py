"""BinaryAlexNet: AlexNet with every weight and every activation binary.

Binarized Neural Networks (Hubara et al., NIPS 2016; arXiv 1602.02830) trains an AlexNet on ImageNet
but does not list its layers. They are here as in Larq's zoo, whose weights fit: AlexNet in the form
of arXiv 1404.5997 with a binary first and last layer.
"""

from onebit.keras import keras, lq
from zoo.layers.binary import batch_norm
from zoo.models import register_model
from zoo.models._blocks import binary_conv
from zoo.models.binary_net_mlp import PAPER as BINARY_NET

_CONVOLUTIONS = (
    (1, 11, 4, True),
    (3, 5, 1, True),
    (6, 3, 1, False),
    (6, 3, 1, False),
    (4, 3, 1, True),
)
"""Filters in multiples of `width`, size, stride, pooled or not."""


@register_model(family="BNN", kind="binary weights and activations", paper=BINARY_NET)
def binary_alexnet(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: int = 64
) -> keras.Model:
    """AlexNet with binary weights and activations; the first layer sees real pixels.

    Args:
        input_shape: `[H, W, C]` of an image; H and W at least 61.
        classes: Outputs.
        width: Filters of the first convolution; the hidden layers have 64 times as many units.

    Differs from the paper: ordinary instead of shift-based batch normalisation.
    """
    if min(input_shape[:2]) < 61:
        raise ValueError(f"three poolings need images of at least 61×61, not {input_shape}")
    sign = lq.quantizers.SteSign
    x = image = keras.Input(input_shape, name="image")
    for index, (multiple, size, strides, pooled) in enumerate(_CONVOLUTIONS, start=1):
        inputs = None if index == 1 else sign()
        x = binary_conv(
            x,
            multiple * width,
            size,
            strides=strides,
            kernel=sign(),
            inputs=inputs,
            name=f"conv_{index}",
        )
        if pooled:
            x = keras.layers.MaxPooling2D(3, strides=2, name=f"pool_{index}")(x)
        x = _norm(f"conv_{index}_bn")(x)
    # Dense layers in the form of 1×1 convolutions, which Larq Compute Engine makes binary.
    x = keras.layers.Reshape((1, 1, -1), name="flatten")(x)
    for name, units in (("hidden_1", 64 * width), ("hidden_2", 64 * width), ("output", classes)):
        x = binary_conv(x, units, 1, kernel=sign(), inputs=sign(), name=name)
        x = _norm(f"{name}_bn")(x)
    return keras.Model(image, keras.layers.Flatten(name="logits")(x), name="binary_alexnet")


def _norm(name: str) -> keras.layers.Layer:
    """Batch normalisation without a scale: a sign follows, which no positive scale changes."""
    return batch_norm(name=name, scale=False, epsilon=1e-3)
