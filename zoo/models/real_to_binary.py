"""Real-to-Binary network and the networks that teach it, as Larq's zoo builds them.

Training Binary Neural Networks with Real-to-Binary Convolutions, arXiv 2003.11535: four networks of
one shape, each trained with the one before as its teacher, from a float ResNet-18 to
binary weights and activations; scales from a small gate follow each convolution.

Differs from larq-zoo: logits instead of probabilities.
"""

from onebit.keras import keras
from zoo.models import Paper, register_model
from zoo.models._larq_zoo import larq_model

PAPER = Paper("Training Binary Neural Networks with Real-to-Binary Convolutions", "2003.11535")


@register_model(family="Real-to-Binary", kind="binary weights and activations", paper=PAPER)
def real_to_binary_net(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    weights: str | None = None,
) -> keras.Model:
    """The Real-to-Binary network: scales that depend on the data follow its 16 binary convolutions.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        weights: "imagenet" for Larq's trained ones (downloaded once), None for random ones.
    """
    return larq_model(
        "real_to_binary_net",
        "literature.real_to_bin_nets.RealToBinNetBNNFactory",
        "r2b",
        input_shape,
        classes,
        weights,
    )


@register_model(family="Real-to-Binary", kind="binary activations", paper=PAPER)
def real_to_binary_net_ban(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
) -> keras.Model:
    """The network of the third training: binary activations, real weights.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
    """
    return larq_model(
        "real_to_binary_net_ban",
        "literature.real_to_bin_nets.RealToBinNetBANFactory",
        "r2b",
        input_shape,
        classes,
        None,
    )


@register_model(family="Real-to-Binary", kind="float")
def real_to_binary_net_fp(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
) -> keras.Model:
    """The network of the second training: tanh in place of the signs, real weights.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
    """
    return larq_model(
        "real_to_binary_net_fp",
        "literature.real_to_bin_nets.RealToBinNetFPFactory",
        "r2b",
        input_shape,
        classes,
        None,
    )


@register_model(family="Real-to-Binary", kind="float")
def real_to_binary_resnet18(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
) -> keras.Model:
    """The first teacher: a ResNet-18 whose blocks end in the same layers' names.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
    """
    return larq_model(
        "real_to_binary_resnet18",
        "literature.real_to_bin_nets.ResNet18FPFactory",
        "r2b",
        input_shape,
        classes,
        None,
    )
