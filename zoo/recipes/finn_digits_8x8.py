"""FINN's TFC on 1,797 real 8×8 digits, the tutorial of docs/fpga.md.

FINN: A Framework for Fast, Scalable Binarized Neural Network Inference, arXiv 1612.07119, and
Brevitas' `bnn_pynq`, neither of which use this data set.
"""

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._finn import mlp


@register_recipe
def tfc_w1a1_digits_8x8() -> Recipe:
    """TFC on the signs of 64 pixels.

    Command: onebit zoo train tfc_w1a1_digits_8x8 -o runs/digits
    Duration: 30 s of CPU time measured.
    Accuracy: 85.56 % of the 360 test digits measured with seed 1; nothing was tuned.
    """
    return mlp("tfc_w1a1", "digits_8x8", epochs=60)
