"""BinaryResNetE18, as Larq's zoo builds it.

Back to Simplicity: How to Train Accurate BNNs from Scratch?, arXiv 1906.08637: ResNet-18 with
a shortcut around each of its 16 binary convolutions.

Differs from larq-zoo: logits instead of probabilities.
"""

from onebit.keras import keras
from zoo.models import register_model
from zoo.models._larq_zoo import larq_model
from zoo.models.binary_densenet import PAPER


@register_model(family="BinaryResNetE", kind="binary weights and activations", paper=PAPER)
def binary_resnet_e18(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    weights: str | None = None,
) -> keras.Model:
    """ResNetE-18: ResNet-18 with extra shortcuts, binary in its 3×3 convolutions.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        weights: "imagenet" for Larq's trained ones (downloaded once), None for random ones.
    """
    return larq_model(
        "binary_resnet_e18",
        "literature.resnet_e.BinaryResNetE18Factory",
        "resnet_e",
        input_shape,
        classes,
        weights,
    )
