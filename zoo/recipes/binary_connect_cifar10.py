"""BinaryConnect's convolutional network on CIFAR-10, as in the paper but for what is said here.

BinaryConnect: Training Deep Neural Networks with binary weights during propagations,
arXiv 1511.00363, section 3.2: global contrast normalisation and ZCA whitening.

Differs from the paper: the model of the last epoch instead of the best by validation; batch
normalisation before pooling. Differs from the authors' program: ZCA is fitted to the 45,000 images
that validation leaves, where pylearn2 fits it to all 50,000 before it splits them.

Not trained here: the data cannot be had offline. Accuracies are the paper's, table 2.
"""

import functools

from zoo.datasets.preprocessing import Preprocessing
from zoo.recipes import Recipe, register_recipe
from zoo.recipes._binary_connect import cnn

# Contrast normalisation makes the scale of the pixels immaterial.
CONTRAST_AND_ZCA = Preprocessing(1.0, 0.0, contrast="global", whitening=True)


@register_recipe
def float_cnn_cifar10() -> Recipe:
    """The float baseline, the paper's "no regularizer", on CIFAR-10.

    Command: onebit zoo train float_cnn_cifar10 -o runs/float_cnn_cifar10
    Duration: about 20 days on two x86-64 cores (estimated); meant for a GPU.
    Accuracy: reported 89.36 % ("No regularizer"); not measured here.
    """
    return _recipe("float_cnn")


@register_recipe
def binary_connect_cnn_cifar10() -> Recipe:
    """Deterministic BinaryConnect on CIFAR-10.

    Command: onebit zoo train binary_connect_cnn_cifar10 -o runs/binary_connect_cnn_cifar10
    Duration: about 20 days on two x86-64 cores (estimated); meant for a GPU.
    Accuracy: reported 90.10 % ("BinaryConnect (det.)"); not measured here.
    """
    return _recipe("binary_connect_cnn")


@register_recipe
def binary_connect_cnn_stochastic_cifar10() -> Recipe:
    """Stochastic BinaryConnect on CIFAR-10, tested with signs and with real weights.

    Command: onebit zoo train binary_connect_cnn_stochastic_cifar10 -o runs/stochastic_cifar10
    Duration: about 20 days on two x86-64 cores (estimated); meant for a GPU.
    Accuracy: reported 91.73 % with real weights at test ("BinaryConnect (stoch.)"); not
    measured here.
    """
    return _recipe("binary_connect_cnn", stochastic=True)


_recipe = functools.partial(
    cnn,
    dataset="cifar10",
    preprocessing=CONTRAST_AND_ZCA,
    width=128,
    epochs=500,
    learning_rate=3e-3,
    final_learning_rate=2e-6,
)
