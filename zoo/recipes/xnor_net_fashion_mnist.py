"""XNOR-Net's LeNet-5 and its float baseline on Fashion-MNIST.

XNOR-Net, arXiv 1603.05279; settings of https://github.com/jiecaoyu/XNOR-Net-PyTorch, MNIST/main.py.

Differs from the program: other data; 20 epochs instead of 60, with the rate's falls at the same
fractions; no mean-centring of latent weights; pixels in [-1, 1]; weight
decay of kernels only; the epoch that is best by the validation split, where it takes the test's.

Nothing was tuned on this data set.
"""

import dataclasses

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._xnor_net_small import lenet5


@register_recipe
def xnor_net_lenet5_fashion_mnist() -> Recipe:
    """LeNet-5 with binary inputs and scaled binary weights on Fashion-MNIST.

    Command: onebit zoo train xnor_net_lenet5_fashion_mnist -o runs/xnor_net_lenet5
    Duration: about 40 minutes on an x86-64 core (estimated).
    Accuracy: 89.03 % measured with seed 1 and compute=bfloat16 (results/accuracies.jsonl).
    """
    return _recipe("xnor_net_lenet5")


@register_recipe
def float_lenet5_fashion_mnist() -> Recipe:
    """The float baseline of LeNet-5 on Fashion-MNIST.

    Command: onebit zoo train float_lenet5_fashion_mnist -o runs/float_lenet5
    Duration: about 25 minutes on an x86-64 core (estimated).
    Accuracy: 91.55 % measured with seed 1 and compute=bfloat16 (results/accuracies.jsonl).
    """
    return _recipe("float_lenet5")


def _recipe(model: str) -> Recipe:
    return dataclasses.replace(lenet5(model, "fashion_mnist", epochs=20), selection="best")
