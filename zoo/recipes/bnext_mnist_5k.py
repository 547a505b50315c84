"""BNext for small images and its float baseline on 5,000 real MNIST digits.

BNext, arXiv 2211.12933, whose program trains on ImageNet.

Differs from the program (and `zoo/recipes/_bnext.py`): other data and a smaller network; the labels
in place of teachers; 15 epochs with batches of 50 instead of 512 with batches of 512, whose first
has the rising rates; weights are signs from the 6th epoch on, after the same third of the training;
no augmentation.

Nothing was tuned: epochs and batches are first guesses.
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._bnext import TRAINING


@register_recipe
def bnext_mini_mnist_5k() -> Recipe:
    """BNext for small images on mnist_5k.

    Command: onebit zoo train bnext_mini_mnist_5k -o runs/bnext_mini
    Duration: about 5 minutes of one x86-64 core, a third of them before the first epoch.
    Accuracy: 96.6 ± 0.6 % (standard error over 1,000 images) measured with seed 1 and
        compute=bfloat16 (results/accuracies.jsonl).
    """
    return _recipe("bnext_mini", temperature_decay=0.03)


@register_recipe
def float_bnext_mini_mnist_5k() -> Recipe:
    """The float baseline of BNext for small images on mnist_5k.

    Command: onebit zoo train float_bnext_mini_mnist_5k -o runs/float_bnext_mini
    Duration: about 5 minutes of one x86-64 core, a third of them before the first epoch.
    Accuracy: 97.9 ± 0.5 % (standard error over 1,000 images) measured with seed 1 and
        compute=bfloat16 (results/accuracies.jsonl).
    """
    return _recipe("float_bnext_mini")


def _recipe(model: str, temperature_decay: float | None = None) -> Recipe:
    return Recipe(
        model=model,
        dataset="mnist_5k",
        epochs=15,
        batch_size=50,
        loss="cross_entropy",
        temperature_decay=temperature_decay,
        smoke_options={"depths": (1,)},
        **{**TRAINING, "warmup_epochs": 1},
    )
