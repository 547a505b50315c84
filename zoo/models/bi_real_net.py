"""Bi-Real Net with 18 and 34 layers.

Bi-Real Net: Enhancing the Performance of 1-bit CNNs With Improved Representational Capability and
Advanced Training Algorithm, arXiv 1808.00278: a shortcut around every binary convolution
(section 3.2), the polynomial ApproxSign for activations and the magnitude-aware sign for weights
(section 3.3); the first convolution, those of the shortcuts and the last layer are real.

Differs from the authors' program (https://github.com/liuzechun/Bi-Real-net): latent weights start
Glorot-normal and are clipped to ±1, where the program starts them uniformly in [0, 0.001) and clips
nothing; the magnitude-aware sign's gradient is multiplied by the magnitude, as the paper says;
batch normalisation's epsilon is 1e-4 instead of 1e-5.
"""

from collections.abc import Sequence

from onebit.keras import keras, lq
from zoo.layers.binary import batch_norm
from zoo.models import Paper, register_model
from zoo.models._blocks import added, binary_conv, pooled_logits, real_shortcut, resnet_stem

PAPER = Paper(
    "Bi-Real Net: Enhancing the Performance of 1-bit CNNs With Improved Representational "
    "Capability and Advanced Training Algorithm",
    "1808.00278",
)
KIND = "binary weights and activations"


@register_model(family="Bi-Real Net", kind=KIND, paper=PAPER)
def bi_real_net18(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: int = 64
) -> keras.Model:
    """Bi-Real Net with 16 binary convolutions.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first stage; the next have 2×, 4× and 8×.

    Differs from the paper: with a stride of 2, zeros are padded at the end only.
    """
    return _bi_real_net((4, 4, 4, 4), input_shape, classes, width, "bi_real_net18")


@register_model(family="Bi-Real Net", kind=KIND, paper=PAPER)
def bi_real_net34(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: int = 64
) -> keras.Model:
    """Bi-Real Net with 32 binary convolutions.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first stage; the next have 2×, 4× and 8×.

    Differs from the paper: with a stride of 2, zeros are padded at the end only.
    """
    return _bi_real_net((6, 8, 12, 6), input_shape, classes, width, "bi_real_net34")


def _bi_real_net(
    depths: Sequence[int],
    input_shape: tuple[int, int, int],
    classes: int,
    width: int,
    name: str,
) -> keras.Model:
    """Stages of binary convolutions, each with its own shortcut."""
    image = keras.Input(input_shape, name="image")
    x = resnet_stem(image, width)
    for stage, depth in enumerate(depths, start=1):
        filters = width * 2 ** (stage - 1)
        for step in range(1, depth + 1):
            layer = f"conv_{stage}_{step}"
            grows = stage > 1 and step == 1
            shortcut = real_shortcut(x, filters, name=f"shortcut_{stage}") if grows else x
            x = binary_conv(
                x,
                filters,
                3,
                strides=2 if grows else 1,
                kernel=lq.quantizers.MagnitudeAwareSign(),
                inputs=lq.quantizers.ApproxSign(),
                name=layer,
            )
            x = batch_norm(name=f"{layer}_bn")(x)
            x = added(x, shortcut, name=f"{layer}_add")
    return keras.Model(image, pooled_logits(x, classes), name=name)
