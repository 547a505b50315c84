"""BinaryDenseNets on ImageNet.

Back to Simplicity: How to Train Accurate BNNs from Scratch?, arXiv 1906.08637; the schedules are
larq-zoo's (`TrainBinaryDenseNet28` and others).
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._imagenet import imagenet_recipe


@register_recipe
def binary_densenet28_imagenet() -> Recipe:
    """BinaryDenseNet28 on ImageNet.

    Command: onebit zoo train binary_densenet28_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 60.9 %, top-5 82.8 %, reported by larq-zoo.
    """
    return _densenet("binary_densenet28", 120, 256, 0.004, (100, 110))


@register_recipe
def binary_densenet37_imagenet() -> Recipe:
    """BinaryDenseNet37 on ImageNet.

    Command: onebit zoo train binary_densenet37_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 62.9 %, top-5 84.2 %, reported by larq-zoo.
    """
    return _densenet("binary_densenet37", 120, 192, 0.004, (100, 110))


@register_recipe
def binary_densenet37_dilated_imagenet() -> Recipe:
    """BinaryDenseNet37Dilated on ImageNet.

    Command: onebit zoo train binary_densenet37_dilated_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 64.3 %, top-5 85.2 %, reported by larq-zoo.
    """
    return _densenet("binary_densenet37_dilated", 80, 256, 0.004, (60, 70))


@register_recipe
def binary_densenet45_imagenet() -> Recipe:
    """BinaryDenseNet45 on ImageNet.

    Command: onebit zoo train binary_densenet45_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 64.6 %, top-5 85.2 %, reported by larq-zoo.
    """
    return _densenet("binary_densenet45", 125, 384, 0.008, (80, 100))


def _densenet(
    model: str, epochs: int, batch_size: int, learning_rate: float, boundaries: tuple[int, int]
) -> Recipe:
    return imagenet_recipe(
        model,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        schedule="steps",
        boundaries=boundaries,
        factors=(0.1, 0.01),
        adam_epsilon=1e-8,
        smoke_options={"growth": 8},
    )
