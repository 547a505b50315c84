"""Binarized Neural Networks on SVHN.

Binarized Neural Networks: Training Deep Neural Networks with Weights and Activations Constrained
to +1 or -1, arXiv 1602.02830, section 2.3.

Differs from the paper: batch normalisation before pooling; binary inputs padded with +1; ordinary
batch normalisation and Adam instead of the shift-based ones; learning rates that Glorot's
coefficients don't scale; latent weights that start in Glorot's range; the model of the last epoch
instead of the best by validation. Half the filters of CIFAR-10's network, but as many dense units:
so has the authors' program, whose results these are, where the paper says half the units. Torch7's
accuracy is that of stochastic activations (`BinarizedNeurons.lua`), which the zoo does not have.

Not trained here: the data cannot be had offline. The accuracy is the paper's, table 1.
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._binary_net import cnn


@register_recipe
def binary_net_cnn_svhn() -> Recipe:
    """The BNN convolutional network on SVHN.

    Command: onebit zoo train binary_net_cnn_svhn -o runs/binary_net_cnn_svhn
    Duration: about 25 days on two x86-64 cores (estimated); meant for a GPU.
    Accuracy: reported 97.47 % (Torch7) and 97.20 % (Theano); not measured here.
    """
    return cnn("svhn", width=64, units=1024, epochs=200, final_learning_rate=1e-6)
