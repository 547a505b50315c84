"""Float EfficientNets, the teachers of BNext.

EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, arXiv 1905.11946; Keras
Applications' networks and weights.

Differs from Keras Applications: no layers in front that normalise pixels, since a recipe's
preprocessing does so (theirs is its `IMAGENET`), and logits instead of probabilities.
"""

from onebit.keras import keras
from zoo.models import register_model
from zoo.models._imagenet_weights import check_weights, trained

BUILT_BEFORE = "stem_conv_pad"
"""The first layer behind those that normalise pixels."""


@register_model(family="Float", kind="float")
def float_efficientnet_b0(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    weights: str | None = None,
) -> keras.Model:
    """EfficientNet-B0.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        weights: "imagenet" for Keras Applications' trained ones (downloaded once), None for random
            ones.
    """
    return _efficientnet("B0", input_shape, classes, weights)


@register_model(family="Float", kind="float")
def float_efficientnet_b2(
    input_shape: tuple[int, int, int] = (260, 260, 3),
    classes: int = 1000,
    *,
    weights: str | None = None,
) -> keras.Model:
    """EfficientNet-B2.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        weights: "imagenet" for Keras Applications' trained ones (downloaded once), None for random
            ones.
    """
    return _efficientnet("B2", input_shape, classes, weights)


@register_model(family="Float", kind="float")
def float_efficientnet_b4(
    input_shape: tuple[int, int, int] = (380, 380, 3),
    classes: int = 1000,
    *,
    weights: str | None = None,
) -> keras.Model:
    """EfficientNet-B4.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        weights: "imagenet" for Keras Applications' trained ones (downloaded once), None for random
            ones.
    """
    return _efficientnet("B4", input_shape, classes, weights)


def _efficientnet(
    size: str, input_shape: tuple[int, int, int], classes: int, weights: str | None
) -> keras.Model:
    """A network of Keras Applications for normalised images of any size.

    Raises:
        ValueError: `weights` is unknown, or is "imagenet" with other than 1000 classes.
        OnebitError: The weights are neither here nor can be downloaded.
    """
    check_weights(weights, classes)
    make = getattr(keras.applications, f"EfficientNet{size}")
    name = f"float_efficientnet_{size.lower()}"
    model = _without_normalisation(
        make(weights=None, input_shape=input_shape, classes=classes, classifier_activation=None),
        name,
    )
    if weights is not None:
        # Their weights are for images of their own size only.
        theirs = trained(name, lambda: make(weights=weights), "~/.keras/models")
        model.set_weights(_without_normalisation(theirs, name).get_weights())
    return model


def _without_normalisation(model: keras.Model, name: str) -> keras.Model:
    return keras.Model(model.get_layer(BUILT_BEFORE).input, model.outputs, name=name)
