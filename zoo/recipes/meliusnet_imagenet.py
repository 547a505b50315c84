"""MeliusNet22 on ImageNet.

MeliusNet, arXiv 2001.05936. larq-zoo does not say how it trained the network; the schedule is
that of `binary_densenet28_imagenet`, by the same authors.
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._imagenet import imagenet_recipe


@register_recipe
def meliusnet22_imagenet() -> Recipe:
    """MeliusNet22 on ImageNet.

    Command: onebit zoo train meliusnet22_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 62.4 %, top-5 83.9 %, reported by larq-zoo, with another schedule.
    """
    return imagenet_recipe(
        "meliusnet22",
        epochs=120,
        batch_size=256,
        learning_rate=4e-3,
        schedule="steps",
        boundaries=(100, 110),
        factors=(0.1, 0.01),
    )
