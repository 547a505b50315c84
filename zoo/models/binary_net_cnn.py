"""The convolutional network of Binarized Neural Networks and its float twin.

Binarized Neural Networks: Training Deep Neural Networks with Weights and Activations Constrained
to +1 or -1, arXiv 1602.02830, section 2.2, which takes it from BinaryConnect (arXiv 1511.00363,
section 3.2): (2×128C3)-MP2-(2×256C3)-MP2-(2×512C3)-MP2-(2×1024FC)-10SVM.
"""

from collections.abc import Callable

from onebit.keras import keras, lq
from zoo.layers import Quantizer, batch_norm, conv, dense
from zoo.registry import BINARY_NET, register_model


@register_model(
    family="BNN",
    kind="binary weights and activations",
    paper=BINARY_NET,
    twin="float_cnn",
)
def binary_net_cnn(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    *,
    width: int = 128,
) -> keras.Model:
    """A VGG-like network with binary weights and activations; the first layer sees real pixels.

    Args:
        input_shape: `[H, W, C]` of an image; H and W at least 8.
        classes: Outputs.
        width: Filters of the first two convolutions; the next have 2× and 4×, the dense layers 8×.

    Differs from the paper: batch normalisation stands before pooling, not after it, because Larq
    Compute Engine fuses the layers in this order only; binary inputs are padded with +1, not 0;
    ordinary instead of shift-based batch normalisation.
    """
    return _cnn(lq.quantizers.SteSign, None, input_shape, classes, width, "binary_net_cnn")


@register_model(family="Float", kind="float")
def float_cnn(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    *,
    width: int = 128,
) -> keras.Model:
    """The float twin of `binary_net_cnn`: the same layers in Keras' own form, with ReLU.

    Args:
        input_shape: `[H, W, C]` of an image; H and W at least 8.
        classes: Outputs.
        width: Filters of the first two convolutions; the next have 2× and 4×, the dense layers 8×.
    """
    return _cnn(lambda: None, keras.layers.ReLU, input_shape, classes, width, "float_cnn")


def _cnn(
    sign: Callable[[], Quantizer],
    activation: Callable[..., keras.layers.Layer] | None,
    input_shape: tuple[int, int, int],
    classes: int,
    width: int,
    name: str,
) -> keras.Model:
    """The network with what `sign` makes as every quantizer and `activation` where there is one."""
    if min(input_shape[:2]) < 8:
        raise ValueError(f"three poolings need images of at least 8×8, not {input_shape}")
    x = image = keras.Input(input_shape, name="image")
    for stage in (1, 2, 3):
        for step in (1, 2):
            layer = f"conv_{stage}_{step}"
            inputs = None if layer == "conv_1_1" else sign()
            filters = width * 2 ** (stage - 1)
            x = conv(filters, name=layer, kernel=sign(), inputs=inputs)(x)
            x = batch_norm(name=f"{layer}_bn")(x)
            if step == 2:
                x = keras.layers.MaxPooling2D(2, name=f"pool_{stage}")(x)
            if activation:
                x = activation(name=f"{layer}_relu")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for index in (1, 2):
        x = dense(8 * width, name=f"hidden_{index}", kernel=sign(), inputs=sign())(x)
        x = batch_norm(name=f"hidden_{index}_bn")(x)
        if activation:
            x = activation(name=f"hidden_{index}_relu")(x)
    x = dense(classes, name="logits", kernel=sign(), inputs=sign())(x)
    x = batch_norm(name="logits_bn")(x)
    return keras.Model(image, x, name=name)
