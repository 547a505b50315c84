"""Which Keras layer a filter in the file came from.

Names don't tell: LCE joins and cuts them, and passes make new tensors. The signs of a filter do.
Folding batch normalisation scales each output channel, by a negative number too, so signs are
compared up to a flip of a whole channel; where nothing matches, up to flips of input channels too,
which the normalisation in front of a dense layer brings about.
"""

import functools
import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.keras_model.kernels import quantized_kernel
from convert.keras_model.layer_graph import flat_layers
from convert.tflite.filters import FILTERED, binary_filter_shape, filter_signs, stored_filter
from convert.tflite.graph import Graph
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

    Layers whose filters have the same fingerprint are left out: nothing tells them apart.
    """
    found: dict[str, keras.layers.Layer] = {}
    ambiguous = set()
    for layer in flat_layers(model):
        kernel = _filter(layer)
        if kernel is None:
            continue
        key = fingerprint(kernel < 0, any_columns)
        if key in found:
            ambiguous.add(key)
        found[key] = layer
    return {key: layer for key, layer in found.items() if key not in ambiguous}


def _filter(layer: keras.layers.Layer) -> NDArray[np.float32] | None:
    """A layer's filter as TensorFlow Lite lays it out, output channels first; None without one."""
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    if not layer.built or not isinstance(
        layer,
        keras.layers.Dense
        | keras.layers.Conv1D
        | keras.layers.Conv2D
        | keras.layers.DepthwiseConv2D,
    ):
        return None
    if isinstance(layer, keras.layers.SeparableConv1D | keras.layers.SeparableConv2D):
        return None  # it has two
    if isinstance(layer, lq.layers_base.QuantizerBase | lq.layers_base.QuantizerDepthwiseBase):
        kernel = quantized_kernel(layer)
    else:
        kernel = layer.get_weights()[0]
    if depthwise:
        kernel = kernel.reshape(*kernel.shape[:2], -1)
    if isinstance(layer, keras.layers.Conv2DTranspose):
        return np.moveaxis(kernel, 2, 0)
    return np.moveaxis(kernel, -1, 0)


def name_tensors(graph: Graph, model: keras.Model) -> None:
    """Gives each multiplying operator's output the name of the Keras layer that it came from.

    LCE's own names join those of all operators that it fused and are cut after 50 characters.
    """
    _name_tables(graph, model)
    layers = layers_by_filter(model)
    # Seldom needed, and a pass over all weights.
    by_rows = functools.cache(lambda: layers_by_filter(model, any_columns=True))
    for op in graph.operators:
        signs = signs_of(graph, op)
        if signs is None:
            continue
        layer = layers.get(fingerprint(signs)) or by_rows().get(fingerprint(signs, True))
        if layer is not None:
            graph.subgraph.tensors[graph.outputs(op)[0]].name = layer.name.encode()


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
    if graph.op_name(op) not in FILTERED:
        return None
    index = graph.inputs(op)[1]
    return filter_signs(graph, op, stored_filter(graph, index)[0], graph.shape(index))
