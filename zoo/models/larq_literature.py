"""Larq's own Bi-Real Net, XNOR-Net and BinaryAlexNet, beside the zoo's, for their trained weights.

Differs from larq-zoo: logits instead of probabilities; XNOR-Net's scaled sign has the paper's
gradient.
"""

from onebit.keras import keras
from zoo.models import register_model
from zoo.models._larq_zoo import larq_model
from zoo.models.bi_real_net import PAPER as BI_REAL_NET
from zoo.models.binary_net_mlp import PAPER as BINARY_NET
from zoo.models.xnor_net import PAPER as XNOR_NET

KIND = "binary weights and activations"


@register_model(family="Bi-Real Net", kind=KIND, paper=BI_REAL_NET)
def larq_bi_real_net(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    weights: str | None = None,
) -> keras.Model:
    """Larq's Bi-Real Net 18; `bi_real_net18` with another batch norm and initialisation.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        weights: "imagenet" for Larq's trained ones (downloaded once), None for random ones.
    """
    return larq_model(
        "larq_bi_real_net",
        "literature.birealnet.BiRealNetFactory",
        "birealnet",
        input_shape,
        classes,
        weights,
    )


@register_model(family="XNOR-Net", kind=KIND, paper=XNOR_NET)
def larq_xnor_net(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    weights: str | None = None,
) -> keras.Model:
    """Larq's XNOR-Net; `xnor_net_alexnet` with the pooling after a padded first convolution.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        weights: "imagenet" for Larq's trained ones (downloaded once), None for random ones.
    """
    return larq_model(
        "larq_xnor_net",
        "literature.xnornet.XNORNetFactory",
        "xnornet",
        input_shape,
        classes,
        weights,
    )


@register_model(family="BNN", kind=KIND, paper=BINARY_NET)
def larq_binary_alexnet(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    weights: str | None = None,
) -> keras.Model:
    """Larq's BinaryAlexNet; `binary_alexnet` with another initialisation.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        weights: "imagenet" for Larq's trained ones (downloaded once), None for random ones.
    """
    return larq_model(
        "larq_binary_alexnet",
        "literature.binary_alex_net.BinaryAlexNetFactory",
        "binary_alexnet",
        input_shape,
        classes,
        weights,
    )
