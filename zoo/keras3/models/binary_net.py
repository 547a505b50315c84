"""The networks of Binarized Neural Networks, arXiv 1602.02830.

`zoo/models/binary_net_mlp.py` and `binary_net_cnn.py` say what differs from the paper.
"""

import keras

from zoo.keras3.models._layers import batch_norm, dense, vgg
from zoo.keras3.quantizers import SteSign


def binary_net_mlp(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    units: int = 1024,
    layers: int = 3,
) -> keras.Model:
    """An MLP with binary weights and activations; the first layer sees real pixels.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        units: Width of each hidden layer; 4096 in the paper.
        layers: Number of hidden layers.
    """
    x = image = keras.Input(input_shape, name="image")
    x = keras.layers.Flatten(name="flatten")(x)
    for index in range(1, layers + 1):
        inputs = None if index == 1 else SteSign()
        x = dense(units, f"hidden_{index}", SteSign(), inputs, "glorot_uniform")(x)
        x = batch_norm(f"hidden_{index}_bn")(x)
    x = dense(classes, "logits", SteSign(), SteSign(), "glorot_uniform")(x)
    x = batch_norm("logits_bn")(x)
    return keras.Model(image, x, name="binary_net_mlp")


def binary_net_cnn(
    input_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10, *, width: int = 128
) -> keras.Model:
    """A VGG-like network with binary weights and activations; the first layer sees real pixels.

    Args:
        input_shape: `[H, W, C]` of an image; H and W at least 8.
        classes: Outputs.
        width: Filters of the first two convolutions; the next have 2× and 4×, the dense layers 8×.
    """
    return vgg("binary_net_cnn", input_shape, classes, width, kernel=SteSign, inputs=SteSign)
