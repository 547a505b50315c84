"""The layers of a Keras model as a graph, and which of them are signs."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from onebit.keras import keras, tf

# Both zeros, both sides of it near and far, and the edges at which quantizers clip.
PROBES = np.array([-3, -1, -0.5, -1e-6, -0.0, 0.0, 1e-6, 0.5, 1, 3], np.float32)

KEEPS_VALUES = (keras.layers.Reshape, keras.layers.Flatten, keras.layers.Permute)
"""Layers that only move numbers."""

DOES_NOTHING = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.GaussianNoise,
    keras.layers.GaussianDropout,
)
"""Layers that give their input back at inference."""

POOLS = (keras.layers.MaxPooling1D, keras.layers.MaxPooling2D, keras.layers.GlobalMaxPooling2D)
"""Layers that pick some of their inputs: the largest of ±1 is ±1."""


def flat_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """All layers of a model, those of nested models included, each once."""
    found: dict[int, keras.layers.Layer] = {}
    for layer in model.layers:
        for inner in flat_layers(layer) if isinstance(layer, keras.Model) else [layer]:
            found[id(inner)] = inner
    return list(found.values())


def nested_models(model: keras.Model) -> Iterator[keras.Model]:
    """A model and the models in it, at every depth."""
    yield model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from nested_models(layer)


class LayerGraph:
    """The edges between the layers of one functional or sequential model.

    A nested model counts as one layer. A subclassed model has no edges.
    """

    def __init__(self, model: keras.Model) -> None:
        self._parents: dict[int, list[keras.layers.Layer]] = defaultdict(list)
        self._children: dict[int, list[keras.layers.Layer]] = defaultdict(list)
        self._uses: dict[int, int] = defaultdict(int)
        # A layer's own list of nodes has those of other models that share it too.
        for nodes in getattr(model, "_nodes_by_depth", {}).values():
            for node in nodes:
                self._uses[id(node.layer)] += 1
                for parent in node.parent_nodes:
                    self._parents[id(node.layer)].append(parent.layer)
                    self._children[id(parent.layer)].append(node.layer)

    def parents(self, layer: keras.layers.Layer) -> list[keras.layers.Layer]:
        """The layers that feed a layer, one entry per use."""
        return self._parents[id(layer)]

    def children(self, layer: keras.layers.Layer) -> list[keras.layers.Layer]:
        """The layers that read a layer's outputs, one entry per use."""
        return self._children[id(layer)]

    def only_parent(self, layer: keras.layers.Layer) -> keras.layers.Layer | None:
        """The layer that feeds one that is used once and has one input; None for any other."""
        parents = self.parents(layer)
        return parents[0] if len(parents) == 1 and self._uses[id(layer)] == 1 else None

    def sign_behind(
        self, layer: keras.layers.Layer
    ) -> tuple[keras.layers.Layer, list[keras.layers.Layer]] | None:
        """The sign that makes a layer's input ±1, and the layers between, first to last.

        None when the layer has several inputs or uses, or when a layer between does anything else
        than move and pick numbers.
        """
        between: list[keras.layers.Layer] = []
        parent = self.only_parent(layer)
        while isinstance(parent, KEEPS_VALUES + DOES_NOTHING + POOLS):
            between.insert(0, parent)
            parent = self.only_parent(parent)
        return (parent, between) if parent is not None and is_sign(parent) else None


def input_channels(layer: keras.layers.Layer) -> int | None:
    """The channels of a layer's inputs; None where its filter does not show them."""
    kernel = getattr(layer, "kernel", None)
    if kernel is None or len(kernel.shape) < 2 or kernel.shape[-2] is None:
        return None
    return int(kernel.shape[-2]) * getattr(layer, "groups", 1)


def is_sign(layer: keras.layers.Layer) -> bool:
    """Whether a layer's outputs are -1 and +1: a quantizer used as a layer or as an activation."""
    if isinstance(layer, keras.layers.Activation):
        return gives_signs(layer.activation)
    if getattr(layer, "precision", None) != 1 or layer.count_params():
        return False
    return gives_signs(layer)


def gives_signs(function: keras.layers.Layer, channels: int | None = None) -> bool:
    """Whether a function of numbers gives -1 and +1 and nothing else.

    Args:
        function: A quantizer, or any other function of a tensor.
        channels: The channels of its inputs, for thresholds per channel; those of its weights, or
            any number, when absent.
    """
    known = [weight.shape[-1] for weight in getattr(function, "weights", []) if weight.shape.rank]
    size = channels or (known[0] if known else None)
    probes = PROBES if size is None else np.repeat(PROBES[:, np.newaxis], size, 1)
    try:
        outputs = function(tf.constant(probes))
    except (TypeError, ValueError, tf.errors.OpError):  # it takes inputs of another shape
        return False
    return set(np.unique(outputs)) == {-1.0, 1.0}
