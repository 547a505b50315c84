"""Layers with quantizers for inputs and weights; the arguments are Larq's.

Without quantizers each is the Keras layer whose name it bears. Latent weights are what is stored
and trained; the quantized ones are computed on each call.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from zoo.keras3 import constraints, quantizers


class _Quantized(keras.layers.Layer):
    """The part that the layers share: two quantizers, and their place in saved models."""

    _weights_name = "kernel"

    def __init__(
        self, *args: Any, input_quantizer: Any = None, weights_quantizer: Any = None, **kwargs: Any
    ) -> None:
        name = f"{self._weights_name}_constraint"
        kwargs[name] = constraints.get(kwargs.get(name))
        super().__init__(*args, **kwargs)
        self.input_quantizer = quantizers.get(input_quantizer)
        setattr(self, f"{self._weights_name}_quantizer", quantizers.get(weights_quantizer))

    def build(self, input_shape: Any) -> None:
        """Makes the weights, those of the quantizers included."""
        super().build(input_shape)
        _build(self.input_quantizer, input_shape)
        _build(self._weights_quantizer, self.kernel.shape)

    @property
    def _weights_quantizer(self) -> Any:
        return getattr(self, f"{self._weights_name}_quantizer")

    def _quantized(self, inputs: Any) -> tuple[Any, Any]:
        """The quantized inputs and weights."""
        # Of the variable itself, TensorFlow's custom gradient would demand a gradient apart.
        kernel = ops.copy(self.kernel)
        if self.input_quantizer is not None:
            inputs = self.input_quantizer(inputs)
        if self._weights_quantizer is not None:
            kernel = self._weights_quantizer(kernel)
        return inputs, kernel

    def _finished(self, outputs: Any) -> Any:
        """Outputs with bias and activation."""
        if self.bias is not None:
            shape = [1] * (len(outputs.shape) - 1) + [-1]
            if getattr(self, "data_format", None) == "channels_first":
                shape = [1, -1] + [1] * (len(outputs.shape) - 2)
            outputs = ops.add(outputs, ops.reshape(self.bias, shape))
        return outputs if self.activation is None else self.activation(outputs)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        name = f"{self._weights_name}_quantizer"
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "input_quantizer": serialize(self.input_quantizer),
            name: serialize(self._weights_quantizer),
        }


class _Padded(_Quantized):
    """A convolution that may pad with another number than 0.

    `causal` padding takes zeros only, as in Larq.
    """

    def __init__(self, *args: Any, pad_values: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pad_values = float(pad_values)
        if self.padding == "causal" and self.pad_values:
            raise ValueError("causal padding with pad_values other than 0 is not supported")

    def _pad(self, inputs: Any) -> tuple[Any, str]:
        """The inputs with the layer's own border, and the padding that is left to do."""
        if self.padding == "causal":
            return ops.pad(inputs, self._compute_causal_padding()), "valid"
        if self.padding != "same" or not self.pad_values:
            return inputs, self.padding
        first = 1 if self.data_format == "channels_last" else 2
        widths = [(0, 0)] * len(inputs.shape)
        for axis, (taps, stride, dilation) in enumerate(
            zip(self.kernel_size, self.strides, self.dilation_rate, strict=True), first
        ):
            widths[axis] = same_width(inputs.shape[axis], taps, stride, dilation)
        return ops.pad(inputs, widths, constant_values=self.pad_values), "valid"

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "pad_values": self.pad_values}


