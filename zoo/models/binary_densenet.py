"""BinaryDenseNets, as Larq's zoo builds them.

Back to Simplicity: How to Train Accurate BNNs from Scratch?, arXiv 1906.08637: every binary
convolution adds channels to those that it read; real 1×1 convolutions where blocks meet.

Differs from larq-zoo: logits instead of probabilities.
"""

from onebit.keras import keras
from zoo.models import Paper, register_model
from zoo.models._larq_zoo import larq_model

PAPER = Paper("Back to Simplicity: How to Train Accurate BNNs from Scratch?", "1906.08637")
KIND = "binary weights and activations"


@register_model(family="BinaryDenseNet", kind=KIND, paper=PAPER)
def binary_densenet28(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    growth: int = 64,
    weights: str | None = None,
) -> keras.Model:
    """BinaryDenseNet with 23 binary convolutions.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        growth: Channels that each binary convolution adds.
        weights: "imagenet" for Larq's trained ones (downloaded once), None for random ones.
    """
    return larq_model(
        "binary_densenet28",
        "literature.densenet.BinaryDenseNet28Factory",
        "binary_densenet",
        input_shape,
        classes,
        weights,
        growth_rate=growth,
    )


@register_model(family="BinaryDenseNet", kind=KIND, paper=PAPER)
def binary_densenet37(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    growth: int = 64,
    weights: str | None = None,
) -> keras.Model:
    """BinaryDenseNet with 32 binary convolutions.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        growth: Channels that each binary convolution adds.
        weights: "imagenet" for Larq's trained ones (downloaded once), None for random ones.
    """
    return larq_model(
        "binary_densenet37",
        "literature.densenet.BinaryDenseNet37Factory",
        "binary_densenet",
        input_shape,
        classes,
        weights,
        growth_rate=growth,
    )


@register_model(family="BinaryDenseNet", kind=KIND, paper=PAPER)
def binary_densenet37_dilated(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    growth: int = 64,
    weights: str | None = None,
) -> keras.Model:
    """BinaryDenseNet37 whose last two blocks dilate instead of shrinking the image.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        growth: Channels that each binary convolution adds.
        weights: "imagenet" for Larq's trained ones (downloaded once), None for random ones.
    """
    return larq_model(
        "binary_densenet37_dilated",
        "literature.densenet.BinaryDenseNet37DilatedFactory",
        "binary_densenet",
        input_shape,
        classes,
        weights,
        growth_rate=growth,
    )


@register_model(family="BinaryDenseNet", kind=KIND, paper=PAPER)
def binary_densenet45(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    growth: int = 64,
    weights: str | None = None,
) -> keras.Model:
    """BinaryDenseNet with 40 binary convolutions.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        growth: Channels that each binary convolution adds.
        weights: "imagenet" for Larq's trained ones (downloaded once), None for random ones.
    """
    return larq_model(
        "binary_densenet45",
        "literature.densenet.BinaryDenseNet45Factory",
        "binary_densenet",
        input_shape,
        classes,
        weights,
        growth_rate=growth,
    )
