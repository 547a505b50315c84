"""BHViT on ImageNet, distilled from a float network.

BHViT, arXiv 2503.02394; settings of the authors' program, https://github.com/IMRL/BHViT
(scripts/run_BHViT.sh): AdamW without weight decay, which is Adam; two devices with batches of 128
and a rate of 5e-4·256/512, which falls by a cosine to 1e-8; crops and flips as augmentation; only
the distributional loss. The program's `--recu` and `--regularization_loss`, which the script leaves
off, are not here.

Differs from the program: the teacher is ResNet-34, trained here, where the program takes DeiT-S
from timm; gradients of the probabilities' thresholds are not scaled as those of their scales; the
rate falls by step, not by epoch; the model of the last epoch instead of the best on the validation
split.
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._imagenet import imagenet_recipe
from zoo.recipes.float_resnet_imagenet import float_resnet34_imagenet


@register_recipe
def bhvit_tiny_imagenet() -> Recipe:
    """BHViT-tiny on ImageNet.

    Command: onebit zoo train bhvit_tiny_imagenet -o RUN
    Duration: weeks on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 64.0 %, reported in the program's README; 66.0 % with real_downsampling=true.
    """
    return _recipe("bhvit_tiny")


@register_recipe
def bhvit_small_imagenet() -> Recipe:
    """BHViT-small on ImageNet.

    Command: onebit zoo train bhvit_small_imagenet -o RUN
    Duration: weeks on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 68.4 %, reported in the program's README; 70.1 % with real_downsampling=true.
    """
    return _recipe("bhvit_small")


def _recipe(model: str) -> Recipe:
    return imagenet_recipe(
        model,
        epochs=100,
        batch_size=256,
        learning_rate=2.5e-4,
        final_learning_rate=1e-8,
        schedule="cosine",
        adam_epsilon=1e-8,
        teacher=float_resnet34_imagenet(),
        init_from_teacher=False,
        smoke_options={
            "depths": (1, 1, 1, 1),
            "widths": (8, 8, 16, 16),
            "window": 2,
            "head_width": 8,
        },
    )
