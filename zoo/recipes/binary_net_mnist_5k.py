"""Binarized Neural Networks on 5,000 real MNIST digits.

Binarized Neural Networks: Training Deep Neural Networks with Weights and Activations Constrained
to +1 or -1, arXiv 1602.02830, section 2.1 (MLP) and 2.2 (the convolutional network, which the paper
trains on CIFAR-10).

Differs from the paper: a fifteenth of the data; 1024 instead of 4096 units without dropout, a
quarter of the filters; the model of the last epoch instead of the best by validation.
"""

from zoo.recipes import Recipe, register_recipe


@register_recipe
def binary_net_mlp_mnist_5k() -> Recipe:
    """The BNN MLP on mnist_5k."""
    return Recipe(
        model="binary_net_mlp",
        dataset="mnist_5k",
        epochs=40,
        learning_rate=3e-3,
        final_learning_rate=3e-5,
        smoke_options={"units": 32},
    )


@register_recipe
def binary_net_cnn_mnist_5k() -> Recipe:
    """The BNN convolutional network on mnist_5k."""
    return Recipe(
        model="binary_net_cnn",
        dataset="mnist_5k",
        options={"width": 32},
        epochs=20,
        learning_rate=1e-2,
        final_learning_rate=1e-4,
        smoke_options={"width": 4},
    )


@register_recipe
def float_cnn_mnist_5k() -> Recipe:
    """The float twin of the convolutional network on mnist_5k."""
    return Recipe(
        model="float_cnn",
        dataset="mnist_5k",
        options={"width": 32},
        epochs=20,
        smoke_options={"width": 4},
    )
