"""Rebuilding a Keras model with some of its layers replaced."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit.errors import first_line
from onebit.keras import keras, lq

Replaced = tuple[keras.layers.Layer, list[NDArray[np.float32]]]
"""A new, unbuilt layer and the weights that it takes once it is built."""

Replacement = Callable[[keras.layers.Layer], Replaced | None]
"""Gives what takes a layer's place, and None to keep the old one."""


class Substitute(keras.layers.Layer):
    """A layer that a rewrite made.

    It is never saved, so it has no configuration; later rewrites remake it by `again`.

    Args:
        name: The name of the layer whose place it takes.
        again: Makes the same layer, unbuilt.
    """

    def __init__(self, name: str, again: Callable[[], "Substitute"]) -> None:
        super().__init__(name=name, trainable=False)
        self.again = again


class CannotRebuildError(Exception):
    """The model's layers cannot be taken apart and put together again."""


def without_initializers(layer: keras.layers.Layer) -> dict[str, Any]:
    """A layer's configuration to remake it with weights that are set later.

    Drawing tens of millions of random weights takes longer than copying them. Layers of others than
    Keras and Larq may use their initializers for something else than weights.
    """
    config = layer.get_config()
    if not type(layer).__module__.startswith(("keras.", "tf_keras.", "larq.")):
        return config
    return {k: "zeros" if k.endswith("_initializer") else v for k, v in config.items()}


def rebuild(model: keras.Model, replacement: Replacement) -> keras.Model:
    """A copy of a functional or sequential model in which some layers are replaced.

    Nested models are rebuilt as well; a layer that is used twice stays one layer. Layers keep their
    names, and those that are not replaced keep their weights.

    Raises:
        CannotRebuildError: The model is subclassed, or a layer does not tell its configuration.
    """
    if not (isinstance(model, keras.Sequential) or getattr(model, "_is_graph_network", False)):
        raise CannotRebuildError(
            f"{model.name} is a subclassed model: its layers are hidden in code and converted as "
            "they are; build it with the functional API to have them rewritten"
        )
    replaced: list[Replaced] = []
    kept: dict[str, tuple[keras.layers.Layer, keras.layers.Layer]] = {}

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.Model):
            return rebuild(layer, replacement)
        found = replacement(layer)
        if found is not None:
            replaced.append(found)
            return found[0]
        try:
            # Remade instead of shared, so that the caller's model gains no second set of nodes.
            if isinstance(layer, Substitute):
                new = layer.again()
            elif type(layer) is keras.layers.Activation:
                # A function that no one registered cannot be told by a configuration.
                new = keras.layers.Activation(layer.activation, name=layer.name)
            else:
                new = layer.__class__.from_config(without_initializers(layer))
        except Exception as error:  # whatever a custom layer's constructor raises
            raise CannotRebuildError(
                f"layer {layer.name} ({type(layer).__name__}) cannot be made from its "
                f"configuration: {first_line(error)}"
            ) from error
        kept[layer.name] = layer, new
        return new

    result = keras.models.clone_model(model, clone_function=clone)
    # Under Larq's quantized scope get_weights would give ±1 in place of the latent weights.
    with lq.context.quantized_scope(False):
        for old, new in kept.values():
            new.set_weights(old.get_weights())
        for new, weights in replaced:
            new.set_weights(weights)
    return result
