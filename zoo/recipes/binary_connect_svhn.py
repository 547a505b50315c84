"""BinaryConnect's convolutional network on SVHN, as in the paper but for what is said here.

BinaryConnect: Training Deep Neural Networks with binary weights during propagations,
arXiv 1511.00363, section 3.3: global and local contrast normalisation, half the units of CIFAR-10,
which in the authors' program are half the filters and as many dense units.

Differs from the paper: the model of the last epoch instead of the best by validation; batch
normalisation before pooling.

Not trained here: the data cannot be had offline. Accuracies are the paper's, table 2.
"""

import functools

from zoo.datasets.preprocessing import Preprocessing
from zoo.recipes import Recipe, register_recipe
from zoo.recipes._binary_connect import cnn

# Contrast normalisation makes the scale of the pixels immaterial.
CONTRAST = Preprocessing(1.0, 0.0, contrast="local")


@register_recipe
def float_cnn_svhn() -> Recipe:
    """The float baseline, the paper's "no regularizer", on SVHN.

    Command: onebit zoo train float_cnn_svhn -o runs/float_cnn_svhn
    Duration: about 25 days on two x86-64 cores (estimated); meant for a GPU.
    Accuracy: reported 97.56 % ("No regularizer"); not measured here.
    """
    return _recipe("float_cnn")


@register_recipe
def binary_connect_cnn_svhn() -> Recipe:
    """Deterministic BinaryConnect on SVHN.

    Command: onebit zoo train binary_connect_cnn_svhn -o runs/binary_connect_cnn_svhn
    Duration: about 25 days on two x86-64 cores (estimated); meant for a GPU.
    Accuracy: reported 97.70 % ("BinaryConnect (det.)"); not measured here.
    """
    return _recipe("binary_connect_cnn")


@register_recipe
def binary_connect_cnn_stochastic_svhn() -> Recipe:
    """Stochastic BinaryConnect on SVHN, tested with signs and with real weights.

    Command: onebit zoo train binary_connect_cnn_stochastic_svhn -o runs/stochastic_svhn
    Duration: about 25 days on two x86-64 cores (estimated); meant for a GPU.
    Accuracy: reported 97.85 % with real weights at test ("BinaryConnect (stoch.)"); not
    measured here.
    """
    return _recipe("binary_connect_cnn", stochastic=True)


_recipe = functools.partial(
    cnn,
    dataset="svhn",
    preprocessing=CONTRAST,
    width=64,
    units=1024,
    epochs=200,
    learning_rate=1e-2,
    final_learning_rate=3e-6,
)
