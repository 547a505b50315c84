"""Binary dense layers → 1×1 binary convolutions.

Larq Compute Engine makes a binary op of a convolution only. A dense layer on `[N, …, D]` is the 1×1
convolution of the image `[N, 1, S, D]` with S the product of the dimensions between:

    y[n, s, m] = Σ_d x[n, s, d] · w[d, m]   =   Σ_d x[n, 0, s, d] · k[0, 0, d, m],   k[0, 0] = w

The reshape must come before the sign: between a sign and its convolution the converter tolerates
nothing but a padding. Sums of ±1 are exact in float32 up to 2^24 terms, so both forms agree to the
bit, whatever the order of summation.
"""

import math

import numpy as np
from numpy.typing import NDArray

from convert.rewrites.rebuild import Replaced, Substitute, rebuild
from convert.rewrites.topology import flat_layers, gives_signs
from onebit.keras import keras, lq, tf


def dense_to_pointwise_conv(model: keras.Model) -> tuple[keras.Model, list[str]]:
    """Replaces every QuantDense with binary inputs and binary weights by a `PointwiseConv`.

    It does not fire for plain dense layers, for layers of which only the weights or only the inputs
    are binary, nor for ternary, {0, 1} and multi-bit quantizers.

    Raises:
        CannotRebuildError: The model cannot be taken apart.
    """
    layers = [layer for layer in flat_layers(model) if is_binary_dense(layer)]
    if not layers:
        return model, []

    def replacement(layer: keras.layers.Layer) -> Replaced | None:
        if not is_binary_dense(layer):
            return None
        weights = [quantized_kernel(layer)[np.newaxis, np.newaxis]]
        return PointwiseConv(layer), [*weights, layer.bias.numpy()] if layer.use_bias else weights

    return rebuild(model, replacement), [layer.name for layer in layers]


def is_binary_dense(layer: keras.layers.Layer) -> bool:
    """Whether a layer multiplies ±1 inputs with weights of one magnitude per output."""
    return (
        isinstance(layer, lq.layers.QuantDense)
        and layer.built
        and layer.kernel_quantizer is not None
        and is_input_binary(layer)
        and has_one_magnitude(quantized_kernel(layer))
    )


def is_input_binary(layer: keras.layers.Layer) -> bool:
    """Whether a Larq layer's own quantizer makes its inputs ±1."""
    return layer.input_quantizer is not None and gives_signs(layer.input_quantizer)


def has_one_magnitude(kernel: NDArray[np.float32]) -> bool:
    """Whether |w| is one nonzero number per output, that is along the last axis of `[…, O]`."""
    magnitudes = np.abs(kernel.reshape(-1, kernel.shape[-1]))
    return bool((magnitudes > 0).all() and (magnitudes == magnitudes[:1]).all())


def quantized_kernel(layer: keras.layers.Layer) -> NDArray[np.float32]:
    """The weights that a Larq layer computes with at inference."""
    with lq.context.quantized_scope(True):
        return layer.get_weights()[0]


class PointwiseConv(Substitute):
    """A binary dense layer computed as a 1×1 convolution: `[N, …, D]` → `[N, …, units]`.

    The kernel is held as the ±1 (or scaled) values themselves: the converter folds no sign of a
    constant over 2^30 bits, but takes such a constant when it stands in the graph.

    Args:
        dense: The layer whose place it takes, built.
    """

    def __init__(self, dense: lq.layers.QuantDense) -> None:
        super().__init__(dense.name, again=lambda: PointwiseConv(dense))
        self.units, self.use_bias = dense.units, dense.use_bias
        self.input_quantizer = dense.input_quantizer
        self.activation = dense.activation

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the kernel `[1, 1, D, units]` and the bias `[units]`."""
        shape = (1, 1, int(input_shape[-1]), self.units)
        self.kernel = self.add_weight("kernel", shape, initializer="zeros")
        self.bias = self.add_weight("bias", (self.units,)) if self.use_bias else None
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Computes `activation(sign(inputs) · kernel + bias)`."""
        inner = inputs.shape[1:-1].as_list()
        image = tf.reshape(inputs, [-1, 1, math.prod(inner), inputs.shape[-1]])
        outputs = tf.nn.conv2d(self.input_quantizer(image), self.kernel, 1, "VALID")
        if self.bias is not None:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return self.activation(tf.reshape(outputs, [-1, *inner, self.units]))
