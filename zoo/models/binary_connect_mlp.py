"""BinaryConnect's multi-layer perceptron and its float baseline.

BinaryConnect: Training Deep Neural Networks with binary weights during propagations,
arXiv 1511.00363, section 3.1: three hidden layers of rectified linear units with batch
normalisation and an L2-SVM output.
"""

from onebit.keras import keras, lq
from zoo.layers.binary import Quantizer, batch_norm, dense, latent_uniform, seeded_dropout
from zoo.layers.quantizers import StochasticSign
from zoo.models import Paper, register_model

PAPER = Paper(
    "BinaryConnect: Training Deep Neural Networks with binary weights during propagations",
    "1511.00363",
)


@register_model(
    family="BinaryConnect", kind="binary weights", paper=PAPER, float_baseline="float_mlp"
)
def binary_connect_mlp(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    units: int = 1024,
    layers: int = 3,
    dropout: float = 0.0,
    stochastic: bool = False,
) -> keras.Model:
    """An MLP with binary weights and real activations.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        units: Width of each hidden layer.
        layers: Number of hidden layers.
        dropout: Fraction of each hidden layer's outputs that training drops.
        stochastic: Draw the weights' signs in training (equation 2) instead of taking them
            (equation 1).

    Differs from the paper: with `stochastic`, the model outside training uses the signs of the
    weights, not their real values, because only signs can be deployed as single bits; evaluations
    report both.
    """
    kernel = StochasticSign if stochastic else lq.quantizers.SteSign
    return _mlp(
        # One object per layer: each draws from its own random state.
        [kernel() for _ in range(layers + 1)],
        input_shape,
        classes,
        units,
        dropout,
        "binary_connect_mlp",
    )


@register_model(family="Float", kind="float")
def float_mlp(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    units: int = 1024,
    layers: int = 3,
    dropout: float = 0.0,
) -> keras.Model:
    """The float baseline of the MLPs: the same layers in Keras' own form, with ReLU.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        units: Width of each hidden layer.
        layers: Number of hidden layers.
        dropout: Fraction of each hidden layer's outputs that training drops.
    """
    return _mlp([None] * (layers + 1), input_shape, classes, units, dropout, "float_mlp")


def _mlp(
    kernels: list[Quantizer],
    input_shape: tuple[int, int, int],
    classes: int,
    units: int,
    dropout: float,
    name: str,
) -> keras.Model:
    """One layer per kernel quantizer, the last of them the output."""
    x = image = keras.Input(input_shape, name="image")
    x = keras.layers.Flatten(name="flatten")(x)
    for index, kernel in enumerate(kernels[:-1], start=1):
        x = dense(
            units,
            name=f"hidden_{index}",
            kernel=kernel,
            initializer=latent_uniform() if kernel else "glorot_uniform",
        )(x)
        x = batch_norm(name=f"hidden_{index}_bn")(x)
        x = keras.layers.ReLU(name=f"hidden_{index}_relu")(x)
        if dropout:
            x = seeded_dropout(dropout, name=f"hidden_{index}_dropout")(x)
    kernel = kernels[-1]
    x = dense(
        classes,
        name="logits",
        kernel=kernel,
        initializer=latent_uniform() if kernel else "glorot_uniform",
    )(x)
    x = batch_norm(name="logits_bn")(x)
    return keras.Model(image, x, name=name)
