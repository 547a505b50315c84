"""DoReFa-Net on ImageNet.

DoReFa-Net, arXiv 1606.06160; the schedule is larq-zoo's (`TrainDoReFaNet`).
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._imagenet import imagenet_recipe


@register_recipe
def dorefanet_imagenet() -> Recipe:
    """DoReFa-Net with binary weights and 2-bit activations on ImageNet.

    Command: onebit zoo train dorefanet_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 53.4 %, top-5 76.5 %, reported by larq-zoo.
    """
    return imagenet_recipe(
        "dorefanet",
        epochs=90,
        batch_size=256,
        learning_rate=2e-4,
        schedule="steps",
        boundaries=(60, 75, 82, 84, 86, 88),
        factors=(0.2, 0.04, 4e-3, 4e-4, 4e-5, 4e-6),
        # As large as the gradients of the hidden layers: it halves their steps, or more.
        adam_epsilon=1e-5,
    )
