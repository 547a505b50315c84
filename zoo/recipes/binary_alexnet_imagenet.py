"""BinaryAlexNet on ImageNet.

Binarized Neural Networks, arXiv 1602.02830; the schedule is larq-zoo's (`TrainBinaryAlexNet`).
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._imagenet import imagenet_recipe


@register_recipe
def binary_alexnet_imagenet() -> Recipe:
    """BinaryAlexNet on ImageNet.

    Command: onebit zoo train binary_alexnet_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 36.3 %, top-5 61.5 %, reported by larq-zoo.
    """
    return imagenet_recipe(
        "binary_alexnet",
        epochs=150,
        batch_size=512,
        learning_rate=1e-2,
        schedule="steps",
        boundaries=tuple(range(10, 150, 10)),
        factors=tuple(0.5**step for step in range(1, 15)),
        smoke_options={"width": 4},
    )
