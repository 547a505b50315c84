"""Kernels that Larq layers compute with, and whether they and their inputs are binary."""

import numpy as np
from numpy.typing import NDArray

from convert.keras_model.layer_graph import gives_signs, input_channels
from onebit.keras import keras, lq


def is_input_binary(layer: keras.layers.Layer) -> bool:
    """Whether a Larq layer's own quantizer makes its inputs ±1."""
    return layer.input_quantizer is not None and gives_signs(
        layer.input_quantizer, input_channels(layer)
    )


def has_one_scale(kernel: NDArray[np.float32]) -> bool:
    """Whether |w| is one nonzero number per output, that is along the last axis of `[…, O]`."""
    sizes = np.abs(kernel.reshape(-1, kernel.shape[-1]))
    return bool((sizes > 0).all() and (sizes == sizes[:1]).all())


def quantized_kernel(layer: keras.layers.Layer) -> NDArray[np.float32]:
    """The weights that a Larq layer computes with at inference."""
    with lq.context.quantized_scope(True):
        return layer.get_weights()[0]
