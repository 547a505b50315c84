"""Layers' settings that the two families share, and the convolutional network."""

from collections.abc import Callable
from typing import Any

import keras

from zoo.keras3.constraints import WeightClip
from zoo.keras3.layers import QuantConv2D, QuantDense

Make = Callable[[], Any]
"""Makes a quantizer or an initializer, one object a layer."""


def dense(units: int, name: str, kernel: Any, inputs: Any, initializer: Any) -> keras.layers.Layer:
    """A binary dense layer without bias: `[N, I]` → `[N, units]`."""
    return QuantDense(
        units,
        use_bias=False,
        kernel_initializer=initializer,
        kernel_quantizer=kernel,
        kernel_constraint=WeightClip(1.0),
        input_quantizer=inputs,
        name=name,
    )


def batch_norm(name: str) -> keras.layers.Layer:
    """Batch normalisation whose averages follow within a few dozen steps."""
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-4, name=name)


def latent_uniform() -> Any:
    """Uniform over [-1, 1], the range of latent weights, as BinaryConnect's code has it."""
    return keras.initializers.RandomUniform(-1.0, 1.0)


def vgg(
    name: str,
    input_shape: tuple[int, int, int],
    classes: int,
    width: int,
    *,
    kernel: Make,
    inputs: Make | None = None,
    initializer: Make = lambda: "glorot_uniform",
) -> keras.Model:
    """The convolutional network of BinaryConnect, section 3.2, as `zoo/models/_vgg.py` has it.

    Args:
        name: The model's name.
        input_shape: `[H, W, C]` of an image; H and W at least 8.
        classes: Outputs.
        width: Filters of the first two convolutions; the next have 2× and 4×, the dense layers 8×.
        kernel: Makes the quantizer of a layer's weights.
        inputs: Makes the quantizer of a layer's inputs but the first's; without, they are
            rectified instead.
        initializer: Makes the initializer of a layer's weights.
    """
    x = image = keras.Input(input_shape, name="image")
    for stage in (1, 2, 3):
        for step in (1, 2):
            layer = f"conv_{stage}_{step}"
            quantizer = None if inputs is None or layer == "conv_1_1" else inputs()
            x = QuantConv2D(
                width * 2 ** (stage - 1),
                3,
                padding="same",
                pad_values=0.0 if quantizer is None else 1.0,
                use_bias=False,
                kernel_initializer=initializer(),
                kernel_quantizer=kernel(),
                kernel_constraint=WeightClip(1.0),
                input_quantizer=quantizer,
                name=layer,
            )(x)
            x = batch_norm(f"{layer}_bn")(x)
            if step == 2:
                x = keras.layers.MaxPooling2D(2, name=f"pool_{stage}")(x)
            if inputs is None:
                x = keras.layers.ReLU(name=f"{layer}_relu")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for layer, units in (("hidden_1", 8 * width), ("hidden_2", 8 * width), ("logits", classes)):
        x = dense(units, layer, kernel(), inputs() if inputs else None, initializer())(x)
        x = batch_norm(f"{layer}_bn")(x)
        if inputs is None and layer != "logits":
            x = keras.layers.ReLU(name=f"{layer}_relu")(x)
    return keras.Model(image, x, name=name)
