"""EfficientNets with Keras Applications' weights on ImageNet: teachers that are not trained here.

EfficientNet, arXiv 1905.11946. A recipe of 0 epochs measures the network on the test split and
makes a run folder of it, which another recipe learns from.

Differs from the paper: all see images of 224×224, as BNext's program shows them.
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._imagenet import imagenet_recipe


@register_recipe
def float_efficientnet_b0_imagenet() -> Recipe:
    """EfficientNet-B0 as Keras Applications has trained it.

    Command: onebit zoo train float_efficientnet_b0_imagenet -o RUN
    Duration: that of one pass over ImageNet's validation images (not run here).
    Accuracy: top-1 77.1 %, reported at keras.io/api/applications.
    """
    return _pretrained("float_efficientnet_b0")


@register_recipe
def float_efficientnet_b2_imagenet() -> Recipe:
    """EfficientNet-B2 as Keras Applications has trained it.

    Command: onebit zoo train float_efficientnet_b2_imagenet -o RUN
    Duration: that of one pass over ImageNet's validation images (not run here).
    Accuracy: top-1 80.1 % with images of 260×260, reported at keras.io/api/applications.
    """
    return _pretrained("float_efficientnet_b2")


@register_recipe
def float_efficientnet_b4_imagenet() -> Recipe:
    """EfficientNet-B4 as Keras Applications has trained it.

    Command: onebit zoo train float_efficientnet_b4_imagenet -o RUN
    Duration: that of one pass over ImageNet's validation images (not run here).
    Accuracy: top-1 82.9 % with images of 380×380, reported at keras.io/api/applications.
    """
    return _pretrained("float_efficientnet_b4")


def _pretrained(model: str) -> Recipe:
    return imagenet_recipe(
        model,
        options={"weights": "imagenet"},
        epochs=0,
        smoke_options={"weights": None},
    )