def same_width(size: int | None, taps: int, stride: int, dilation: int) -> tuple[int, int]:
    """The elements that `same` adds before and after a dimension.

    Raises:
        ValueError: The size is unknown.
    """
    reach = (taps - 1) * dilation
    if size is None:
        if stride != 1:
            raise ValueError("pad_values with strides needs inputs of a known size")
        return reach // 2, reach - reach // 2
    total = max((-(-size // stride) - 1) * stride + reach + 1 - size, 0)
    return total // 2, total - total // 2


def _build(quantizer: Any, shape: Sequence[int | None]) -> None:
    if isinstance(quantizer, keras.layers.Layer) and not quantizer.built:
        quantizer.build(shape)


@keras.saving.register_keras_serializable(package="onebit")
class QuantDense(_Quantized, keras.layers.Dense):
    """A dense layer `[N, …, D]` → `[N, …, units]` with quantized inputs and weights.

    Args:
        units: The number of outputs.
        input_quantizer: The quantizer of its inputs; None leaves them real.
        kernel_quantizer: The quantizer of its weights; None leaves them real.
        kwargs: Those of `keras.layers.Dense`; `kernel_constraint` may be `"weight_clip"`.
    """

    def __init__(
        self,
        units: int,
        *,
        input_quantizer: Any = None,
        kernel_quantizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units, input_quantizer=input_quantizer, weights_quantizer=kernel_quantizer, **kwargs
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """`activation(input_quantizer(inputs) · kernel_quantizer(kernel) + bias)`."""
        inputs, kernel = self._quantized(inputs)
        return self._finished(ops.matmul(inputs, kernel))


class _QuantConv(_Padded):
    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        *args: Any,
        kernel_quantizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, *args, weights_quantizer=kernel_quantizer, **kwargs)

    def call(self, inputs: Any) -> Any:
        """`activation(conv(pad(input_quantizer(inputs)), kernel_quantizer(kernel)) + bias)`."""
        inputs, kernel = self._quantized(inputs)
        inputs, padding = self._pad(inputs)
        outputs = ops.conv(
            inputs,
            kernel,
            strides=list(self.strides),
            padding=padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return self._finished(outputs)


@keras.saving.register_keras_serializable(package="onebit")
class QuantConv1D(_QuantConv, keras.layers.Conv1D):
    """A convolution `[N, L, C]` → `[N, L', filters]` with quantized inputs and weights.

    Args:
        filters: The number of output channels.
        kernel_size: The number of taps.
        pad_values: The number that `padding="same"` pads with.
        input_quantizer: The quantizer of its inputs; None leaves them real.
        kernel_quantizer: The quantizer of its weights; None leaves them real.
        kwargs: Those of `keras.layers.Conv1D`; `kernel_constraint` may be `"weight_clip"`.
    """


@keras.saving.register_keras_serializable(package="onebit")
class QuantConv2D(_QuantConv, keras.layers.Conv2D):
    """A convolution `[N, H, W, C]` → `[N, H', W', filters]` with quantized inputs and weights.

    Args:
        filters: The number of output channels.
        kernel_size: The height and width.
        pad_values: The number that `padding="same"` pads with; 1 keeps a binary layer's border ±1.
        input_quantizer: The quantizer of its inputs; None leaves them real.
        kernel_quantizer: The quantizer of its weights; None leaves them real.
        kwargs: Those of `keras.layers.Conv2D`; `kernel_constraint` may be `"weight_clip"`.
    """


@keras.saving.register_keras_serializable(package="onebit")
class QuantDepthwiseConv2D(_Padded, keras.layers.DepthwiseConv2D):
    """A convolution of each channel with separate filters, with quantized inputs and weights.

    Args:
        kernel_size: The height and width.
        pad_values: The number that `padding="same"` pads with.
        input_quantizer: The quantizer of its inputs; None leaves them real.
        depthwise_quantizer: The quantizer of its weights; None leaves them real.
        kwargs: Those of `keras.layers.DepthwiseConv2D`; `depthwise_constraint` may be
            `"weight_clip"`.
    """

    _weights_name = "depthwise"

    def __init__(
        self, kernel_size: Any, *args: Any, depthwise_quantizer: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(kernel_size, *args, weights_quantizer=depthwise_quantizer, **kwargs)

    def call(self, inputs: Any) -> Any:
        """`activation(conv(pad(input_quantizer(inputs)), depthwise_quantizer(kernel)) + bias)`."""
        inputs, kernel = self._quantized(inputs)
        inputs, padding = self._pad(inputs)
        outputs = ops.depthwise_conv(
            inputs,
            kernel,
            strides=self.strides,
            padding=padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return self._finished(outputs)


__all__ = ["QuantConv1D", "QuantConv2D", "QuantDense", "QuantDepthwiseConv2D"]
