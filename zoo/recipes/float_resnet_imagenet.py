"""Float ResNets on ImageNet: ReActNet's teacher, and what binary ones are compared with.

Deep Residual Learning for Image Recognition, arXiv 1512.03385, section 3.4.

Differs from the paper: the learning rate falls every 30 of 90 epochs instead of when the error
stops falling, as in PyTorch's examples.
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._imagenet import imagenet_recipe


@register_recipe
def float_resnet18_imagenet() -> Recipe:
    """ResNet-18 on ImageNet.

    Command: onebit zoo train float_resnet18_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 69.8 %, reported by torchvision for its weights.
    """
    return _resnet("float_resnet18")


@register_recipe
def float_resnet34_imagenet() -> Recipe:
    """ResNet-34 on ImageNet.

    Command: onebit zoo train float_resnet34_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 73.3 %, reported by torchvision for its weights.
    """
    return _resnet("float_resnet34")


def _resnet(model: str) -> Recipe:
    return imagenet_recipe(
        model,
        epochs=90,
        batch_size=256,
        optimizer="sgd",
        momentum=0.9,
        learning_rate=0.1,
        schedule="steps",
        boundaries=(30, 60),
        factors=(0.1, 0.01),
        weight_decay=1e-4,
        smoke_options={"width": 4},
    )
