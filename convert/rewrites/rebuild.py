"""Rebuilding a Keras model with some of its layers replaced."""

from collections.abc import Callable

from onebit.errors import first_line
from onebit.keras import keras, lq

Replacement = Callable[[keras.layers.Layer], keras.layers.Layer | None]
"""Gives a new, unbuilt layer and None to keep the old one."""


class CannotRebuildError(Exception):
    """The model's layers cannot be taken apart and put together again."""


def rebuild(model: keras.Model, replacement: Replacement) -> keras.Model:
    """A copy of a functional or sequential model in which some layers are replaced.

    Nested models are rebuilt as well; a layer that is used twice stays one layer. Layers keep their
    names, and those that are not replaced keep their weights. A replacing layer sets its own
    weights (`take_weights(old_layer)`) once it is built.

    Raises:
        CannotRebuildError: The model is subclassed, or a layer does not tell its configuration.
    """
    if not (isinstance(model, keras.Sequential) or getattr(model, "_is_graph_network", False)):
        raise CannotRebuildError(
            f"{model.name} is a subclassed model: its layers are hidden in code and converted as "
            "they are; build it with the functional API to have them rewritten"
        )
    replaced: dict[str, tuple[keras.layers.Layer, keras.layers.Layer]] = {}
    kept: dict[str, tuple[keras.layers.Layer, keras.layers.Layer]] = {}

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.Model):
            return rebuild(layer, replacement)
        new = replacement(layer)
        if new is not None:
            replaced[layer.name] = layer, new
            return new
        try:
            # Remade instead of shared, so that the caller's model gains no second set of nodes.
            new = layer.__class__.from_config(layer.get_config())
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
    for old, new in replaced.values():
        new.take_weights(old)
    return result
