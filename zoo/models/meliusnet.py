"""MeliusNet22, as Larq's zoo builds it.

MeliusNet: Can Binary Neural Networks Achieve MobileNet-level Accuracy?, arXiv 2001.05936: dense
blocks add 64 channels, improvement blocks correct them.

Differs from larq-zoo: logits instead of probabilities; no Lambda layers.
"""

from onebit.keras import keras
from zoo.models import Paper, register_model
from zoo.models._larq_zoo import larq_model

PAPER = Paper(
    "MeliusNet: Can Binary Neural Networks Achieve MobileNet-level Accuracy?", "2001.05936"
)


@register_model(family="MeliusNet", kind="binary weights and activations", paper=PAPER)
def meliusnet22(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    weights: str | None = None,
) -> keras.Model:
    """MeliusNet with 17 dense and 17 improvement blocks.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        weights: "imagenet" for Larq's trained ones (downloaded once), None for random ones.
    """
    return larq_model(
        "meliusnet22",
        "literature.meliusnet.MeliusNet22Factory",
        "meliusnet22",
        input_shape,
        classes,
        weights,
    )
