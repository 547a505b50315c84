"""DoReFa-Net, as Larq's zoo builds it.

DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth Gradients,
arXiv 1606.06160: AlexNet with binary weights, scaled per layer, and activations of 2 bits; the
gradients stay real.

Differs from larq-zoo: logits instead of probabilities; ReLU up to 1 in place of the same clipping.
"""

from onebit.keras import keras
from zoo.models import Paper, register_model
from zoo.models._larq_zoo import larq_model

PAPER = Paper(
    "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth Gradients",
    "1606.06160",
)


@register_model(family="DoReFa-Net", kind="binary weights, 2-bit activations", paper=PAPER)
def dorefanet(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    weights: str | None = None,
) -> keras.Model:
    """AlexNet with binary weights and 2-bit activations.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        weights: "imagenet" for Larq's trained ones (downloaded once), None for random ones.
    """
    return larq_model(
        "dorefanet",
        "literature.dorefanet.DoReFaNetFactory",
        "dorefanet",
        input_shape,
        classes,
        weights,
    )
