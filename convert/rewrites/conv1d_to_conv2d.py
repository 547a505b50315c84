"""Binary one-dimensional convolutions → two-dimensional ones.

A sequence `[N, L, C]` is an image `[N, 1, L, C]` of height 1, and a filter of length K one of
1×K. Keras itself computes a Conv1D that way, but with the sign in front of the reshape, where Larq
Compute Engine does not see it: between a sign and its convolution it tolerates a padding only. With
the sign behind the reshape the layer becomes binary. Sums of ±1 are exact in float32 up to 2^24
terms, so both forms agree to the bit.
"""

import math

import numpy as np

from convert.keras_model.kernels import has_one_scale, is_input_binary, quantized_kernel
from convert.keras_model.layer_graph import flat_layers
from convert.keras_model.rebuild import Replaced, Substitute, rebuild
from onebit.keras import keras, lq, tf


def conv1d_to_conv2d(model: keras.Model) -> tuple[keras.Model, list[str]]:
    """Replaces every QuantConv1D with binary inputs and binary weights by a `SequenceConv`.

    It does not fire for layers of which only the weights or only the inputs are binary, for
    channels first, nor for ternary and multi-bit quantizers.

    Raises:
        CannotRebuildError: The model cannot be taken apart.
    """
    layers = [layer for layer in flat_layers(model) if is_binary_conv1d(layer)]
    if not layers:
        return model, []

    def replacement(layer: keras.layers.Layer) -> Replaced | None:
        if not is_binary_conv1d(layer):
            return None
        weights = [quantized_kernel(layer)[np.newaxis]]
        bias = [layer.bias.numpy()] if layer.use_bias else []
        return Replaced(SequenceConv(layer), [*weights, *bias])

    return rebuild(model, replacement), [layer.name for layer in layers]


def is_binary_conv1d(layer: keras.layers.Layer) -> bool:
    """Whether a layer convolves ±1 sequences with filters of one magnitude per output channel."""
    return (
        isinstance(layer, lq.layers.QuantConv1D)
        and layer.built
        and layer.data_format == "channels_last"
        and layer.kernel_quantizer is not None
        and is_input_binary(layer)
        and has_one_scale(quantized_kernel(layer))
    )


class SequenceConv(Substitute):
    """A binary Conv1D computed on images of height 1: `[N, L, C]` → `[N, L', filters]`.

    Args:
        conv: The layer whose place it takes, built.
    """

    def __init__(self, conv: lq.layers.QuantConv1D) -> None:
        super().__init__(conv.name, again=lambda: SequenceConv(conv))
        self.input_quantizer = conv.input_quantizer
        self.activation = conv.activation
        self.kernel_shape = (1, *conv.kernel.shape)
        self.filters, self.use_bias = conv.filters, conv.use_bias
        self.stride, self.dilation = conv.strides[0], conv.dilation_rate[0]
        self.padding, self.pad_values = conv.padding, float(conv.pad_values)

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the kernel `[1, K, C/groups, filters]` and the bias `[filters]`."""
        self.kernel = self.add_weight("kernel", self.kernel_shape, initializer="zeros")
        self.bias = self.add_weight("bias", (self.filters,)) if self.use_bias else None
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Computes `activation(conv(pad(sign(inputs)), kernel) + bias)`."""
        length, channels = inputs.shape[1:]
        x = self.input_quantizer(tf.reshape(inputs, [-1, 1, length, channels]))
        left, right = self._pads(length)
        padding = "VALID"
        # LCE joins zero padding with the convolution only as the convolution's own.
        if self.padding == "same" and self.pad_values == 0:
            padding = "SAME"
        elif left or right:
            pads = [[0, 0], [0, 0], [left, right], [0, 0]]
            x = tf.pad(x, pads, constant_values=self.pad_values)
        y = tf.nn.conv2d(x, self.kernel, [1, self.stride], padding, dilations=[1, self.dilation])
        if self.bias is not None:
            y = tf.nn.bias_add(y, self.bias)
        return self.activation(tf.reshape(y, [-1, y.shape[2], self.filters]))

    def _pads(self, length: int) -> tuple[int, int]:
        """Elements to add before and after the sequence."""
        reach = (self.kernel_shape[1] - 1) * self.dilation
        if self.padding == "causal":
            return reach, 0
        if self.padding == "valid":
            return 0, 0
        steps = math.ceil(length / self.stride)
        total = max((steps - 1) * self.stride + reach + 1 - length, 0)
        return total // 2, total - total // 2
