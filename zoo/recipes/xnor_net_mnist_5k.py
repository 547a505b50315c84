"""XNOR-Net's LeNet-5 and Network in Network, and their float baselines, on 5,000 real MNIST digits.

XNOR-Net, arXiv 1603.05279; settings of https://github.com/jiecaoyu/XNOR-Net-PyTorch, which has the
first on MNIST, the second on CIFAR-10.

Differs from the program: 4,000 training images; no mean-centring of latent weights; pixels in
[-1, 1]; weight decay of kernels only; the model of the last epoch instead of the best by the test
split; Network in Network a quarter as wide, for 20 epochs instead of 320.

Nothing was tuned: the settings are the program's.
"""

import functools

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._xnor_net_small import lenet5, nin


@register_recipe
def xnor_net_lenet5_mnist_5k() -> Recipe:
    """LeNet-5 with binary inputs and scaled binary weights on mnist_5k.

    Command: onebit zoo train xnor_net_lenet5_mnist_5k -o runs/xnor_net_lenet5
    Duration: about 5 minutes on two x86-64 cores (estimated).
    Accuracy: 97.8 % measured with seed 1 and compute=bfloat16 (results/accuracies.jsonl).
    """
    return lenet5("xnor_net_lenet5", "mnist_5k")


@register_recipe
def float_lenet5_mnist_5k() -> Recipe:
    """The float baseline of LeNet-5 on mnist_5k.

    Command: onebit zoo train float_lenet5_mnist_5k -o runs/float_lenet5
    Duration: about 3 minutes on two x86-64 cores (estimated).
    Accuracy: 98.1 % measured with seed 1 and compute=bfloat16 (results/accuracies.jsonl).
    """
    return lenet5("float_lenet5", "mnist_5k")


@register_recipe
def xnor_net_nin_mnist_5k() -> Recipe:
    """Network in Network, binary and a quarter as wide, on mnist_5k.

    Command: onebit zoo train xnor_net_nin_mnist_5k -o runs/xnor_net_nin
    Duration: about 5 minutes on two x86-64 cores (estimated).
    Accuracy: 95.8 % measured with seed 1 and compute=bfloat16 (results/accuracies.jsonl).
    """
    return _nin("xnor_net_nin")


@register_recipe
def float_nin_mnist_5k() -> Recipe:
    """The float baseline of Network in Network on mnist_5k.

    Command: onebit zoo train float_nin_mnist_5k -o runs/float_nin
    Duration: about 5 minutes on two x86-64 cores (estimated).
    Accuracy: 98.5 % measured with seed 1 and compute=bfloat16 (results/accuracies.jsonl).
    """
    return _nin("float_nin")


_nin = functools.partial(nin, dataset="mnist_5k", width=48, epochs=20, boundaries=(8, 13, 17))
