"""MeliusNets on ImageNet.

MeliusNet, arXiv 2001.05936. larq-zoo does not say how it trained the network of 22 layers; the
schedule of all is that of `binary_densenet28_imagenet`, by the same authors.
"""

import functools

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._imagenet import imagenet_recipe


@register_recipe
def meliusnet22_imagenet() -> Recipe:
    """MeliusNet22 on ImageNet.

    Command: onebit zoo train meliusnet22_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 62.4 %, top-5 83.9 %, reported by larq-zoo, with another schedule.
    """
    return _recipe("meliusnet22")


@register_recipe
def meliusnet29_imagenet() -> Recipe:
    """MeliusNet29 on ImageNet.

    Command: onebit zoo train meliusnet29_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 65.8 %, reported in the paper (quoted from memory).
    """
    return _recipe("meliusnet29")


@register_recipe
def meliusnet42_imagenet() -> Recipe:
    """MeliusNet42 on ImageNet.

    Command: onebit zoo train meliusnet42_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 69.2 %, reported in the paper (quoted from memory).
    """
    return _recipe("meliusnet42")


@register_recipe
def meliusnet59_imagenet() -> Recipe:
    """MeliusNet59 on ImageNet.

    Command: onebit zoo train meliusnet59_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 71.0 %, reported in the paper (quoted from memory).
    """
    return _recipe("meliusnet59")


_recipe = functools.partial(
    imagenet_recipe,
    epochs=120,
    batch_size=256,
    learning_rate=4e-3,
    schedule="steps",
    boundaries=(100, 110),
    factors=(0.1, 0.01),
    adam_epsilon=1e-8,
)
