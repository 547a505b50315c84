"""XNOR-Net's Network in Network and its float baseline on CIFAR-10, as a PyTorch program trains it.

XNOR-Net, arXiv 1603.05279; https://github.com/jiecaoyu/XNOR-Net-PyTorch, CIFAR_10/main.py.

Differs from the program: its images were whitened and cropped before; no mean-centring of latent
weights; weight decay of kernels only; the model of the last epoch instead of the best by the test
split.

Not trained here: the data cannot be had offline. Accuracies are those of the program's README.
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._xnor_net_small import nin


@register_recipe
def xnor_net_nin_cifar10() -> Recipe:
    """Network in Network with binary inputs and scaled binary weights on CIFAR-10.

    Command: onebit zoo train xnor_net_nin_cifar10 -o runs/xnor_net_nin
    Duration: about 10 days on two x86-64 cores (estimated); meant for a GPU.
    Accuracy: reported 86.28 %; not measured here.
    """
    return nin("xnor_net_nin", "cifar10")


@register_recipe
def float_nin_cifar10() -> Recipe:
    """The float baseline of Network in Network on CIFAR-10.

    Command: onebit zoo train float_nin_cifar10 -o runs/float_nin
    Duration: about 10 days on two x86-64 cores (estimated); meant for a GPU.
    Accuracy: reported 89.67 %; not measured here.
    """
    return nin("float_nin", "cifar10")
