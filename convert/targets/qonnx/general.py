"""Any network of a converted file as ONNX, operator by operator.

Images are `[N, C, H, W]`, as ONNX has them: every tensor of rank 4 is held in that order, and
transposed where a Reshape or a dense layer reads its numbers in the file's order. Bits are float32
±1. Constants keep the file's rounding: LCE's sums are scaled as LCE scales them.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.targets.network import (
    ACTIVATION_RANGES,
    Activation,
    BinaryConv,
    BinaryMaxPool,
    Concat,
    Conv,
    Dense,
    DepthwiseConv,
    Elementwise,
    Filtered,
    Mean,
    Network,
    Operator,
    Pad,
    Pool,
    Prelu,
    Reshape,
    SignBits,
    SignValues,
    Softmax,
    Unary,
    Window,
)
from convert.targets.qonnx.onnx_writer import OnnxWriter
from convert.targets.qonnx.quantizers import Quantizers
from convert.targets.refusals import refusal
from convert.targets.thresholds.reading import folded_bias

_ELEMENTWISE = {
    "ADD": "Add",
    "SUB": "Sub",
    "MUL": "Mul",
    "DIV": "Div",
    "MAXIMUM": "Max",
    "MINIMUM": "Min",
}
_UNARY = {
    "LOGISTIC": "Sigmoid",
    "TANH": "Tanh",
    "ABS": "Abs",
    "NEG": "Neg",
    "SQRT": "Sqrt",
    "EXP": "Exp",
}
_CLAMPS: dict[str, Activation] = {
    "RELU": "relu",
    "RELU6": "relu6",
    "RELU_N1_TO_1": "relu_n1_to_1",
}

_TO_FIRST, _TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def write_network(
    network: Network, quantizers: Quantizers, writer: OnnxWriter
) -> tuple[list[str], list[str]]:
    """Writes the network and returns the names of its inputs and outputs.

    Raises:
        ConversionError: An operator has no counterpart.
    """
    for operator in network.operators:
        for index in (*operator.inputs, operator.output):
            value = network.values[index]
            if value.dtype not in ("float32", "bits"):
                raise refusal(
                    operator,
                    f"{value.name} is {value.dtype}, and only float32 and bits are exported",
                    "convert the model without --int8"
                    if value.dtype == "int8"
                    else "networks that read tokens have no ONNX export here",
                )
    return _Writing(network, quantizers, writer).write()


class _Writing:
    """Writes operator by operator; `tensors` are the ONNX names of the network's values."""

    def __init__(self, network: Network, quantizers: Quantizers, writer: OnnxWriter) -> None:
        self.network, self.quantizers, self.writer = network, quantizers, writer
        self.tensors: dict[int, str] = {}

    def write(self) -> tuple[list[str], list[str]]:
        network = self.network
        ends = zip(network.inputs, network.input_names, strict=True)
        inputs = []
        for index, name in ends:
            shape = _first(network.values[index].shape)
            inputs.append(self.writer.input(name, shape))
            self.tensors[index] = inputs[-1]
        for operator in network.operators:
            self.tensors[operator.output] = self._operator(operator)
        outputs = []
        for index, name in zip(network.outputs, network.output_names, strict=True):
            shape = _first(network.values[index].shape)
            outputs.append(self.writer.node("Identity", [self._tensor(index)], name, shape))
        return inputs, outputs

    def _operator(self, operator: Operator) -> str:
        match operator:
            case SignBits():
                shape = self._shape(operator)
                return self.quantizers.sign(
                    self.writer, self._input(operator), f"{operator.name}_sign", shape
                )
            case SignValues():
                return self._input(operator)
            case BinaryConv():
                return self._binary_conv(operator)
            case Conv() | DepthwiseConv():
                return self._conv(operator)
            case Dense():
                return self._dense(operator)
            case BinaryMaxPool() | Pool():
                return self._pool(operator)
            case Elementwise():
                kind = _ELEMENTWISE[operator.op]
                operands = [self._operand(operator, index) for index in operator.inputs]
                tensor = self._node(operator, kind, operands)
                return self._clamp(operator, tensor, operator.activation)
            case Unary():
                return self._unary(operator)
            case Prelu():
                slopes = self._aligned(operator, operator.alpha)
                slope = self.writer.constant(f"{operator.name}_slopes", slopes)
                return self._node(operator, "PRelu", [self._input(operator), slope])
            case Concat():
                return self._concat(operator)
            case Pad():
                return self._pad(operator)
            case Reshape():
                return self._reshape(operator)
            case Softmax():
                return self._softmax(operator)
            case Mean():
                return self._mean(operator)
        raise refusal(operator, "it has no counterpart among the exported operators")

    # --- layers

    def _binary_conv(self, operator: BinaryConv) -> str:
        """Sums of ±1, then LCE's own scaling: (s − K)·m + (K·m + b), see `thresholds.reading`."""
        tensor, window = self._input(operator), operator.window
        if operator.pad_value == 1 and window.is_padded:
            tensor = self._pad_images(operator, tensor, window, 1.0)
            window = Window(window.size, window.strides, window.dilations)
        weights = operator.weights.astype(np.float32).transpose(_TO_FIRST)
        filters = self.quantizers.weights(self.writer, operator.name, weights)
        tensor = self._node(
            operator, "Conv", [tensor, filters], group=operator.groups, **_attributes(window)
        )
        fan_in = math.prod(operator.weights.shape[1:])
        if operator.thresholds is not None:
            limits = (fan_in - 1 - 2 * operator.thresholds.astype(np.int64)).astype(np.float32)
            return self._sign_above(operator, tensor, limits)
        tensor = self._clamp(operator, tensor, operator.activation)
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
            weights, groups = operator.weights.transpose(_TO_FIRST), operator.groups
        filters = self._weights(operator, weights)
        tensor = self._node(
            operator,
            "Conv",
            [self._input(operator), filters],
            group=groups,
            **_attributes(operator.window),
        )
        return self._scaled(operator, tensor)

    def _dense(self, operator: Dense) -> str:
        value = self.network.input_of(operator)
        tensor = self._file_order(operator, self._input(operator), value.shape)
        columns = operator.weights.shape[1]
        rows = int(np.prod(value.shape)) // columns
        tensor = self._reshaped(operator, tensor, (rows, columns))
        filters = self._weights(operator, np.ascontiguousarray(operator.weights.T))
        shape = (rows, len(operator.weights))
        tensor = self.writer.node("MatMul", [tensor, filters], operator.name, shape)
        tensor = self._scaled(operator, tensor)
        target = self.network.output_of(operator).shape
        if target != shape:
            tensor = self._reshaped(operator, tensor, target)
            tensor = self._onnx_order(operator, tensor, target)
        return tensor

    def _weights(self, operator: Filtered, weights: NDArray) -> str:
        values = np.ascontiguousarray(weights, np.float32)
        if operator.is_binary:
            return self.quantizers.weights(self.writer, operator.name, values)
        return self.writer.constant(f"{operator.name}_weights", values)

    def _scaled(self, operator: Filtered, tensor: str) -> str:
        if operator.scale is not None:
            tensor = self._by_channel(operator, "Mul", tensor, operator.scale)
        if operator.bias is not None and operator.bias.any():
            tensor = self._by_channel(operator, "Add", tensor, operator.bias)
        return self._clamp(operator, tensor, operator.activation)

    def _by_channel(self, operator: Operator, kind: str, tensor: str, values: NDArray) -> str:
        shape = self.writer.shapes[tensor]
        column = (-1, 1, 1) if len(shape) == 4 else (-1,)
        name = f"{operator.name}_{kind.lower()}"
        constant = self.writer.constant(f"{name}_by", values.reshape(column))
        return self.writer.node(kind, [tensor, constant], name, shape)

    # --- images

    def _pool(self, operator: BinaryMaxPool | Pool) -> str:
        average = isinstance(operator, Pool) and operator.kind == "average"
        attributes = _attributes(operator.window)
        dilations = attributes.pop("dilations")
        if dilations != [1, 1]:
            raise refusal(operator, "it pools with dilation")
        if average:
            attributes["count_include_pad"] = 0
        kind = "AveragePool" if average else "MaxPool"
        tensor = self._node(operator, kind, [self._input(operator)], **attributes)
        activation = operator.activation if isinstance(operator, Pool) else "none"
        return self._clamp(operator, tensor, activation)

    def _pad_images(self, operator: Operator, tensor: str, window: Window, value: float) -> str:
        (top, bottom), (left, right) = window.pads
        batch, channels, height, width = self.writer.shapes[tensor]
        return self._padded(
            operator,
            tensor,
            [0, 0, top, left, 0, 0, bottom, right],
            value,
            (batch, channels, height + top + bottom, width + left + right),
        )

    def _pad(self, operator: Pad) -> str:
        pads = operator.pads
        if len(pads) == 4:
            pads = tuple(pads[axis] for axis in _TO_FIRST)
        amounts = [before for before, _ in pads] + [after for _, after in pads]
        tensor = self._input(operator)
        return self._padded(operator, tensor, amounts, operator.value, self._shape(operator))

    def _padded(
        self, operator: Operator, tensor: str, pads: list[int], value: float, shape: Sequence[int]
    ) -> str:
        name = f"{operator.name}_pad"
        amounts = self.writer.constant(f"{name}_amounts", pads, np.int64)
        outside = self.writer.constant(f"{name}_value", value)
        return self.writer.node("Pad", [tensor, amounts, outside], name, shape, mode="constant")

    # --- numbers

    def _unary(self, operator: Unary) -> str:
        tensor = self._input(operator)
        if operator.op in _CLAMPS:
            return self._clamp(operator, tensor, _CLAMPS[operator.op])
        if operator.op == "LEAKY_RELU":
            return self._node(operator, "LeakyRelu", [tensor], alpha=operator.alpha)
        if operator.op == "HARD_SWISH":
            # ONNX has it from opset 14 on: x·max(0, min(1, x/6 + 1/2)).
            gate = self._node(operator, "HardSigmoid", [tensor], alpha=1 / 6, beta=0.5)
            return self._node(operator, "Mul", [tensor, gate])
        if operator.op not in _UNARY:
            raise refusal(operator, "it has no counterpart among the exported operators")
        return self._node(operator, _UNARY[operator.op], [tensor])

    def _softmax(self, operator: Softmax) -> str:
        tensor = self._input(operator)
        if operator.beta != 1:
            beta = self.writer.constant(f"{operator.name}_beta", operator.beta)
            tensor = self._node(operator, "Mul", [tensor, beta])
        axis = 1 if len(self._shape(operator)) == 4 else -1
        return self._node(operator, "Softmax", [tensor], axis=axis)

    def _mean(self, operator: Mean) -> str:
        source = self.network.input_of(operator).shape
        axes, tensor = operator.axes, self._input(operator)
        if len(source) == 4 and (operator.keep_dims or axes == (1, 2)):
            axes = tuple(_TO_FIRST.index(axis) for axis in axes)
        elif len(source) == 4:
            tensor = self._file_order(operator, tensor, source)
        return self._node(
            operator, "ReduceMean", [tensor], axes=sorted(axes), keepdims=int(operator.keep_dims)
        )

    def _concat(self, operator: Concat) -> str:
        axis = operator.axis
        if len(self._shape(operator)) == 4:
            axis = _TO_FIRST.index(axis)
        parts = [self._operand(operator, index) for index in operator.inputs]
        tensor = self._node(operator, "Concat", parts, axis=axis)
        return self._clamp(operator, tensor, operator.activation)

    def _reshape(self, operator: Reshape) -> str:
        source = self.network.input_of(operator).shape
        target = self.network.output_of(operator).shape
        tensor = self._file_order(operator, self._input(operator), source)
        tensor = self._reshaped(operator, tensor, target)
        return self._onnx_order(operator, tensor, target)

    def _file_order(self, operator: Operator, tensor: str, shape: Sequence[int]) -> str:
        """An image's numbers in the file's order, `[N, H, W, C]`; anything else as it is."""
        if len(shape) != 4:
            return tensor
        if _is_flat(shape):
            return self._reshaped(operator, tensor, shape)
        name = f"{operator.name}_channels_last"
        return self.writer.node("Transpose", [tensor], name, shape, perm=_TO_LAST)

    def _onnx_order(self, operator: Operator, tensor: str, shape: Sequence[int]) -> str:
        """The inverse of `_file_order`."""
        if len(shape) != 4:
            return tensor
        if _is_flat(shape):
            return self._reshaped(operator, tensor, _first(shape))
        name = f"{operator.name}_channels_first"
        return self.writer.node("Transpose", [tensor], name, _first(shape), perm=_TO_FIRST)

    def _reshaped(self, operator: Operator, tensor: str, shape: Sequence[int]) -> str:
        if self.writer.shapes[tensor] == tuple(shape):
            return tensor
        sizes = "x".join(map(str, shape))
        target = self.writer.constant(f"shape_{sizes}", list(shape), np.int64)
        return self.writer.node("Reshape", [tensor, target], f"{operator.name}_reshape", shape)

    def _clamp(self, operator: Operator, tensor: str, activation: Activation) -> str:
        if activation == "none":
            return tensor
        shape, name = self.writer.shapes[tensor], f"{operator.name}_{activation}"
        if activation == "relu":
            return self.writer.node("Relu", [tensor], name, shape)
        limits = [
            self.writer.constant(f"{activation}_{word}", value)
            for word, value in zip(("least", "most"), ACTIVATION_RANGES[activation], strict=True)
        ]
        return self.writer.node("Clip", [tensor, *limits], name, shape)

    # --- tensors

    def _node(self, operator: Operator, kind: str, inputs: list[str], **attributes: Any) -> str:
        return self.writer.node(kind, inputs, operator.name, self._shape(operator), **attributes)

    def _shape(self, operator: Operator) -> tuple[int, ...]:
        return _first(self.network.output_of(operator).shape)

    def _input(self, operator: Operator) -> str:
        return self._tensor(operator.inputs[0])

    def _tensor(self, index: int) -> str:
        value = self.network.values[index]
        if index not in self.tensors and value.constant is not None:
            array = value.constant
            array = array.transpose(_TO_FIRST) if array.ndim == 4 else array
            self.tensors[index] = self.writer.constant(value.name, array)
        return self.tensors[index]

    def _operand(self, operator: Operator, index: int) -> str:
        """An operand, of the same rank as the result."""
        value, rank = self.network.values[index], len(self._shape(operator))
        if value.constant is not None:
            name = f"{operator.name}_operand"
            return self.writer.constant(name, self._aligned(operator, value.constant))
        if len(value.shape) not in (rank, 0):
            raise refusal(operator, "it joins tensors of different ranks")
        return self._tensor(index)

    def _aligned(self, operator: Operator, constant: NDArray) -> NDArray[np.float32]:
        """A constant that broadcasts to the operator's output in ONNX's order."""
        rank = len(self._shape(operator))
        array = np.asarray(constant, np.float32)
        if rank != 4 or array.ndim == 0:
            return array
        return array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(_TO_FIRST)


def _first(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape in ONNX's order."""
    return tuple(shape[axis] for axis in _TO_FIRST) if len(shape) == 4 else tuple(shape)


def _is_flat(shape: Sequence[int]) -> bool:
    """Whether an image has the same order of numbers in both layouts."""
    return shape[3] == 1 or shape[1] * shape[2] == 1


def _attributes(window: Window) -> dict:
    (top, bottom), (left, right) = window.pads
    return {
        "kernel_shape": list(window.size),
        "strides": list(window.strides),
        "dilations": list(window.dilations),
        "pads": [top, left, bottom, right],
    }
