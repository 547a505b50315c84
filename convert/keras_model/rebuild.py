"""Rebuilding a Keras model with some of its layers replaced."""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.keras_model.layer_state import UnknownStateError, copy_state
from onebit.errors import first_line
from onebit.keras import keras, lq, tf


@dataclass(frozen=True)
class Replaced:
    """A layer that takes another one's place.

    Attributes:
        layer: The new layer, not built.
        weights: The weights that it takes once it is built.
        like: A layer of its class from which it takes whatever state it holds beside its weights.
        except_for: Attributes of that layer that it does not take.
    """

    layer: keras.layers.Layer
    weights: list[NDArray[np.float32]]
    like: keras.layers.Layer | None = None
    except_for: frozenset[str] = frozenset()


Replacement = Callable[[keras.layers.Layer], Replaced | None]
"""Gives the layer that takes a layer's place, and None to keep the old one."""


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
    """The model's layers cannot be taken apart and put together again.

    Attributes:
        hint: How to build the model so that they can.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def without_initializers(layer: keras.layers.Layer) -> dict[str, Any]:
    """A layer's configuration to remake it with weights that are set later.

    Drawing tens of millions of random weights takes longer than copying them. Layers of others than
    Keras and Larq may use their initializers for something else than weights.
    """
    config = layer.get_config()
    if not type(layer).__module__.startswith(("keras.", "tf_keras.", "larq.")):
        return config
    return {k: "zeros" if k.endswith("_initializer") else v for k, v in config.items()}


def remade(
    layer: keras.layers.Layer,
    changes: Mapping[str, Any],
    weights: list[NDArray[np.float32]] | None = None,
) -> Replaced:
    """The same layer with other arguments, and with its own weights where none are given."""
    if weights is None:
        with lq.context.quantized_scope(False):
            weights = layer.get_weights()
    new = layer.__class__.from_config({**without_initializers(layer), **changes})
    return Replaced(new, weights, like=layer, except_for=frozenset(changes))


def is_graph_network(model: keras.Model) -> bool:
    """Whether a model computes what the graph of its layers says, without its own `call`."""
    return type(model).call in (keras.Sequential.call, _functional().call) and (
        isinstance(model, keras.Sequential) or getattr(model, "_is_graph_network", False)
    )


@functools.cache
def _functional() -> type[keras.Model]:
    """The class of functional models, which Keras does not export."""
    image = keras.Input((1,))
    return type(keras.Model(image, image))


def rebuild(model: keras.Model, replacement: Replacement) -> keras.Model:
    """A copy of a functional or sequential model in which some layers are replaced.

    Nested models are rebuilt as well; a layer that is used twice stays one layer. Layers keep their
    names, and those that are not replaced keep their weights and whatever else they hold.

    Raises:
        CannotRebuildError: The model is subclassed, a layer cannot be made from its configuration,
            or it holds state that cannot be copied.
    """
    if not is_graph_network(model):
        raise CannotRebuildError(
            f"{model.name} is a subclassed model, whose layers are hidden in code",
            hint="build it with the functional API to have it rewritten",
        )
    replaced: dict[int, Replaced] = {}

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.Model):
            return rebuild(layer, replacement)
        try:
            found = replacement(layer) or _again(layer)
        except Exception as error:  # whatever a custom layer's constructor raises
            raise CannotRebuildError(
                f"layer {layer.name} ({type(layer).__name__}) cannot be made from its "
                f"configuration: {first_line(error)}",
                hint="give it a get_config with all arguments of its constructor, to have the "
                "model rewritten",
            ) from error
        replaced[id(layer)] = found
        return found.layer

    try:
        with _float32_by_default():
            result = keras.models.clone_model(model, _float32_inputs(model), clone)
    except (TypeError, ValueError, tf.errors.OpError) as error:  # a layer refuses its inputs
        raise CannotRebuildError(
            f"{model.name} cannot be put together again: {first_line(error)}",
            hint="build it of layers that take float32, to have it rewritten",
        ) from error
    # Under Larq's quantized scope get_weights would give ±1 in place of the latent weights.
    with lq.context.quantized_scope(False):
        for new in replaced.values():
            _restore(new)
    return result


def _float32_inputs(model: keras.Model) -> list[tf.Tensor] | None:
    """New inputs for a model that takes floats of other types; None where it takes none."""
    inputs = getattr(model, "inputs", None) or []
    if not any(tensor.dtype.is_floating and tensor.dtype != tf.float32 for tensor in inputs):
        return None
    return [
        keras.Input(
            tensor.shape[1:],
            batch_size=tensor.shape[0],
            name=name,
            dtype="float32" if tensor.dtype.is_floating else tensor.dtype,
        )
        for tensor, name in zip(inputs, model.input_names, strict=True)
    ]


@contextmanager
def _float32_by_default() -> Iterator[None]:
    """While the block runs, layers that name no type are float32, whatever the global policy."""
    policy, floatx = keras.mixed_precision.global_policy(), keras.backend.floatx()
    keras.backend.set_floatx("float32")
    keras.mixed_precision.set_global_policy("float32")
    try:
        yield
    finally:
        keras.backend.set_floatx(floatx)
        keras.mixed_precision.set_global_policy(policy)


def _again(layer: keras.layers.Layer) -> Replaced:
    """The same layer, remade instead of shared, so that the caller's model gains no other nodes."""
    with lq.context.quantized_scope(False):
        weights = layer.get_weights()
    if isinstance(layer, Substitute):
        return Replaced(layer.again(), weights)
    if type(layer) is keras.layers.Activation:
        # A configuration cannot name a function that was not registered.
        return Replaced(keras.layers.Activation(layer.activation, name=layer.name), weights)
    return remade(layer, {}, weights)


def _restore(new: Replaced) -> None:
    """Gives a built layer its weights and state."""
    old = new.like or new.layer
    try:
        if new.like is not None:
            copy_state(new.like, new.layer, new.except_for)
        new.layer.set_weights(new.weights)
    except (UnknownStateError, ValueError) as error:
        raise CannotRebuildError(
            f"layer {old.name} ({type(old).__name__}) holds state that cannot be copied: "
            f"{first_line(error)}",
            hint="set what it holds by its constructor, to have the model rewritten",
        ) from error
