"""BinaryResNetE18 on ImageNet.

Back to Simplicity: How to Train Accurate BNNs from Scratch?, arXiv 1906.08637; the schedule is
larq-zoo's (`TrainBinaryResNetE18`).
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._imagenet import imagenet_recipe


@register_recipe
def binary_resnet_e18_imagenet() -> Recipe:
    """BinaryResNetE18 on ImageNet.

    Command: onebit zoo train binary_resnet_e18_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 58.3 %, top-5 80.8 %, reported by larq-zoo.
    """
    return imagenet_recipe(
        "binary_resnet_e18",
        epochs=120,
        batch_size=1024,
        learning_rate=4e-3,
        schedule="steps",
        boundaries=(70, 90, 110),
        factors=(0.3, 0.09, 0.027),
        adam_epsilon=1e-8,
    )
