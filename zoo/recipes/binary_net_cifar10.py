"""Binarized Neural Networks on CIFAR-10.

Binarized Neural Networks: Training Deep Neural Networks with Weights and Activations Constrained
to +1 or -1, arXiv 1602.02830, section 2.2.

Differs from the paper: batch normalisation before pooling; binary inputs padded with +1; ordinary
batch normalisation and Adam instead of the shift-based ones; learning rates that Glorot's
coefficients don't scale; latent weights that start in Glorot's range; the model of the last epoch
instead of the best by validation. The recipe is that of the Theano program; Torch7's accuracy is
that of stochastic activations (`BinarizedNeurons.lua`), which the zoo does not have.

Not trained here: the data cannot be had offline. The accuracy is the paper's, table 1.
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._binary_net import cnn


@register_recipe
def binary_net_cnn_cifar10() -> Recipe:
    """The BNN convolutional network on CIFAR-10.

    Command: onebit zoo train binary_net_cnn_cifar10 -o runs/binary_net_cnn_cifar10
    Duration: about 20 days on two x86-64 cores (estimated); meant for a GPU.
    Accuracy: reported 89.85 % (Torch7) and 88.60 % (Theano); not measured here.
    """
    return cnn("cifar10", width=128, epochs=500, final_learning_rate=3e-7)
