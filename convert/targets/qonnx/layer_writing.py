"""Layers with weights as ONNX: sums, then scales and offsets."""

import math

import numpy as np
from numpy.typing import NDArray

from convert.targets.network import (
    BinaryConv,
    Conv,
    Dense,
    DepthwiseConv,
    Filtered,
    Operator,
    Window,
)
from convert.targets.qonnx.writing import TO_FIRST, Writing, window_attributes
from convert.targets.refusals import refusal
from convert.targets.thresholds.float_steps import folded_bias


class LayerWriting(Writing):
    """Writes layers."""

    def _binary_conv(self, operator: BinaryConv) -> str:
        """Sums of ±1, then LCE's own scaling: (s − K)·m + `folded_bias`."""
        tensor, window = self._input(operator), operator.window
        if operator.pad_value == 1 and window.is_padded:
            tensor = self._pad_images(operator, tensor, window, 1.0)
            window = Window(window.size, window.strides, window.dilations)
        weights = operator.weights.astype(np.float32).transpose(TO_FIRST)
        filters = self.quantizers.weights(self.writer, operator.name, weights)
        tensor = self._node(
            operator, "Conv", [tensor, filters], group=operator.groups, **window_attributes(window)
        )
        fan_in = math.prod(operator.weights.shape[1:])
        if operator.thresholds is not None:
            limits = (fan_in - 1 - 2 * operator.thresholds.astype(np.int64)).astype(np.float32)
            return self._sign_above(operator, tensor, limits)
        tensor = self._clamp(operator, tensor, operator.activation, is_sum=True)
        multiplier, bias = operator.multiplier, operator.bias
        if multiplier is None or bias is None:
            raise refusal(operator, "it has neither thresholds nor a scale")
        if (multiplier != 1).any() or bias.any():
            tensor = self._by_channel(operator, "Sub", tensor, np.full_like(multiplier, fan_in))
            tensor = self._by_channel(operator, "Mul", tensor, multiplier)
            tensor = self._by_channel(
                operator, "Add", tensor, folded_bias(fan_in, multiplier, bias)
            )
        return tensor

    def _sign_above(self, operator: Operator, tensor: str, limits: NDArray[np.float32]) -> str:
        """+1 where a sum is above its limit, which lies between two sums."""
        name, channels, shape = operator.name, len(limits), self._shape(operator)
        numbers = {
            "scale": np.ones(channels),
            "offset": -limits,
            "mean": np.zeros(channels),
            "variance": np.ones(channels),
        }
        constants = [
            self.writer.constant(f"{name}_threshold_{key}", v) for key, v in numbers.items()
        ]
        tensor = self.writer.node(
            "BatchNormalization",
            [tensor, *constants],
            f"{name}_threshold",
            shape,
            epsilon=0.0,
        )
        return self.quantizers.sign(self.writer, tensor, f"{name}_sign", shape)

    def _conv(self, operator: Conv | DepthwiseConv) -> str:
        if isinstance(operator, DepthwiseConv):
            weights = operator.weights.transpose(2, 0, 1)[:, np.newaxis]
            groups = weights.shape[0] // operator.multiplier
        else:
            weights, groups = operator.weights.transpose(TO_FIRST), operator.groups
        filters = self._weights(operator, weights, 0)
        tensor = self._node(
            operator,
            "Conv",
            [self._input(operator), filters],
            group=groups,
            **window_attributes(operator.window),
        )
        return self._scaled(operator, tensor)

    def _dense(self, operator: Dense) -> str:
        value = self.network.input_of(operator)
        tensor = self._file_order(operator, self._input(operator), value.shape)
        columns = operator.weights.shape[1]
        rows = int(np.prod(value.shape)) // columns
        tensor = self._reshaped(operator, tensor, (rows, columns))
        filters = self._weights(operator, operator.weights.T, 1)
        shape = (rows, len(operator.weights))
        tensor = self.writer.node("MatMul", [tensor, filters], operator.name, shape)
        tensor = self._scaled(operator, tensor)
        target = self.network.output_of(operator).shape
        if target != shape:
            tensor = self._reshaped(operator, tensor, target)
            tensor = self._onnx_order(operator, tensor, target)
        return tensor

    def _weights(self, operator: Filtered, weights: NDArray, axis: int) -> str:
        """Weights with their output channels along an axis; packed ones without magnitude."""
        writer, name = self.writer, operator.name
        steps = operator.weight_quantization
        if operator.is_binary:
            signs = np.where(weights < 0, -1, 1).astype(np.float32)
            return self.quantizers.weights(writer, name, signs)
        if weights.dtype == np.int8 and steps is not None:
            if steps.zero_point.any():
                raise refusal(operator, "its weights have zero points")
            values = np.ascontiguousarray(weights)
            return self.quantizers.int8_weights(writer, name, values, steps.scale, axis)
        if weights.dtype != np.float32:
            raise refusal(operator, f"its weights are {weights.dtype}")
        return writer.constant(f"{name}_weights", np.ascontiguousarray(weights))

    def _scaled(self, operator: Filtered, tensor: str) -> str:
        scale, bias, steps = operator.scale, operator.bias, operator.weight_quantization
        if steps is not None:
            read = self.network.input_of(operator).quantization
            if bias is not None and bias.dtype == np.int32 and read is not None:
                units = read.scale.astype(np.float64) * steps.scale
                bias = (bias * units).astype(np.float32)
            if operator.is_binary:
                scale = (steps.scale * float(np.abs(operator.weights).max())).astype(np.float32)
        if scale is not None:
            tensor = self._by_channel(operator, "Mul", tensor, scale)
        if bias is not None and bias.any():
            tensor = self._by_channel(operator, "Add", tensor, bias)
        return self._clamp(operator, tensor, operator.activation)
