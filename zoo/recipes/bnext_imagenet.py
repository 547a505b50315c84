"""BNext on ImageNet, with two teachers at a time.

BNext, arXiv 2211.12933; settings of the authors' program, https://github.com/hpi-xnor/BNext,
`src/train_assistant_group_amp.py` with `src/script/` (and `zoo/recipes/_bnext.py`). The only loss
is on the teachers' logits: a strong teacher stays, and assistants, from weak to strong, take turns
beside it (diversified consecutive knowledge distillation, `zoo.training.distillation`); BNext-T and
-S have one assistant all along. The weights become signs in the first 153 of the 512 epochs.

Teachers run first: their folders are RUN/teacher and RUN/assistant_1, …

Differs from the program: EfficientNets of Keras Applications in place of timm's, whose weights were
trained otherwise; no RandAugment (rand-m7-mstd0.5-inc1), so random crops and mirrors only; in
tests the middle seven eighths of the shorter side instead of 95 %; the last epoch instead of the
best by the test split.
"""

from collections.abc import Callable

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._bnext import DECAY, TRAINING
from zoo.recipes._imagenet import imagenet_recipe
from zoo.recipes.efficientnet_imagenet import (
    float_efficientnet_b0_imagenet,
    float_efficientnet_b2_imagenet,
    float_efficientnet_b4_imagenet,
)


@register_recipe
def bnext_t_imagenet() -> Recipe:
    """BNext-T on ImageNet, with EfficientNet-B2 as teacher and -B0 as assistant.

    Command: onebit zoo train bnext_t_imagenet -o RUN
    Duration: weeks on several data-centre GPUs (estimated; not run here).
    Accuracy: top-1 72.4 %, reported in the paper.
    """
    return _recipe("bnext_t", float_efficientnet_b2_imagenet, float_efficientnet_b0_imagenet)


@register_recipe
def bnext_s_imagenet() -> Recipe:
    """BNext-S on ImageNet, with EfficientNet-B2 as teacher and -B0 as assistant.

    Command: onebit zoo train bnext_s_imagenet -o RUN
    Duration: weeks on several data-centre GPUs (estimated; not run here).
    Accuracy: top-1 76.1 %, reported in the paper.
    """
    return _recipe("bnext_s", float_efficientnet_b2_imagenet, float_efficientnet_b0_imagenet)


@register_recipe
def bnext_m_imagenet() -> Recipe:
    """BNext-M on ImageNet, with EfficientNet-B4 as teacher, -B0 and -B2 as assistants.

    Command: onebit zoo train bnext_m_imagenet -o RUN
    Duration: weeks on several data-centre GPUs (estimated; not run here).
    Accuracy: top-1 78.3 %, reported in the paper.
    """
    return _recipe(
        "bnext_m",
        float_efficientnet_b4_imagenet,
        float_efficientnet_b0_imagenet,
        float_efficientnet_b2_imagenet,
    )


@register_recipe
def bnext_l_imagenet() -> Recipe:
    """BNext-L on ImageNet, with the teachers of BNext-M.

    Command: onebit zoo train bnext_l_imagenet -o RUN
    Duration: months on several data-centre GPUs (estimated; not run here).
    Accuracy: top-1 80.57 %, reported in the paper.

    Differs from the program: its teacher, and third assistant, is ConvNeXt-T, behind
    EfficientNet-B0 and -B4; batches of 128.
    """
    return _recipe(
        "bnext_l",
        float_efficientnet_b4_imagenet,
        float_efficientnet_b0_imagenet,
        float_efficientnet_b2_imagenet,
    )


def _recipe(model: str, teacher: Callable[[], Recipe], *assistants: Callable[[], Recipe]) -> Recipe:
    return imagenet_recipe(
        model,
        epochs=512,
        batch_size=512,
        temperature_decay=DECAY,
        teacher=teacher(),
        assistants=tuple(assistant() for assistant in assistants),
        init_from_teacher=False,
        smoke_options={"width": 16, "depths": (1, 1)},
        **TRAINING,
    )
