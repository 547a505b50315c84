"""A BHViT for small images, and its float baseline, on 5,000 real MNIST digits.

BHViT, arXiv 2503.02394, which uses ImageNet; settings after the authors' program,
https://github.com/IMRL/BHViT (scripts/run_BHViT.sh): Adam, a rate that falls by a cosine, no weight
decay.

Differs from the program: other data; a rate of 2e-3 instead of 2.5e-4, and 20 epochs with batches
of 100 instead of 100 with 256; no teacher, but the cross-entropy of labels; no augmentation.

Nothing was tuned: rate and epochs are first guesses.
"""

from zoo.recipes import Recipe, register_recipe


@register_recipe
def bhvit_micro_mnist_5k() -> Recipe:
    """A binary BHViT for 28×28 pixels on mnist_5k.

    Command: onebit zoo train bhvit_micro_mnist_5k -o runs/bhvit_micro
    Duration: about 6 minutes on one x86-64 core (estimated).
    Accuracy: 94.3 % measured with seed 1 and compute=bfloat16 (results/accuracies.jsonl).
    """
    return _recipe("bhvit_micro")


@register_recipe
def float_bhvit_micro_mnist_5k() -> Recipe:
    """The float baseline of the BHViT for 28×28 pixels on mnist_5k.

    Command: onebit zoo train float_bhvit_micro_mnist_5k -o runs/float_bhvit_micro
    Duration: about 6 minutes on one x86-64 core (estimated).
    Accuracy: 96.3 % measured with seed 1 and compute=bfloat16 (results/accuracies.jsonl).
    """
    return _recipe("float_bhvit_micro")


def _recipe(model: str) -> Recipe:
    return Recipe(
        model=model,
        dataset="mnist_5k",
        epochs=20,
        batch_size=100,
        learning_rate=2e-3,
        final_learning_rate=0.0,
        schedule="cosine",
        loss="cross_entropy",
        smoke_options={"widths": (8, 16), "head_width": 8},
    )
