"""BinaryConnect on MNIST, as the paper trains it but for what is said here.

BinaryConnect: Training Deep Neural Networks with binary weights during propagations,
arXiv 1511.00363, section 3.1.

Differs from the paper: 250 epochs instead of 1000; Adam instead of SGD (`--set optimizer=sgd` with
a learning rate of your choice; the paper gives none); the model of the last epoch instead of the
best by validation, trained on the 50,000 images that validation leaves.
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._binary_connect import binary_connect_mlp, float_mlp, float_mlp_dropout

# Measured: one epoch of 60,000 images takes 5.5 to 6 s at batches of 200 on two x86-64 cores.


@register_recipe
def float_mlp_mnist() -> Recipe:
    """The float baseline, the paper's "no regularizer", on MNIST.

    Command: onebit zoo train float_mlp_mnist -o runs/float_mlp_mnist
    Duration: about 20 minutes on two x86-64 cores (estimated).
    Accuracy: reported 98.70 ± 0.04 % ("No regularizer"); not measured here.
    """
    return float_mlp("mnist", epochs=250)


@register_recipe
def float_mlp_dropout_mnist() -> Recipe:
    """The float baseline with 50 % dropout on MNIST.

    Command: onebit zoo train float_mlp_dropout_mnist -o runs/float_mlp_dropout_mnist
    Duration: about 25 minutes on two x86-64 cores (estimated).
    Accuracy: reported 98.99 ± 0.04 % ("50% Dropout"); not measured here.
    """
    return float_mlp_dropout("mnist", epochs=250)


@register_recipe
def binary_connect_mlp_mnist() -> Recipe:
    """Deterministic BinaryConnect on MNIST.

    Command: onebit zoo train binary_connect_mlp_mnist -o runs/binary_connect_mnist
    Duration: about 20 minutes on two x86-64 cores (estimated).
    Accuracy: reported 98.71 ± 0.08 % ("BinaryConnect (det.)"); not measured here.
    """
    return binary_connect_mlp("mnist", epochs=250)


@register_recipe
def binary_connect_mlp_stochastic_mnist() -> Recipe:
    """Stochastic BinaryConnect on MNIST, tested with signs and with real weights.

    Command: onebit zoo train binary_connect_mlp_stochastic_mnist -o runs/stochastic_mnist
    Duration: about 30 minutes on two x86-64 cores (estimated).
    Accuracy: reported 98.82 ± 0.04 % with real weights at test ("BinaryConnect (stoch.)");
    not measured here.
    """
    return binary_connect_mlp("mnist", epochs=250, stochastic=True)
