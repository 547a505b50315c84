"""Real-to-Binary networks on ImageNet: four trainings, each the next one's teacher.

Training Binary Neural Networks with Real-to-Binary Convolutions, arXiv 2003.11535; schedules and
weights of the losses are larq-zoo's (`TrainR2B`), which says that its published weights were
trained otherwise. All four run one after the other in one folder (RUN/teacher/teacher/teacher and
so on).

Differs from larq-zoo: one learning rate schedule for the last training, too; the weight decay of
1e-5 that real weights have is in the networks.
"""

import dataclasses

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._imagenet import imagenet_recipe


@register_recipe
def real_to_binary_resnet18_imagenet() -> Recipe:
    """The first teacher: a float ResNet-18.

    Command: onebit zoo train real_to_binary_resnet18_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: not reported.
    """
    return imagenet_recipe(
        "real_to_binary_resnet18",
        epochs=100,
        batch_size=512,
        optimizer="sgd",
        learning_rate=0.1,
        final_learning_rate=0.0,
        schedule="cosine",
        warmup_epochs=5,
    )


@register_recipe
def real_to_binary_net_fp_imagenet() -> Recipe:
    """The second: the network's shape with tanh and real weights.

    Command: onebit zoo train real_to_binary_net_fp_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: not reported.
    """
    return _stage("real_to_binary_net_fp", real_to_binary_resnet18_imagenet(), learning_rate=1e-3)


@register_recipe
def real_to_binary_net_ban_imagenet() -> Recipe:
    """The third: binary activations, real weights.

    Command: onebit zoo train real_to_binary_net_ban_imagenet -o RUN
    Duration: weeks on a data-centre GPU (estimated; not run here).
    Accuracy: not reported.
    """
    return _stage("real_to_binary_net_ban", real_to_binary_net_fp_imagenet(), learning_rate=1e-3)


@register_recipe
def real_to_binary_net_imagenet() -> Recipe:
    """The Real-to-Binary network on ImageNet, after the three before it.

    Command: onebit zoo train real_to_binary_net_imagenet -o RUN
    Duration: weeks on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 65.4 %, reported in the paper; 65.0 %, top-5 85.7 % by larq-zoo.
    """
    return dataclasses.replace(
        _stage("real_to_binary_net", real_to_binary_net_ban_imagenet(), learning_rate=2e-4),
        init_from_teacher=True,
        attention_weight=0.0,
        logits_weight=0.8,
    )


def _stage(model: str, teacher: Recipe, learning_rate: float) -> Recipe:
    return imagenet_recipe(
        model,
        epochs=75,
        batch_size=256,
        learning_rate=learning_rate,
        schedule="steps",
        boundaries=(40, 60, 70),
        factors=(0.3, 0.09, 0.027),
        warmup_epochs=5,
        teacher=teacher,
        init_from_teacher=False,
        label_weight=1.0,
        logits_weight=3.0,
        attention_weight=30.0,
    )
