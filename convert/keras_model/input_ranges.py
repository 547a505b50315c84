"""The numbers that a model's inputs may hold, as far as its first layers show."""

from collections.abc import Iterator

from convert.keras_model.layer_graph import KEEPS_VALUES, LayerGraph, flat_layers
from convert.keras_model.signature import signature_of
from onebit.keras import keras

_RESCALES = (
    keras.layers.BatchNormalization,
    keras.layers.Normalization,
    keras.layers.Rescaling,
)


def id_limits(model: keras.Model) -> dict[str, int]:
    """Name of an integer input → the number of rows of the smallest embedding that it goes to.

    The only integer input of a model with tables of one size goes to them, also where the model is
    subclassed and shows no edges between its layers.
    """
    integers = [spec.name for spec in signature_of(model).specs if spec.dtype.is_integer]
    sizes = {rows for layer in flat_layers(model) if (rows := _rows(layer)) is not None}
    if not integers or not sizes:
        return {}
    if len(integers) == len(sizes) == 1:
        return {integers[0]: sizes.pop()}
    graph, signature = LayerGraph(model), signature_of(model)
    name_of = dict(zip(signature.aliases, signature.names, strict=True))
    limits: dict[str, int] = {}
    for layer in getattr(model, "_input_layers", []):
        found = [rows for reader in _readers(graph, layer) if (rows := _rows(reader)) is not None]
        if found and name_of.get(layer.name) in integers:
            limits[name_of[layer.name]] = min(found)
    return limits


def smallest_table(model: keras.Model) -> int | None:
    """The number of rows of a model's smallest embedding; None where it has none."""
    return min((r for layer in flat_layers(model) if (r := _rows(layer)) is not None), default=None)


def rescales_its_inputs(model: keras.Model) -> bool:
    """Whether a model has layers that bring its inputs to their range, so that it takes bytes."""
    return any(isinstance(layer, _RESCALES[1:]) for layer in flat_layers(model))


def normalises_first(model: keras.Model) -> bool:
    """Whether a normalisation or rescaling is the first to see an input of a functional model."""
    graph = LayerGraph(model)
    inputs = getattr(model, "_input_layers", [])
    return rescales_its_inputs(model) or any(
        isinstance(reader, _RESCALES) for layer in inputs for reader in _readers(graph, layer)
    )


def _readers(graph: LayerGraph, layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """The layers that read what a layer gives, past those that only move numbers."""
    for child in graph.children(layer):
        if isinstance(child, KEEPS_VALUES):
            yield from _readers(graph, child)
        else:
            yield child


def _rows(layer: keras.layers.Layer) -> int | None:
    """The number of rows of a layer's table of embeddings; None for other layers."""
    table = getattr(layer, "embeddings", None)
    if table is None or getattr(table, "shape", None) is None or len(table.shape) != 2:
        return None
    return int(table.shape[0])
