"""The Keras layer of each filter in a file.

Names are of no use here: LCE joins and cuts them, and passes make new tensors. A filter is
recognised by the signs of its weights. Folding batch normalisation scales each output channel, by a
negative number too, so signs are compared up to a flip of a whole channel; where nothing matches,
up to flips of input channels too, which the normalisation in front of a dense layer brings about.
"""

import functools
import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.keras_model.layer_graph import flat_layers
from convert.tflite.filters import binary_filter_shape, filter_signs, stored_filter
from convert.tflite.graph import FILTERED, FILTERED_3D, Graph
from onebit.keras import keras, lq


def fingerprint(negative: NDArray[np.bool_], any_columns: bool = False) -> str:
    """Identifies a filter by its signs.

    Args:
        negative: `[O, …]`, true where a weight is below zero.
        any_columns: Whether flipped input channels give the same fingerprint.
    """
    rows = negative.reshape(len(negative), -1)
    rows = rows ^ rows[:, :1]
    if any_columns:
        rows = rows ^ rows[:1]
    return hashlib.sha256(np.packbits(rows, axis=-1).tobytes()).hexdigest()


def layers_by_filter(
    model: keras.Model, any_columns: bool = False
) -> dict[str, keras.layers.Layer]:
    """The layers of a model by the fingerprint of the filter that they compute with.

    Layers whose filters have the same fingerprint are left out: nothing distinguishes them. So are
    the inner filters of layers with several, whose inputs are not the layer's.
    """
    return {
        key: layer
        for key, (layer, _, first) in _filters_by_fingerprint(model, any_columns).items()
        if first
    }


def _filters_by_fingerprint(
    model: keras.Model, any_columns: bool = False
) -> dict[str, tuple[keras.layers.Layer, str, bool]]:
    """Fingerprint → layer, the filter's name, and whether it reads the layer's inputs."""
    found: dict[str, tuple[keras.layers.Layer, str, bool]] = {}
    ambiguous = set()
    for layer in flat_layers(model):
        filters = _filters(layer)
        for position, (part, kernel) in enumerate(filters):
            key = fingerprint(kernel < 0, any_columns)
            if key in found:
                ambiguous.add(key)
            name = layer.name if len(filters) == 1 else f"{layer.name} ({part})"
            found[key] = layer, name, position == 0
    return {key: entry for key, entry in found.items() if key not in ambiguous}


def _filters(layer: keras.layers.Layer) -> list[tuple[str, NDArray[np.float32]]]:
    """A layer's filters as TensorFlow Lite lays them out, output channels first, with their names.

    None of layers that are not built, or whose filters are not convolved or multiplied plainly.
    """
    known = keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D
    depthwise = keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D
    separable = keras.layers.SeparableConv1D, keras.layers.SeparableConv2D
    if not layer.built or not isinstance(layer, (*known, *depthwise, *separable)):
        return []
    with lq.context.quantized_scope(True):
        weights = layer.get_weights()
    if isinstance(layer, separable):
        return [
            ("depthwise", _depthwise(weights[0])),
            ("pointwise", np.moveaxis(weights[1], -1, 0)),
        ]
    if isinstance(layer, depthwise):
        return [("depthwise", _depthwise(weights[0]))]
    transposed = isinstance(layer, _TRANSPOSED)
    return [("kernel", np.moveaxis(weights[0], -2 if transposed else -1, 0))]


_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)


def _depthwise(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """`[…, C, M]` → `[C·M, …]`."""
    return np.moveaxis(kernel.reshape(*kernel.shape[:-2], -1), -1, 0)


def name_tensors(graph: Graph, model: keras.Model) -> None:
    """Gives each multiplying operator's output the name of the Keras layer that it came from.

    LCE's own names join those of all operators that it fused and are cut after 50 characters.
    """
    _name_tables(graph, model)
    filters = _filters_by_fingerprint(model)
    # Seldom needed, and a pass over all weights.
    by_rows = functools.cache(lambda: _filters_by_fingerprint(model, any_columns=True))
    for op in graph.operators:
        signs = signs_of(graph, op)
        if signs is None:
            continue
        found = filters.get(fingerprint(signs)) or by_rows().get(fingerprint(signs, True))
        if found is not None:
            graph.subgraph.tensors[graph.outputs(op)[0]].name = found[1].encode()


def _name_tables(graph: Graph, model: keras.Model) -> None:
    """Gives each look-up of an embedding's table the name of the Keras layer."""
    tables = {}
    for layer in flat_layers(model):
        table = getattr(layer, "embeddings", None)
        if table is not None and len(table.shape) == 2:
            with lq.context.quantized_scope(True):
                tables[fingerprint(table.numpy() < 0)] = layer.name
    for op in graph.operators:
        stored = graph.constant(graph.inputs(op)[0]) if graph.op_name(op) == "GATHER" else None
        name = None if stored is None or stored.ndim != 2 else tables.get(fingerprint(stored < 0))
        if name is not None:
            graph.subgraph.tensors[graph.outputs(op)[0]].name = name.encode()


def signs_of(graph: Graph, op: Any) -> NDArray[np.bool_] | None:
    """Where the filter of an operator is negative, `[O, …]`; None for other operators."""
    if graph.op_name(op) == "LceBconv2d":
        return filter_signs(graph, op, graph.inputs(op)[1], binary_filter_shape(graph, op))
    if graph.op_name(op) not in (*FILTERED, *FILTERED_3D):
        return None
    index = graph.inputs(op)[1]
    return filter_signs(graph, op, stored_filter(graph, index)[0], graph.shape(index))
