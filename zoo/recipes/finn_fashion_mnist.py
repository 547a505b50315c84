"""FINN's W1A1 networks on Fashion-MNIST.

FINN: A Framework for Fast, Scalable Binarized Neural Network Inference, arXiv 1612.07119, table 3;
trained there, and in Brevitas' `bnn_pynq`, on all of MNIST, CNV on CIFAR-10.

Differs from Brevitas: another data set; learning rates that decay from 0.01
instead of 0.02 throughout; 20 epochs (MLPs) and 4 (CNV) instead of 1000; no dropout.

Nothing was tuned. Measured on 2026-11-30 with seed 1, ± the standard error of 10,000 test images
for the one training.
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._finn import cnv, mlp


@register_recipe
def tfc_w1a1_fashion_mnist() -> Recipe:
    """FINN's TFC on fashion_mnist.

    Command: onebit zoo train tfc_w1a1_fashion_mnist -o runs/tfc_fashion
    Duration: 55 s of CPU time measured.
    Accuracy: 79.5 ± 0.4 % measured; not reported for this data set.
    """
    return mlp("tfc_w1a1", "fashion_mnist", epochs=20)


@register_recipe
def sfc_w1a1_fashion_mnist() -> Recipe:
    """FINN's SFC on fashion_mnist.

    Command: onebit zoo train sfc_w1a1_fashion_mnist -o runs/sfc_fashion
    Duration: 87 s of CPU time measured.
    Accuracy: 82.8 ± 0.4 % measured; not reported for this data set.
    """
    return mlp("sfc_w1a1", "fashion_mnist", epochs=20)


@register_recipe
def lfc_w1a1_fashion_mnist() -> Recipe:
    """FINN's LFC on fashion_mnist.

    Command: onebit zoo train lfc_w1a1_fashion_mnist -o runs/lfc_fashion
    Duration: 494 s of CPU time measured.
    Accuracy: 83.7 ± 0.4 % measured; not reported for this data set.
    """
    return mlp("lfc_w1a1", "fashion_mnist", epochs=20)


@register_recipe
def cnv_w1a1_fashion_mnist() -> Recipe:
    """FINN's CNV on fashion_mnist.

    Command: onebit zoo train cnv_w1a1_fashion_mnist -o runs/cnv_fashion
    Duration: not measured.
    Accuracy: 84.3 ± 0.4 % measured; not reported for this data set.
    """
    return cnv("fashion_mnist", width=64, epochs=4)
