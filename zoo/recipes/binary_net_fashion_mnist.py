"""Binarized Neural Networks and their float baselines on Fashion-MNIST.

Binarized Neural Networks: Training Deep Neural Networks with Weights and Activations Constrained
to +1 or -1, arXiv 1602.02830, sections 2.1 and 2.2. The paper does not use this data set.

Differs from the paper: 1024 units instead of 4096, without dropout; a quarter of the filters;
50 epochs (MLP) and 20 (convolutional networks) instead of 1000; learning rates that Glorot's
coefficients don't scale, and latent weights that start in Glorot's range; the model of the last
epoch instead of the best by validation.

Nothing was tuned on this data set. The accuracies are in `results/accuracies.jsonl`, which
`make accuracies` makes; durations are of two x86-64 cores.
"""

import functools

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._binary_net import small_cnn


@register_recipe
def binary_net_mlp_fashion_mnist() -> Recipe:
    """The BNN MLP, 3×1024, on Fashion-MNIST.

    Command: onebit zoo train binary_net_mlp_fashion_mnist -o runs/binary_net_mlp_fashion_mnist
    Duration: about 6 minutes (estimated).
    Accuracy: not reported; measured in results/accuracies.jsonl.
    """
    return Recipe(
        model="binary_net_mlp",
        dataset="fashion_mnist",
        epochs=50,
        batch_size=200,
        learning_rate=3e-3,
        final_learning_rate=3e-6,
        smoke_options={"units": 32},
    )


@register_recipe
def binary_net_cnn_fashion_mnist() -> Recipe:
    """The BNN convolutional network on Fashion-MNIST.

    Command: onebit zoo train binary_net_cnn_fashion_mnist -o runs/binary_net_cnn_fashion_mnist
    Duration: about 20 minutes (estimated).
    Accuracy: not reported; measured in results/accuracies.jsonl.
    """
    return _cnn("binary_net_cnn", learning_rate=3e-3)


@register_recipe
def float_cnn_fashion_mnist() -> Recipe:
    """The float baseline of the convolutional network on Fashion-MNIST.

    Command: onebit zoo train float_cnn_fashion_mnist -o runs/float_cnn_fashion_mnist
    Duration: about 15 minutes (estimated).
    Accuracy: not reported; measured in results/accuracies.jsonl.
    """
    return _cnn("float_cnn", learning_rate=1e-3)


_cnn = functools.partial(small_cnn, dataset="fashion_mnist", width=32, epochs=20)
