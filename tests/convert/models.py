"""Small models with random asymmetric weights, and what NumPy says that they compute."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit.keras import keras, lq

BINARY: dict[str, Any] = {
    "kernel_quantizer": "ste_sign",
    "kernel_constraint": "weight_clip",
    "use_bias": False,
}

BOTH: dict[str, Any] = {**BINARY, "input_quantizer": "ste_sign"}


def randomise(model: keras.Model, seed: int = 0) -> keras.Model:
    """Gives every weight random values, and batch normalisations ones that a training could leave.

    Gammas have both signs, so that thresholds turn round in some channels.
    """
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            randomise(layer, seed + 1)
        elif isinstance(layer, keras.layers.BatchNormalization):
            channels = layer.gamma.shape[0]
            signs = random.choice([-1.0, 1.0], channels)
            spread = np.sqrt(np.abs(random.normal(30, 10, channels)) + 1)
            layer.set_weights(
                [
                    random.uniform(0.5, 2, channels) * signs,
                    random.normal(0, 0.5, channels),
                    random.normal(0, 2, channels),
                    spread**2,
                ]
            )
        else:
            with lq.context.quantized_scope(False):
                shapes = [weights.shape for weights in layer.get_weights()]
                layer.set_weights([random.uniform(-1, 1, shape) for shape in shapes])
    return model


def mlp(
    units: Sequence[int] = (48, 40),
    classes: int = 10,
    *,
    binary_inputs: bool = True,
    bias: bool = False,
    activation: str | None = None,
    input_shape: tuple[int, ...] = (6, 6, 1),
    seed: int = 0,
) -> keras.Model:
    """An MLP with binary weights; behind the first layer with binary inputs too, if asked for.

    The activation stands before batch normalisation where a sign follows, which would else see
    only positive numbers, and after it elsewhere.
    """
    options = {**BINARY, "use_bias": bias, "activation": activation if binary_inputs else None}
    x = image = keras.Input(input_shape, name="image")
    x = keras.layers.Flatten(name="flatten")(x)
    for index, width in enumerate([*units, classes], 1):
        quantizer = "ste_sign" if binary_inputs and index > 1 else None
        x = lq.layers.QuantDense(
            width, input_quantizer=quantizer, name=f"dense_{index}", **options
        )(x)
        x = keras.layers.BatchNormalization(name=f"bn_{index}")(x)
        if activation and not binary_inputs:
            x = keras.layers.Activation(activation, name=f"activation_{index}")(x)
    return randomise(keras.Model(image, x, name="mlp"), seed)


def mlp_in_numpy(model: keras.Model, images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Outputs of `mlp` without biases and activations, computed in float64 and without Keras."""
    x = images.reshape(len(images), -1).astype(np.float64)
    for layer in model.layers:
        if isinstance(layer, lq.layers.QuantDense):
            with lq.context.quantized_scope(False):
                latent = layer.get_weights()[0]
            if layer.input_quantizer is not None:
                x = np.where(x < 0, -1.0, 1.0)
            x = x @ np.where(latent < 0, -1.0, 1.0)
        elif isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (w.astype(np.float64) for w in layer.get_weights())
            x = (x - mean) / np.sqrt(variance + layer.epsilon) * gamma + beta
    return x


def images(count: int, shape: tuple[int, ...] = (6, 6, 1), seed: int = 1) -> NDArray[np.float32]:
    """Uniform random inputs in [-1, 1), `[count, *shape]`."""
    generator = np.random.default_rng(seed)
    return generator.uniform(-1, 1, (count, *shape)).astype(np.float32)


def residual_net() -> keras.Model:
    """A network with residuals, activations, pooling and dense layers."""
    x = image = keras.Input((12, 12, 3))
    x = lq.layers.QuantConv2D(32, 3, **BINARY)(x)
    x = keras.layers.BatchNormalization()(x)
    y = lq.layers.QuantConv2D(32, 3, padding="same", activation="relu", **BOTH)(x)
    x = keras.layers.Add()([x, keras.layers.BatchNormalization()(y)])
    y = lq.layers.QuantConv2D(32, 3, padding="same", pad_values=1.0, **BOTH)(x)
    x = keras.layers.Add()([x, keras.layers.BatchNormalization()(y)])
    x = keras.layers.MaxPooling2D(2)(x)
    x = lq.layers.QuantConv2D(48, 3, **BOTH)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Flatten()(x)
    x = lq.layers.QuantDense(40, **BOTH)(x)
    x = keras.layers.BatchNormalization()(x)
    x = lq.layers.QuantDense(10, **BOTH)(x)
    return randomise(keras.Model(image, keras.layers.Activation("softmax")(x)))
