"""Which Keras layer a filter in the file came from.

Names don't tell: LCE joins and cuts them, and passes make new tensors. The signs of a filter do.
Folding batch normalisation scales each output channel, by a negative number too, so signs are
compared up to a flip of a whole channel.
"""

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.flatbuffer import Graph
from convert.rewrites.dense_to_pointwise_conv import flat_layers, quantized_kernel
from onebit import bits
from onebit.keras import keras, lq


def fingerprint(negative: NDArray[np.bool_]) -> str:
    """Identifies a filter by its signs.

    Args:
        negative: `[O, …]`, true where a weight is below zero.
    """
    rows = negative.reshape(len(negative), -1)
    return hashlib.sha256(np.packbits(rows ^ rows[:, :1], axis=-1).tobytes()).hexdigest()


def layers_by_filter(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """The layers of a model by the fingerprint of the filter that they compute with.

    Layers whose filters have the same signs are left out: nothing tells them apart.
    """
    found: dict[str, keras.layers.Layer] = {}
    ambiguous = set()
    for layer in flat_layers(model):
        kernel = _filter(layer)
        if kernel is None:
            continue
        key = fingerprint(kernel < 0)
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
    if isinstance(layer, keras.layers.SeparableConv2D | keras.layers.Conv2DTranspose):
        return None
    if isinstance(layer, lq.layers_base.QuantizerBase | lq.layers_base.QuantizerDepthwiseBase):
        kernel = quantized_kernel(layer)
    else:
        kernel = layer.get_weights()[0]
    if depthwise:
        kernel = kernel.reshape(*kernel.shape[:2], -1)
    return np.moveaxis(kernel, -1, 0)


def filter_signs(graph: Graph, op: Any, source: int, shape: list[int]) -> NDArray[np.bool_] | None:
    """Where an operator's filter is negative, `[O, …]`; None when the file does not hold it.

    Args:
        graph: The file.
        op: The operator that computes with the filter.
        source: The constant that holds it, packed or not.
        shape: The unpacked filter's shape.
    """
    constant = graph.constant(source)
    if constant is None:
        return None
    if constant.dtype == np.int32:
        # Packed either as the filter stands or as one row per output channel.
        last = shape[-1] if constant.ndim == len(shape) else math.prod(shape[1:])
        return bits.unpack(constant, last) < 0
    depthwise = graph.op_name(op) == "DEPTHWISE_CONV_2D"
    return (np.moveaxis(constant[0], -1, 0) if depthwise else constant) < 0
