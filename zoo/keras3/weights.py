"""Weights of a model as an `.npz` file, by which they move between Larq and Keras 3.

The file holds each layer's weights in the layer's order, under `LAYER/0`, `LAYER/1`, …; the two
frameworks have the same order in every layer. Latent weights are what is moved, so that a training
goes on from them. Works on models of either framework: it only asks them for their layers.

    weights.save(larq_model, "weights.npz")      # in the Larq script
    weights.load(keras3_model, "weights.npz")    # in the other one, or the other way round
"""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from onebit.errors import OnebitError
from onebit.files import read_arrays, write_arrays


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Writes the weights of a model of Keras 3, or of Larq's Keras 2, to an `.npz` file."""
    arrays = {
        f"{number:03}/{layer.name}/{index}": np.asarray(value)
        for number, layer in enumerate(_layers(model))
        for index, value in enumerate(layer.get_weights())
    }
    write_arrays(path, arrays)


def load(model: Any, path: str | os.PathLike[str]) -> None:
    """Gives a built model the weights of a file that `save` wrote, layer by layer in order.

    Names may differ, since each framework numbers its layers by itself.

    Raises:
        OnebitError: The file is not such a file, or its weights have other shapes than the model's.
    """
    try:
        arrays = read_arrays(path)
    except ValueError as error:
        raise OnebitError(f"{path} is not an .npz file of weights: {error}") from error
    stored: dict[str, list[np.ndarray]] = {}
    for key in sorted(arrays, key=_order):
        stored.setdefault(key.rsplit("/", 1)[0], []).append(arrays[key])
    layers = list(_layers(model))
    if len(stored) != len(layers):
        raise OnebitError(
            f"{path} has the weights of {len(stored)} layers, {model.name} has {len(layers)}"
        )
    for layer, (name, values) in zip(layers, stored.items(), strict=True):
        shapes, expected = [v.shape for v in values], [w.shape for w in layer.get_weights()]
        if shapes != expected:
            raise OnebitError(
                f"{path}: {name.split('/', 1)[1]} has weights of the shapes {shapes}, "
                f"{layer.name} of {model.name} takes {expected}"
            )
    for layer, values in zip(layers, stored.values(), strict=True):
        layer.set_weights(values)


def _order(key: str) -> tuple[str, int]:
    label, _, index = key.rpartition("/")
    return label, int(index)


def _layers(model: Any) -> Iterator[Any]:
    """The layers with weights, those of models within the model in their place."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _layers(layer)
        elif layer.get_weights():
            yield layer
