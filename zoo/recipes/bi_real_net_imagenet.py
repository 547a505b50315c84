"""Bi-Real Net on ImageNet.

Bi-Real Net, arXiv 1808.00278. The schedule is that of the authors' later program
(https://github.com/liuzechun/Bi-Real-net, pytorch_implementation).

Differs from the paper: trained from scratch with Adam, without the real-valued pre-training and
the last epoch for batch norm only; no jitter of the lighting. Differs from the program: the rate
falls by step, where the program lowers it before each epoch, to 0 before the last; the model of the
last epoch instead of the best by the test split.
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._imagenet import imagenet_recipe


@register_recipe
def bi_real_net18_imagenet() -> Recipe:
    """Bi-Real Net 18 on ImageNet.

    Command: onebit zoo train bi_real_net18_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 56.4 %, top-5 79.5 %, reported in the paper; 57.5 % by larq-zoo.
    """
    return _bi_real("bi_real_net18")


@register_recipe
def bi_real_net34_imagenet() -> Recipe:
    """Bi-Real Net 34 on ImageNet.

    Command: onebit zoo train bi_real_net34_imagenet -o RUN
    Duration: days on a data-centre GPU (estimated; not run here).
    Accuracy: top-1 62.2 %, top-5 83.9 %, reported in the paper.
    """
    return _bi_real("bi_real_net34")


def _bi_real(model: str) -> Recipe:
    return imagenet_recipe(
        model,
        epochs=256,
        batch_size=512,
        learning_rate=1e-3,
        final_learning_rate=0.0,
        schedule="linear",
        label_smoothing=0.1,
        adam_epsilon=1e-8,
        smoke_options={"width": 4},
    )
