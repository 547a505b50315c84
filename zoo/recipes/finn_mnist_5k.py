"""FINN's W1A1 networks on 5,000 real MNIST digits.

FINN: A Framework for Fast, Scalable Binarized Neural Network Inference, arXiv 1612.07119, table 3;
trained there, and in Brevitas' `bnn_pynq`, on all of MNIST, CNV on CIFAR-10.

Differs from Brevitas: 4,000 training images instead of 60,000; learning rates that decay from 0.01
instead of 0.02 throughout; 60 epochs (MLPs) and 20 (CNV) instead of 1000; no dropout.

Nothing was tuned. Measured on 2026-11-30 with seed 1, ± the standard error of 1,000 test images
for the one training; Brevitas trains on 15 times as many images and 17 to 50 times as many epochs.
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._finn import cnv, mlp


@register_recipe
def tfc_w1a1_mnist_5k() -> Recipe:
    """FINN's TFC on mnist_5k.

    Command: onebit zoo train tfc_w1a1_mnist_5k -o runs/tfc
    Duration: 39 s of CPU time measured.
    Accuracy: 89.5 ± 1.0 % measured; 93.17 % reported by Brevitas for all of MNIST.
    """
    return mlp("tfc_w1a1", "mnist_5k", epochs=60)


@register_recipe
def sfc_w1a1_mnist_5k() -> Recipe:
    """FINN's SFC on mnist_5k.

    Command: onebit zoo train sfc_w1a1_mnist_5k -o runs/sfc
    Duration: 56 s of CPU time measured.
    Accuracy: 92.0 ± 0.9 % measured; 97.81 % reported by Brevitas for all of MNIST.
    """
    return mlp("sfc_w1a1", "mnist_5k", epochs=60)


@register_recipe
def lfc_w1a1_mnist_5k() -> Recipe:
    """FINN's LFC on mnist_5k.

    Command: onebit zoo train lfc_w1a1_mnist_5k -o runs/lfc
    Duration: 185 s of CPU time measured.
    Accuracy: 93.9 ± 0.8 % measured; 98.88 % reported by Brevitas for all of MNIST.
    """
    return mlp("lfc_w1a1", "mnist_5k", epochs=60)


@register_recipe
def cnv_w1a1_mnist_5k() -> Recipe:
    """FINN's CNV on mnist_5k.

    Command: onebit zoo train cnv_w1a1_mnist_5k -o runs/cnv
    Duration: 383 s of CPU time measured.
    Accuracy: 94.0 ± 0.8 % measured; 84.22 % reported by Brevitas for CIFAR-10.
    """
    return cnv("mnist_5k", width=64, epochs=20)
