"""BinaryConnect's networks, arXiv 1511.00363.

`zoo/models/binary_connect_mlp.py` and `binary_connect_cnn.py` say what differs from the paper.
"""

import keras

from zoo.keras3.models._layers import batch_norm, dense, latent_uniform, vgg
from zoo.keras3.quantizers import SteSign, StochasticSign


def binary_connect_mlp(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    units: int = 1024,
    layers: int = 3,
    stochastic: bool = False,
) -> keras.Model:
    """An MLP with binary weights and real activations.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        units: Width of each hidden layer.
        layers: Number of hidden layers.
        stochastic: Draw the weights' signs in training instead of taking them.
    """
    kernel = StochasticSign if stochastic else SteSign
    x = image = keras.Input(input_shape, name="image")
    x = keras.layers.Flatten(name="flatten")(x)
    for index in range(1, layers + 1):
        x = dense(units, f"hidden_{index}", kernel(), None, latent_uniform())(x)
        x = batch_norm(f"hidden_{index}_bn")(x)
        x = keras.layers.ReLU(name=f"hidden_{index}_relu")(x)
    x = dense(classes, "logits", kernel(), None, latent_uniform())(x)
    x = batch_norm("logits_bn")(x)
    return keras.Model(image, x, name="binary_connect_mlp")


def binary_connect_cnn(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    *,
    width: int = 128,
    stochastic: bool = False,
) -> keras.Model:
    """A VGG-like network with binary weights and real activations.

    Args:
        input_shape: `[H, W, C]` of an image; H and W at least 8.
        classes: Outputs.
        width: Filters of the first two convolutions; the next have 2× and 4×, the dense layers 8×.
        stochastic: Draw the weights' signs in training instead of taking them.
    """
    kernel = StochasticSign if stochastic else SteSign
    return vgg(
        "binary_connect_cnn",
        input_shape,
        classes,
        width,
        kernel=kernel,
        initializer=latent_uniform,
    )
