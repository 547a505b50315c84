"""Binarized Neural Networks on Fashion-MNIST.

Binarized Neural Networks: Training Deep Neural Networks with Weights and Activations Constrained
to +1 or -1, arXiv 1602.02830, section 2.1. The paper does not use this
data set.

Differs from the paper: 250 epochs (MLP) and 50 (convolutional network) instead of 1000; dropout of
0.2 before every sign instead of 0.2 on the input and 0.5 on the hidden layers; half the filters;
the model of the last epoch instead of the best by validation.
"""

from zoo.recipes import Recipe, register_recipe


@register_recipe
def binary_net_mlp_fashion_mnist() -> Recipe:
    """The BNN MLP, 3×4096, on Fashion-MNIST.

    Command: python -m zoo train binary_net_mlp_fashion_mnist -o runs/binary_net_mlp_fashion_mnist
    Duration: about 10 hours on two x86-64 cores (estimated); --set units=1024 takes one.
    Accuracy: neither reported nor measured at this length; with 1024 units .847 after one epoch.
    """
    return Recipe(
        model="binary_net_mlp",
        dataset="fashion_mnist",
        options={"units": 4096, "dropout": 0.2},
        epochs=250,
        batch_size=100,
        learning_rate=3e-3,
        final_learning_rate=3e-7,
        smoke_options={"units": 32},
    )


@register_recipe
def binary_net_cnn_fashion_mnist() -> Recipe:
    """The BNN convolutional network on Fashion-MNIST.

    Command: python -m zoo train binary_net_cnn_fashion_mnist -o runs/binary_net_cnn_fashion_mnist
    Duration: about 2 hours on two x86-64 cores (estimated).
    Accuracy: neither reported nor measured.
    """
    return _cnn("binary_net_cnn")


@register_recipe
def float_cnn_fashion_mnist() -> Recipe:
    """The float twin of the convolutional network on Fashion-MNIST.

    Command: python -m zoo train float_cnn_fashion_mnist -o runs/float_cnn_fashion_mnist
    Duration: about 2 hours on two x86-64 cores (estimated).
    Accuracy: neither reported nor measured.
    """
    return _cnn("float_cnn")


def _cnn(model: str) -> Recipe:
    return Recipe(
        model=model,
        dataset="fashion_mnist",
        options={"width": 64},
        epochs=50,
        batch_size=100,
        learning_rate=3e-3,
        final_learning_rate=3e-6,
        smoke_options={"width": 4},
    )
