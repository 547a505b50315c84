"""Binarized Neural Networks on MNIST, as the paper trains its MLP but for what is said here.

Binarized Neural Networks: Training Deep Neural Networks with Weights and Activations Constrained
to +1 or -1, arXiv 1602.02830, section 2.1. The paper trains the convolutional
network on CIFAR-10 and SVHN only.

Differs from the paper: 250 epochs (MLP) and 50 (convolutional network) instead of 1000; dropout of
0.2 before every sign instead of 0.2 on the input and 0.5 on the hidden layers; half the filters;
learning rates that Glorot's coefficients don't scale, and latent weights that start in Glorot's
range (`--set glorot_scaling=true initial_range=1` are the authors' program's, at its rate of 1e-3);
the model of the last epoch instead of the best by validation. Torch7's accuracy is that of
2048 units and stochastic activations (`BinarizedNeurons.lua`), which the zoo does not have.
"""

import functools

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._binary_net import small_cnn


@register_recipe
def binary_net_mlp_mnist() -> Recipe:
    """The BNN MLP, 3×4096, on MNIST.

    Command: onebit zoo train binary_net_mlp_mnist -o runs/binary_net_mlp_mnist
    Duration: about 10 hours on two x86-64 cores (estimated); --set units=1024 takes one.
    Accuracy: reported 98.60 % (Torch7) and 99.04 % (Theano) in the paper; not measured here.
    """
    return Recipe(
        model="binary_net_mlp",
        dataset="mnist",
        options={"units": 4096, "dropout": 0.2},
        epochs=250,
        batch_size=100,
        learning_rate=3e-3,
        final_learning_rate=3e-7,
        smoke_options={"units": 32},
    )


@register_recipe
def binary_net_cnn_mnist() -> Recipe:
    """The BNN convolutional network on MNIST.

    Command: onebit zoo train binary_net_cnn_mnist -o runs/binary_net_cnn_mnist
    Duration: about 2 hours on two x86-64 cores (estimated).
    Accuracy: neither reported nor measured.
    """
    return _cnn("binary_net_cnn", learning_rate=3e-3)


@register_recipe
def float_cnn_mnist() -> Recipe:
    """The float baseline of the convolutional network on MNIST.

    Command: onebit zoo train float_cnn_mnist -o runs/float_cnn_mnist
    Duration: about 2 hours on two x86-64 cores (estimated).
    Accuracy: neither reported nor measured.
    """
    return _cnn("float_cnn", learning_rate=3e-3)


_cnn = functools.partial(small_cnn, dataset="mnist", width=64, epochs=50)
