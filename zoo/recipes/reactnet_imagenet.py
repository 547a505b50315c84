"""ReActNet on ImageNet, in two trainings with a teacher.

ReActNet, arXiv 2003.03488; the schedules are those of the authors' program
(https://github.com/liuzechun/ReActNet, run.sh; the shorter of two).

First the activations are binary and weight decay is 1e-5, then, from those weights, both are
binary and there is none. Both times the only loss is the distributional one, against ResNet-34.
All three trainings run one after the other in one folder (RUN/start/teacher, RUN/start, RUN), the
teacher once.

Differs from the paper: the teacher is trained here instead of taken from torchvision; no jitter of
the lighting. Differs from the program: the last training of ReActNet-A starts from all weights of
the first, as the paper says, where the program's file of step 2 names convolutions otherwise and
silently loads none of them; the rate falls by step, where the program lowers it before each epoch,
to 0 before the last; the model of the last epoch instead of the best by the test split.
"""

import dataclasses

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._imagenet import imagenet_recipe
from zoo.recipes.float_resnet_imagenet import float_resnet34_imagenet


@register_recipe
def reactnet_a_binary_activations_imagenet() -> Recipe:
    """The first training of ReActNet-A: binary activations, real weights.

    Command: onebit zoo train reactnet_a_binary_activations_imagenet -o RUN
    Duration: weeks on a data-centre GPU (estimated; not run here).
    Accuracy: not reported in the paper.
    """
    return _first("reactnet_a", 256, 1.25e-3)


@register_recipe
def reactnet_a_imagenet() -> Recipe:
    """ReActNet-A on ImageNet: the last training, after the two before it.

    Command: onebit zoo train reactnet_a_imagenet -o RUN
    Duration: weeks on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 69.4 %, reported in the paper.
    """
    return _last(reactnet_a_binary_activations_imagenet())


@register_recipe
def reactnet_b_binary_activations_imagenet() -> Recipe:
    """The first training of ReActNet-B: binary activations, real weights.

    Command: onebit zoo train reactnet_b_binary_activations_imagenet -o RUN
    Duration: weeks on a data-centre GPU (estimated; not run here).
    Accuracy: not reported in the paper.
    """
    return _first("reactnet_b", 256, 1.25e-3)


@register_recipe
def reactnet_b_imagenet() -> Recipe:
    """ReActNet-B on ImageNet: the last training, after the two before it.

    Command: onebit zoo train reactnet_b_imagenet -o RUN
    Duration: weeks on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 70.1 %, reported in the paper; the schedule is ReActNet-A's.
    """
    return _last(reactnet_b_binary_activations_imagenet())


@register_recipe
def reactnet_c_binary_activations_imagenet() -> Recipe:
    """The first training of ReActNet-C: binary activations, real weights.

    Command: onebit zoo train reactnet_c_binary_activations_imagenet -o RUN
    Duration: weeks on a data-centre GPU (estimated; not run here).
    Accuracy: not reported in the paper.
    """
    return _first("reactnet_c", 256, 1.25e-3)


@register_recipe
def reactnet_c_imagenet() -> Recipe:
    """ReActNet-C on ImageNet: the last training, after the two before it.

    Command: onebit zoo train reactnet_c_imagenet -o RUN
    Duration: weeks on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 71.4 %, reported in the paper; the schedule is ReActNet-A's.
    """
    return _last(reactnet_c_binary_activations_imagenet())


@register_recipe
def react_resnet18_binary_activations_imagenet() -> Recipe:
    """The first training of ReAct-ResNet18: binary activations, real weights.

    Command: onebit zoo train react_resnet18_binary_activations_imagenet -o RUN
    Duration: weeks on a data-centre GPU (estimated; not run here).
    Accuracy: not reported in the paper.
    """
    return _first("react_resnet18", 512, 2.5e-3)


@register_recipe
def react_resnet18_imagenet() -> Recipe:
    """ReAct-ResNet18 on ImageNet: the last training, after the two before it.

    Command: onebit zoo train react_resnet18_imagenet -o RUN
    Duration: weeks on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 65.9 %, reported in the paper; 65.5 % in its program's README.
    """
    return _last(react_resnet18_binary_activations_imagenet())


def _first(model: str, batch_size: int, learning_rate: float) -> Recipe:
    return imagenet_recipe(
        model,
        options={"binary_weights": False},
        epochs=128,
        batch_size=batch_size,
        learning_rate=learning_rate,
        final_learning_rate=0.0,
        schedule="linear",
        weight_decay=1e-5,
        decayed="convolutions",
        adam_epsilon=1e-8,
        teacher=float_resnet34_imagenet(),
        init_from_teacher=False,
        smoke_options={"width": 4},
    )


def _last(first: Recipe) -> Recipe:
    return dataclasses.replace(
        first, options={"binary_weights": True}, weight_decay=0.0, start=first
    )
