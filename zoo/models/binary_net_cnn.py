"""The convolutional network of Binarized Neural Networks and its float baseline.

Binarized Neural Networks: Training Deep Neural Networks with Weights and Activations Constrained
to +1 or -1, arXiv 1602.02830, section 2.2, which takes it from BinaryConnect (`zoo.models._vgg`).
"""

from onebit.keras import keras
from zoo.layers.binary import latent_uniform
from zoo.layers.quantizers import binary_quantizer
from zoo.models import register_model
from zoo.models._vgg import vgg
from zoo.models.binary_net_mlp import PAPER as BINARY_NET


@register_model(
    family="BNN",
    kind="binary weights and activations",
    paper=BINARY_NET,
    float_baseline="float_cnn",
)
def binary_net_cnn(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    *,
    width: int = 128,
    units: int | None = None,
    initial_range: float | None = None,
    kernel_quantizer: str = "ste_sign",
    input_quantizer: str = "ste_sign",
) -> keras.Model:
    """A VGG-like network with binary weights and activations; the first layer sees real pixels.

    Args:
        input_shape: `[H, W, C]` of an image; H and W at least 8.
        classes: Outputs.
        width: Filters of the first two convolutions; the next have 2× and 4×.
        units: Width of the two dense layers; 8·width when None.
        initial_range: Latent weights start uniformly within ± this; Glorot's range when None.
        kernel_quantizer: Name of the weights' quantizer (`zoo.layers.quantizers.binary_quantizer`).
        input_quantizer: Name of that of the binary layers' inputs.

    Differs from the paper: batch normalisation stands before pooling, not after it, because Larq
    Compute Engine fuses the layers in this order only; binary inputs are padded with +1, not 0;
    ordinary instead of shift-based batch normalisation; latent weights start in Glorot's range,
    where the authors' programs start them in ±1, unless `initial_range` is 1.
    """
    return vgg(
        "binary_net_cnn",
        input_shape,
        classes,
        width,
        units,
        initializer=lambda: latent_uniform(initial_range),
        kernel=lambda: binary_quantizer(kernel_quantizer),
        inputs=lambda: binary_quantizer(input_quantizer),
        relu=False,
    )


@register_model(family="Float", kind="float")
def float_cnn(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    *,
    width: int = 128,
    units: int | None = None,
) -> keras.Model:
    """The float baseline of `binary_net_cnn`: the same layers in Keras' own form, with ReLU.

    Args:
        input_shape: `[H, W, C]` of an image; H and W at least 8.
        classes: Outputs.
        width: Filters of the first two convolutions; the next have 2× and 4×.
        units: Width of the two dense layers; 8·width when None.
    """
    return vgg("float_cnn", input_shape, classes, width, units)
