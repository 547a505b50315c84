"""MeliusNets on ImageNet.

MeliusNet, arXiv 2001.05936, with the settings that its authors recorded for each of their
trainings: https://github.com/hpi-xnor/BMXNet-v2-wiki, `README.md` and `experiment/mnes`, the rows
with `grouped_stem`. The accuracies are of that table too. β₁ and ε of rectified Adam are those of
MXNet in https://github.com/hpi-xnor/BMXNet-v2, `python/mxnet/optimizer/contrib.py`.

Differs from the authors' trainings: images are cropped and mirrored; theirs had the augmentation
that their program calls medium, which the records do not describe. They do not say how many images
MeliusNet59 had a step either, on eight GPUs: 256 is 32 on each, as for 22 and 29 layers.
"""

from typing import Any

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._imagenet import imagenet_recipe


@register_recipe
def meliusnet22_imagenet() -> Recipe:
    """MeliusNet22 on ImageNet.

    Command: onebit zoo train meliusnet22_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 63.6 %, top-5 84.7 %, reported by the authors; larq-zoo's weights have 62.4 and
        83.9 %, by a training that it does not describe.
    """
    return _rectified("meliusnet22")


@register_recipe
def meliusnet29_imagenet() -> Recipe:
    """MeliusNet29 on ImageNet.

    Command: onebit zoo train meliusnet29_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 65.8 %, top-5 86.2 %, reported by the authors.
    """
    return _rectified("meliusnet29")


@register_recipe
def meliusnet42_imagenet() -> Recipe:
    """MeliusNet42 on ImageNet.

    Command: onebit zoo train meliusnet42_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 69.2 %, top-5 88.3 %, reported by the authors.
    """
    return _rectified("meliusnet42")


@register_recipe
def meliusnet59_imagenet() -> Recipe:
    """MeliusNet59 on ImageNet, with Adam.

    Command: onebit zoo train meliusnet59_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 70.7 %, top-5 89.2 %, reported by the authors.
    """
    return _recipe("meliusnet59", batch_size=256, learning_rate=3e-3, adam_epsilon=1e-8)


def _rectified(model: str) -> Recipe:
    return _recipe(
        model,
        batch_size=64,
        learning_rate=2e-3,
        optimizer="radam",
        adam_beta_1=0.95,
        adam_epsilon=1e-5,
    )


def _recipe(model: str, **fields: Any) -> Recipe:
    return imagenet_recipe(model, epochs=120, schedule="cosine", final_learning_rate=0.0, **fields)
