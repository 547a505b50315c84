"""QuickNets, as Larq's zoo builds them.

Larq Compute Engine: Design, Benchmark, and Deploy State-of-the-Art Binarized Neural Networks,
arXiv 2011.09398, which introduces them: a shortcut around each binary convolution, the order
convolution, ReLU, batch norm, padding with +1, and anti-aliased pooling where sections meet.

Differs from larq-zoo: logits instead of probabilities.
"""

from onebit.keras import keras
from zoo.models import Paper, register_model
from zoo.models._larq_zoo import larq_model

PAPER = Paper(
    "Larq Compute Engine: Design, Benchmark, and Deploy State-of-the-Art Binarized Neural Networks",
    "2011.09398",
)
KIND = "binary weights and activations"


@register_model(family="QuickNet", kind=KIND, paper=PAPER)
def quicknet_small(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    blocks: tuple[int, ...] = (4, 4, 4, 4),
    widths: tuple[int, ...] = (32, 64, 256, 512),
    weights: str | None = None,
) -> keras.Model:
    """QuickNet with half the filters in its first two sections.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        blocks: Binary convolutions of each section.
        widths: Their filters; the first a multiple of 4.
        weights: "imagenet" for Larq's trained ones (downloaded once), None for random ones.
    """
    return larq_model(
        "quicknet_small",
        "sota.quicknet.QuickNetSmallFactory",
        "quicknet",
        input_shape,
        classes,
        weights,
        section_blocks=blocks,
        section_filters=widths,
    )


@register_model(family="QuickNet", kind=KIND, paper=PAPER)
def quicknet(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    blocks: tuple[int, ...] = (4, 4, 4, 4),
    widths: tuple[int, ...] = (64, 128, 256, 512),
    weights: str | None = None,
) -> keras.Model:
    """Larq's fast network of 16 binary 3×3 convolutions.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        blocks: Binary convolutions of each section.
        widths: Their filters; the first a multiple of 4.
        weights: "imagenet" for Larq's trained ones (downloaded once), None for random ones.
    """
    return larq_model(
        "quicknet",
        "sota.quicknet.QuickNetFactory",
        "quicknet",
        input_shape,
        classes,
        weights,
        section_blocks=blocks,
        section_filters=widths,
    )


@register_model(family="QuickNet", kind=KIND, paper=PAPER)
def quicknet_large(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    blocks: tuple[int, ...] = (6, 8, 12, 6),
    widths: tuple[int, ...] = (64, 128, 256, 512),
    weights: str | None = None,
) -> keras.Model:
    """QuickNet with 32 binary convolutions.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        blocks: Binary convolutions of each section.
        widths: Their filters; the first a multiple of 4.
        weights: "imagenet" for Larq's trained ones (downloaded once), None for random ones.
    """
    return larq_model(
        "quicknet_large",
        "sota.quicknet.QuickNetLargeFactory",
        "quicknet",
        input_shape,
        classes,
        weights,
        section_blocks=blocks,
        section_filters=widths,
    )
