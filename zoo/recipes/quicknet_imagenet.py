"""QuickNets on ImageNet.

Larq Compute Engine, arXiv 2011.09398; the schedule is larq-zoo's (`TrainQuickNet`): Adam for the
binary weights, SGD with momentum for the others, both with a cosine behind five epochs of warm-up.
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._imagenet import imagenet_recipe


@register_recipe
def quicknet_small_imagenet() -> Recipe:
    """QuickNetSmall on ImageNet.

    Command: onebit zoo train quicknet_small_imagenet -o RUN
    Duration: weeks on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 59.4 %, top-5 81.8 %, reported by larq-zoo.
    """
    return _quicknet("quicknet_small")


@register_recipe
def quicknet_imagenet() -> Recipe:
    """QuickNet on ImageNet.

    Command: onebit zoo train quicknet_imagenet -o RUN
    Duration: weeks on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 63.3 %, top-5 84.6 %, reported by larq-zoo.
    """
    return _quicknet("quicknet")


@register_recipe
def quicknet_large_imagenet() -> Recipe:
    """QuickNetLarge on ImageNet.

    Command: onebit zoo train quicknet_large_imagenet -o RUN
    Duration: weeks on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 66.9 %, top-5 87.0 %, reported by larq-zoo.
    """
    return _quicknet("quicknet_large")


def _quicknet(model: str) -> Recipe:
    return imagenet_recipe(
        model,
        epochs=600,
        batch_size=2048,
        learning_rate=1e-2,
        final_learning_rate=0.0,
        schedule="cosine",
        warmup_epochs=5,
        real_learning_rate=0.1,
        momentum=0.9,
        smoke_options={"blocks": (1, 1, 1, 1), "widths": (8, 8, 16, 16)},
    )
