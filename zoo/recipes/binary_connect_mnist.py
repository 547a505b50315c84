"""BinaryConnect on MNIST, as the paper trains it but for what is said here.

BinaryConnect: Training Deep Neural Networks with binary weights during propagations,
arXiv 1511.00363, section 3.1.

Differs from the paper: 250 epochs instead of 1000; Adam instead of SGD; the model of the last epoch
instead of the best by validation. The paper gives no learning rate, but the program of its
experiments does, SGD from 3 to 0.1: `zoo/recipes/binary_connect_paper_fashion_mnist.py` has it, and
`--set dataset=mnist` makes its recipes those of MNIST.

Differs from the authors' later program (`mnist.py` of
https://github.com/MatthieuCourbariaux/BinaryConnect, stochastic, whose README has a test error of
1.15 %): BinaryConnect's rate is 3e-3 at first instead of 1e-3, batches are of 200 instead of 100,
layers of 1024 units instead of 2048, and its epoch is the best by validation
(`onebit zoo train binary_connect_mlp_stochastic_mnist --set lr=1e-3 --set batch_size=100
--set units=2048 --set selection=best_latent -o RUN` has these); batch normalisation's averages keep
0.9 of their value in a step instead of 0.85.
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
