"""Builds registered models, freshly initialised or with trained weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onebit.errors import OnebitError, first_line
from zoo.models import models
from zoo.runs.packed_weights import load_trained

if TYPE_CHECKING:
    from onebit.keras import keras


def names() -> list[str]:
    """The names of all registered models."""
    return models.names()


def build(name: str, *, weights: str | None = None, **options: Any) -> keras.Model:
    """The registered model of that name, freshly initialised or with trained weights.

    Args:
        name: A registry name; `zoo.names()` lists them.
        weights: The data set that weights which ship were trained on, the path of an exported
            `.npz` file, or, for a model of larq-zoo, "imagenet". None for random weights.
        options: The builder's own options, for example `input_shape=(32, 32, 3)`.

    Raises:
        UsageError: The model, its weights or one of the options is unknown.
        OnebitError: The options do not go together, or the weights are damaged.
    """
    if weights is not None and "weights" not in models.get(name).options:
        return load_trained(name, weights, **options).model
    if weights is not None:
        options["weights"] = weights
    given = ", ".join(f"{option}={value!r}" for option, value in options.items())
    problem = f"{name} cannot be built with {given or 'its defaults'}: "
    try:
        model = models.get(name).build(**options)
    except (OnebitError, ImportError):
        raise
    except Exception as error:  # whatever builders, Keras and layers raise for such options
        raise OnebitError(problem + first_line(error)) from error
    for layer in model.layers:
        for weight in layer.weights:
            if 0 in weight.shape:
                raise OnebitError(f"{problem}{layer.name} has weights of shape {weight.shape}")
    return model
