"""XNOR-Net's LeNet-5 and its float baseline on MNIST, as a PyTorch program trains it.

XNOR-Net, arXiv 1603.05279; https://github.com/jiecaoyu/XNOR-Net-PyTorch, MNIST/main.py.

Differs from the program: no mean-centring of latent weights; pixels in [-1, 1]; weight decay of
kernels only; the model of the last epoch instead of the best by the test split.
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._xnor_net_small import lenet5


@register_recipe
def xnor_net_lenet5_mnist() -> Recipe:
    """LeNet-5 with binary inputs and scaled binary weights on MNIST.

    Command: onebit zoo train xnor_net_lenet5_mnist -o runs/xnor_net_lenet5
    Duration: about 2 hours on two x86-64 cores (estimated).
    Accuracy: reported 99.23 % in the program's README; not measured here.
    """
    return lenet5("xnor_net_lenet5", "mnist")


@register_recipe
def float_lenet5_mnist() -> Recipe:
    """The float baseline of LeNet-5 on MNIST.

    Command: onebit zoo train float_lenet5_mnist -o runs/float_lenet5
    Duration: about an hour on two x86-64 cores (estimated).
    Accuracy: reported 99.34 % in the program's README; not measured here.
    """
    return lenet5("float_lenet5", "mnist")
