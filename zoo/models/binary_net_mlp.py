"""The multi-layer perceptron of Binarized Neural Networks.

Binarized Neural Networks: Training Deep Neural Networks with Weights and Activations Constrained
to +1 or -1, arXiv 1602.02830, section 2.1 and algorithm 1.
"""

from onebit.keras import keras
from zoo.layers.binary import batch_norm, dense, dropped, latent_uniform
from zoo.layers.quantizers import binary_quantizer
from zoo.models import Paper, register_model

PAPER = Paper(
    "Binarized Neural Networks: Training Deep Neural Networks with Weights and Activations "
    "Constrained to +1 or -1",
    "1602.02830",
)


@register_model(
    family="BNN",
    kind="binary weights and activations",
    paper=PAPER,
    float_baseline="float_mlp",
)
def binary_net_mlp(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    units: int = 1024,
    layers: int = 3,
    dropout: float = 0.0,
    initial_range: float | None = None,
    kernel_quantizer: str = "ste_sign",
    input_quantizer: str = "ste_sign",
) -> keras.Model:
    """An MLP with binary weights and activations; the first layer sees real pixels.

    Each sign stands at the input of the layer that needs it, straight after the batch
    normalisation before it. The last layer's sums are normalised too, so that the squared hinge
    meets logits of order one.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        units: Width of each hidden layer; 4096 in the paper.
        layers: Number of hidden layers.
        dropout: Fraction of each hidden layer's signs that training drops.
        initial_range: Latent weights start uniformly within ± this; Glorot's range when None.
        kernel_quantizer: Name of the weights' quantizer (`zoo.layers.quantizers.binary_quantizer`).
        input_quantizer: Name of that of the binary layers' inputs.

    Differs from the paper: 1024 units instead of 4096, and no dropout, unless the options say
    otherwise; ordinary instead of shift-based batch normalisation; latent weights start in Glorot's
    range, where the authors' programs start them in ±1, unless `initial_range` is 1.
    """
    x = image = keras.Input(input_shape, name="image")
    x = keras.layers.Flatten(name="flatten")(x)
    for index in range(1, layers + 1):
        inputs = None if index == 1 else dropped(binary_quantizer(input_quantizer), dropout)
        kernel = binary_quantizer(kernel_quantizer)
        x = dense(
            units,
            name=f"hidden_{index}",
            kernel=kernel,
            inputs=inputs,
            initializer=latent_uniform(initial_range),
        )(x)
        x = batch_norm(name=f"hidden_{index}_bn")(x)
    x = dense(
        classes,
        name="logits",
        kernel=binary_quantizer(kernel_quantizer),
        inputs=dropped(binary_quantizer(input_quantizer), dropout),
        initializer=latent_uniform(initial_range),
    )(x)
    x = batch_norm(name="logits_bn")(x)
    return keras.Model(image, x, name="binary_net_mlp")
