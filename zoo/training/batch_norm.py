"""Batch normalisation's moments for the network that is tested, where it is not the trained one.

Moving averages are those of the trained network: of drawn weights, and of activations that dropout
left. BinaryConnect's authors therefore estimate every mean and variance again before each test, on
the training images, with the weights and without the dropout of the test (their experiments of June
2015, `trainer.py` and `model.py`, `fprop(..., eval=True)`). Onebit does so wherever weights are
drawn, and where a recipe asks for it (`estimate_moments`), as those with dropout in BinaryConnect
do; programs of other families test dropout with moving averages.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit.keras import keras, tf
from zoo.layers.quantizers import StochasticSign
from zoo.recipes import Recipe

MAX_IMAGES = 50_000
"""The first images of the training split, which the moments are estimated on: enough for the mean
and variance of a channel. Of the zoo's data sets, only SVHN and ImageNet have more."""

Moments = dict[str, NDArray[np.float32]]
"""`NAME/mean` and `NAME/variance` of each layer, `[C]`."""


def draws_weights(model: keras.Model) -> bool:
    """Whether a network is trained with drawn weights, and tested with their signs or without."""
    return any(isinstance(layer, StochasticSign) for layer in model.submodules)


def estimates_moments(recipe: Recipe, model: keras.Model) -> bool:
    """Whether a recipe's network gets moments that are estimated again before each test."""
    return bool(recipe.epochs) and (recipe.estimate_moments or draws_weights(model))


def estimate_moments(model: keras.Model, batches: Iterable[Any]) -> Moments:
    """The moments of every batch normalisation's inputs, with the weights of the test.

    One pass. Each batch is normalised by its own mean m_b and variance v_b, as in training, so that
    a layer sees inputs as the layers before it will give them. Over batches of n_b values
    the mean is m = Σ n_b·m_b / n and the variance Σ n_b·(v_b + (m_b − m)²) / n.

    Args:
        model: The network; it is not changed.
        batches: Preprocessed inputs of the training split, one array each.
    """
    layers = _layers(model)
    sums: dict[str, tuple[float, Any, Any]] = {layer.name: (0.0, 0.0, 0.0) for layer in layers}

    def forward(inputs: Any) -> dict[str, tuple[Any, Any, Any]]:
        found: dict[str, tuple[Any, Any, Any]] = {}
        with _normalised_by_batch(layers, found):
            model(inputs, training=False)
        return found

    # Traced with the layers' own calls replaced, which no other trace sees.
    traced = tf.function(forward, reduce_retracing=True)
    for inputs in batches:
        for name, (count, mean, variance) in traced(tf.convert_to_tensor(inputs)).items():
            n, m, v = float(count), mean.numpy().astype(float), variance.numpy().astype(float)
            total, first, second = sums[name]
            sums[name] = (total + n, first + n * m, second + n * (v + m**2))
    moments: Moments = {}
    for name, (count, first, second) in sums.items():
        mean = first / count
        moments[f"{name}/mean"] = mean.astype(np.float32)
        moments[f"{name}/variance"] = np.maximum(second / count - mean**2, 0).astype(np.float32)
    return moments


def set_moments(model: keras.Model, moments: Mapping[str, NDArray[np.float32]]) -> None:
    """Stores moments as the layers' moving averages."""
    for layer in _layers(model):
        layer.moving_mean.assign(moments[f"{layer.name}/mean"])
        layer.moving_variance.assign(moments[f"{layer.name}/variance"])


@contextlib.contextmanager
def with_moments(
    model: keras.Model, moments: Mapping[str, NDArray[np.float32]] | None
) -> Iterator[None]:
    """Tests with other moments in the block; with None the model's own."""
    before = {
        f"{layer.name}/{kind}": value.numpy()
        for layer in _layers(model)
        for kind, value in (("mean", layer.moving_mean), ("variance", layer.moving_variance))
    }
    try:
        if moments is not None:
            set_moments(model, moments)
        yield
    finally:
        set_moments(model, before)


@contextlib.contextmanager
def latent_weights(model: keras.Model) -> Iterator[None]:
    """Computes with the latent weights in place of their quantized form in the block."""
    kernels = [
        layer.kernel for layer in model.submodules if getattr(layer, "kernel_quantizer", None)
    ]
    quantizers = [kernel.quantizer for kernel in kernels]
    try:
        for kernel in kernels:
            kernel.quantizer = None
        yield
    finally:
        for kernel, quantizer in zip(kernels, quantizers, strict=True):
            kernel.quantizer = quantizer


def _layers(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [m for m in model.submodules if isinstance(m, keras.layers.BatchNormalization)]


@contextlib.contextmanager
def _normalised_by_batch(
    layers: list[keras.layers.BatchNormalization], found: dict[str, tuple[Any, Any, Any]]
) -> Iterator[None]:
    """Has layers normalise each batch by its own moments, noted as (count, mean, variance)."""

    def replacement(layer: keras.layers.BatchNormalization) -> Any:
        def call(inputs: Any, training: Any = None, mask: Any = None) -> Any:
            channel = layer.axis[0] % inputs.shape.rank
            axes = [axis for axis in range(inputs.shape.rank) if axis != channel]
            mean, variance = tf.nn.moments(inputs, axes)
            count = tf.size(inputs) / tf.shape(inputs)[channel]
            found[layer.name] = (count, mean, variance)
            shape = [1] * inputs.shape.rank
            shape[channel] = inputs.shape[channel]

            def spread(value: Any) -> Any:
                return None if value is None else tf.reshape(value, shape)

            return tf.nn.batch_normalization(
                inputs, spread(mean), spread(variance), spread(layer.beta), spread(layer.gamma),
                layer.epsilon,
            )  # fmt: skip

        return call

    try:
        for layer in layers:
            object.__setattr__(layer, "call", replacement(layer))
        yield
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")
