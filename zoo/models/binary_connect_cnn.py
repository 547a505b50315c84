"""BinaryConnect's convolutional network.

BinaryConnect: Training Deep Neural Networks with binary weights during propagations,
arXiv 1511.00363, sections 3.2 (CIFAR-10) and 3.3 (SVHN, with half the units).
"""

from onebit.keras import keras, lq
from zoo.layers.binary import latent_uniform
from zoo.layers.quantizers import StochasticSign
from zoo.models import register_model
from zoo.models._vgg import vgg
from zoo.models.binary_connect_mlp import PAPER as BINARY_CONNECT


@register_model(
    family="BinaryConnect", kind="binary weights", paper=BINARY_CONNECT, float_baseline="float_cnn"
)
def binary_connect_cnn(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    *,
    width: int = 128,
    units: int | None = None,
    stochastic: bool = False,
) -> keras.Model:
    """A VGG-like network with binary weights and real activations.

    Args:
        input_shape: `[H, W, C]` of an image; H and W at least 8.
        classes: Outputs.
        width: Filters of the first two convolutions; the next have 2× and 4×.
        units: Width of the two dense layers; 8·width when None.
        stochastic: Draw the weights' signs in training (equation 2) instead of taking them
            (equation 1).

    Differs from the paper: batch normalisation stands before pooling, not after it; with
    `stochastic`, the model outside training uses the signs of the weights, as
    `binary_connect_mlp` says.
    """
    return vgg(
        "binary_connect_cnn",
        input_shape,
        classes,
        width,
        units,
        kernel=StochasticSign if stochastic else lq.quantizers.SteSign,
        initializer=latent_uniform,
    )
