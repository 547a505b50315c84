"""A network that is trained at several depths at once, with shared weights."""

from __future__ import annotations

from onebit.keras import keras, lq, tf

PATHS = "paths"
"""The name of the layer where the paths end."""


@keras.utils.register_keras_serializable(package="onebit")
class Paths(keras.layers.Layer):
    """The logits of the deepest path, `[N, classes]`.

    Those of the others are inputs only so that their layers belong to the model, which a training
    reaches through `path_outputs`.
    """

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """The first of the logits, which are ordered by depth."""
        return tf.identity(inputs[0])


def path_outputs(model: keras.Model) -> list[tf.Tensor]:
    """The logits of a model's paths, the deepest first; of other models their only output."""
    if any(layer.name == PATHS for layer in model.layers):
        return tf.nest.flatten(model.get_layer(PATHS).input)
    return [model.outputs[0]]


def thin(model: keras.Model, path: int) -> keras.Model:
    """One path of a thinnable model as a separate network, with a copy of the weights.

    Args:
        model: A model that ends in `Paths`.
        path: Which, the deepest is 0.
    """
    whole = keras.Model(model.inputs, path_outputs(model)[path], name=model.name)
    # Under Larq's quantized scope weights would be copied as ±1.
    with lq.context.quantized_scope(False):
        copy = keras.models.clone_model(whole)
        copy.set_weights(whole.get_weights())
    return copy
