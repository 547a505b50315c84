"""Binary dense layers → 1×1 binary convolutions.

Larq Compute Engine makes a binary op of a convolution only. A dense layer on `[N, …, D]` is the 1×1
convolution of the image `[N, 1, S, D]` with S the product of the dimensions between:

    y[n, s, m] = Σ_d x[n, s, d] · w[d, m]   =   Σ_d x[n, 0, s, d] · k[0, 0, d, m],   k[0, 0] = w

The reshape must come before the sign: between a sign and its convolution the converter tolerates
nothing but a padding. Sums of ±1 are exact in float32 up to 2^24 terms, so both forms agree to the
bit, whatever the order of summation. Quantizers with two other levels (BiT's {−α, α} and {0, α})
become a sign first, as `convert/keras_model/two_levels.py` derives.
"""

import math

import numpy as np

from convert.keras_model.kernels import has_one_scale, is_input_binary, quantized_kernel
from convert.keras_model.layer_graph import flat_layers
from convert.keras_model.rebuild import Replaced, Substitute, rebuild
from convert.keras_model.two_levels import Levels, fold_levels, levels_of
from onebit.keras import keras, lq, tf


def dense_to_pointwise_conv(model: keras.Model) -> tuple[keras.Model, list[str]]:
    """Replaces every QuantDense with binary inputs and binary weights by a `PointwiseConv`.

    It does not fire for plain dense layers, for layers of which only the weights or only the inputs
    are binary, nor for ternary and multi-bit quantizers, nor for a {0, 1} that does not tell its
    levels (`levels_of`).

    Raises:
        CannotRebuildError: The model cannot be taken apart.
    """
    layers = [layer for layer in flat_layers(model) if is_binary_dense(layer)]
    if not layers:
        return model, []

    def replacement(layer: keras.layers.Layer) -> Replaced | None:
        if not is_binary_dense(layer):
            return None
        kernel, bias = quantized_kernel(layer), layer.bias.numpy() if layer.use_bias else None
        levels = levels_of(layer.input_quantizer)
        if levels is not None:
            kernel, bias = fold_levels(levels, kernel, bias)
        weights = [kernel[np.newaxis, np.newaxis]]
        if bias is not None:
            weights.append(bias)
        return Replaced(PointwiseConv(layer, levels, use_bias=bias is not None), weights)

    return rebuild(model, replacement), [layer.name for layer in layers]


def is_binary_dense(layer: keras.layers.Layer) -> bool:
    """Whether a layer multiplies inputs of two levels with weights of one magnitude per output."""
    return (
        isinstance(layer, lq.layers.QuantDense)
        and layer.built
        and layer.kernel_quantizer is not None
        and (levels_of(layer.input_quantizer) is not None or is_input_binary(layer))
        and has_one_scale(quantized_kernel(layer))
    )


class PointwiseConv(Substitute):
    """A binary dense layer computed as a 1×1 convolution: `[N, …, D]` → `[N, …, units]`.

    The kernel is held as the ±1 (or scaled) values themselves: the converter folds no sign of a
    constant over 2^30 bits, but takes such a constant when it stands in the graph.

    Args:
        dense: The layer whose place it takes, built.
        levels: What its input quantizer gives, when that is folded into the weights; then its
            inputs go through the sign of their distance from the threshold.
        use_bias: Whether it adds a bias.
    """

    def __init__(
        self, dense: lq.layers.QuantDense, levels: Levels | None, *, use_bias: bool
    ) -> None:
        super().__init__(dense.name, again=lambda: PointwiseConv(dense, levels, use_bias=use_bias))
        self.units, self.use_bias = dense.units, use_bias
        self.threshold = None if levels is None else levels.threshold
        self.input_quantizer = dense.input_quantizer if levels is None else lq.quantizers.SteSign()
        self.activation = dense.activation

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the kernel `[1, 1, D, units]` and the bias `[units]`."""
        shape = (1, 1, int(input_shape[-1]), self.units)
        self.kernel = self.add_weight("kernel", shape, initializer="zeros")
        self.bias = self.add_weight("bias", (self.units,)) if self.use_bias else None
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Computes `activation(sign(inputs − threshold) · kernel + bias)`."""
        inner = inputs.shape[1:-1].as_list()
        image = tf.reshape(inputs, [-1, 1, math.prod(inner), inputs.shape[-1]])
        if self.threshold is not None:
            image = image - self.threshold
        outputs = tf.nn.conv2d(self.input_quantizer(image), self.kernel, 1, "VALID")
        if self.bias is not None:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return self.activation(tf.reshape(outputs, [-1, *inner, self.units]))
