"""The convolutional network that BinaryConnect and Binarized Neural Networks share.

BinaryConnect, arXiv 1511.00363, section 3.2: (2×128C3)-MP2-(2×256C3)-MP2-(2×512C3)-MP2-(2×1024FC)
and an L2-SVM output, with batch normalisation after every layer.
"""

from __future__ import annotations

from collections.abc import Callable

from onebit.keras import keras
from zoo.layers.binary import Initializer, Quantizer, batch_norm, conv, dense


def vgg(
    name: str,
    input_shape: tuple[int, int, int],
    classes: int,
    width: int,
    units: int | None = None,
    *,
    kernel: Callable[[], Quantizer] = lambda: None,
    inputs: Callable[[], Quantizer] = lambda: None,
    relu: bool = True,
    initializer: Callable[[], Initializer] = lambda: "glorot_uniform",
) -> keras.Model:
    """The network: images `[N, H, W, C]` → `[N, classes]`.

    Args:
        name: The model's name.
        input_shape: `[H, W, C]` of an image; H and W at least 8.
        classes: Outputs.
        width: Filters of the first two convolutions; the next have 2× and 4×.
        units: Width of the two dense layers; 8·width when None.
        kernel: Makes the quantizer of a layer's weights, one object a layer.
        inputs: Makes the quantizer of a layer's inputs; the first layer's are real in any case.
        relu: Whether rectified linear units follow the normalisations.
        initializer: Makes the initialiser of a layer's weights, one object a layer.

    Normalisation stands before pooling: Larq Compute Engine fuses the layers in this order only.
    """
    if min(input_shape[:2]) < 8:
        raise ValueError(f"three poolings need images of at least 8×8, not {input_shape}")
    x = image = keras.Input(input_shape, name="image")
    for stage in (1, 2, 3):
        for step in (1, 2):
            layer = f"conv_{stage}_{step}"
            x = conv(
                width * 2 ** (stage - 1),
                name=layer,
                kernel=kernel(),
                inputs=None if layer == "conv_1_1" else inputs(),
                initializer=initializer(),
            )(x)
            x = batch_norm(name=f"{layer}_bn")(x)
            if step == 2:
                x = keras.layers.MaxPooling2D(2, name=f"pool_{stage}")(x)
            if relu:
                x = keras.layers.ReLU(name=f"{layer}_relu")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    hidden = 8 * width if units is None else units
    for layer, outputs in (("hidden_1", hidden), ("hidden_2", hidden), ("logits", classes)):
        x = dense(outputs, name=layer, kernel=kernel(), inputs=inputs(), initializer=initializer())(
            x
        )
        x = batch_norm(name=f"{layer}_bn")(x)
        if relu and layer != "logits":
            x = keras.layers.ReLU(name=f"{layer}_relu")(x)
    return keras.Model(image, x, name=name)
