"""XNOR-Net and its weights-only form, BWN, on ImageNet.

XNOR-Net: ImageNet Classification Using Binary Convolutional Neural Networks, arXiv 1603.05279,
section 4. AlexNet's schedules are larq-zoo's (`TrainXNORNet`) and, for BWN, that of the authors'
program (https://github.com/allenai/XNOR-Net, train.lua), whose epochs are 2,500 batches of 128
images (opts.lua): its 55 are 13.7 passes over ImageNet, and its boundaries 18, 29, 43 and 52 are
the passes 4.5, 7.2, 10.7 and 13.0, here rounded. The program has no ResNet-18. Section 4.2
trains it for 58 epochs with batches of 256 and a rate of 0.1, with a "learning-rate-decay equal to
0.01" at epochs 30 and 40, here a factor: so does BWN. XNOR-Net's rate with Adam is not given there;
its ResNet-18 has AlexNet's schedule.

Differs from the paper: no mean-centring of latent weights; BWN's decay of 5e-4, which the authors
end after 29 of their epochs, is left out.
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._imagenet import imagenet_recipe


@register_recipe
def xnor_net_alexnet_imagenet() -> Recipe:
    """XNOR-Net's AlexNet on ImageNet.

    Command: onebit zoo train xnor_net_alexnet_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 44.2 %, top-5 69.2 %, reported in the paper; 43.3 % in the README of its
        program, 45.0 % by larq-zoo.
    """
    return _xnor("xnor_net_alexnet")


@register_recipe
def bwn_alexnet_imagenet() -> Recipe:
    """AlexNet with binary weights on ImageNet.

    Command: onebit zoo train bwn_alexnet_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 56.8 %, top-5 79.4 %, reported in the paper.
    """
    return imagenet_recipe(
        "bwn_alexnet",
        epochs=14,
        batch_size=128,
        optimizer="sgd",
        momentum=0.9,
        fan_in_scaling=True,
        learning_rate=1e-2,
        schedule="steps",
        boundaries=(5, 7, 11, 13),
        factors=(0.5, 0.1, 0.05, 0.01),
        smoke_options={"width": 4},
    )


@register_recipe
def xnor_net_resnet18_imagenet() -> Recipe:
    """XNOR-Net's ResNet-18 on ImageNet.

    Command: onebit zoo train xnor_net_resnet18_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 51.2 %, top-5 73.2 %, reported in the paper, with another schedule.
    """
    return _xnor("xnor_net_resnet18")


@register_recipe
def bwn_resnet18_imagenet() -> Recipe:
    """ResNet-18 with binary weights on ImageNet.

    Command: onebit zoo train bwn_resnet18_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 60.8 %, top-5 83.0 %, reported in the paper.
    """
    return imagenet_recipe(
        "bwn_resnet18",
        epochs=58,
        batch_size=256,
        optimizer="sgd",
        momentum=0.9,
        fan_in_scaling=True,
        learning_rate=0.1,
        schedule="steps",
        boundaries=(30, 40),
        factors=(1e-2, 1e-4),
        smoke_options={"width": 4},
    )


def _xnor(model: str) -> Recipe:
    return imagenet_recipe(
        model,
        epochs=100,
        batch_size=1200,
        learning_rate=1e-3,
        schedule="steps",
        boundaries=(19, 30, 44, 53, 66, 76, 86),
        factors=(0.5, 0.1, 0.05, 0.01, 5e-3, 1e-3, 1e-4),
        # Keras' l2(5e-7) of larq-zoo, whose gradient is twice its factor.
        weight_decay=1e-6,
        smoke_options={"width": 4},
    )
