"""BinaryConnect and what it is compared with, on Fashion-MNIST: the rows of the paper's table 2.

BinaryConnect: Training Deep Neural Networks with binary weights during propagations,
arXiv 1511.00363, section 3.1, which uses MNIST.

Differs from the paper: 50 epochs instead of 1000; Adam instead of SGD; the model of the last epoch
instead of the best by validation. Differs from the authors' later program for MNIST: a first rate
of 3e-3 instead of 1e-3, batches of 200 instead of 100, 1024 units instead of 2048. The recipes of
`zoo/recipes/binary_connect_paper_fashion_mnist.py` are those of the paper's experiments.

Nothing was tuned on this data set. The accuracies are in `results/accuracies.jsonl`, which
`make accuracies` makes; durations are of two x86-64 cores.
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._binary_connect import binary_connect_mlp, float_mlp, float_mlp_dropout


@register_recipe
def float_mlp_fashion_mnist() -> Recipe:
    """The float baseline, the paper's "no regularizer", on Fashion-MNIST.

    Command: onebit zoo train float_mlp_fashion_mnist -o runs/float_mlp_fashion_mnist
    Duration: about 5 minutes (estimated).
    Accuracy: not reported; measured in results/accuracies.jsonl.
    """
    return float_mlp("fashion_mnist", epochs=50)


@register_recipe
def float_mlp_dropout_fashion_mnist() -> Recipe:
    """The float baseline with the paper's "50% dropout", on Fashion-MNIST.

    Command: onebit zoo train float_mlp_dropout_fashion_mnist -o runs/float_mlp_dropout_fashion
    Duration: about 6 minutes (estimated).
    Accuracy: not reported; measured in results/accuracies.jsonl.
    """
    return float_mlp_dropout("fashion_mnist", epochs=50)


@register_recipe
def binary_connect_mlp_fashion_mnist() -> Recipe:
    """Deterministic BinaryConnect on Fashion-MNIST.

    Command: onebit zoo train binary_connect_mlp_fashion_mnist -o runs/binary_connect_fashion
    Duration: about 6 minutes (estimated).
    Accuracy: not reported; measured in results/accuracies.jsonl.
    """
    return binary_connect_mlp("fashion_mnist", epochs=50)


@register_recipe
def binary_connect_mlp_stochastic_fashion_mnist() -> Recipe:
    """Stochastic BinaryConnect on Fashion-MNIST, tested with signs and with real weights.

    Command: onebit zoo train binary_connect_mlp_stochastic_fashion_mnist -o runs/stochastic
    Duration: about 9 minutes (estimated).
    Accuracy: not reported; measured in results/accuracies.jsonl.
    """
    return binary_connect_mlp("fashion_mnist", epochs=50, stochastic=True)
