"""Tensors of an ONNX file that stand for the values of a network, in ONNX's order."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.targets.network import (
    ACTIVATION_RANGES,
    Activation,
    Network,
    Operator,
    Window,
)
from convert.targets.qonnx.onnx_writer import OnnxWriter
from convert.targets.qonnx.quantizers import Quantizers
from convert.targets.reading import real_values
from convert.targets.refusals import refusal

TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
"""Axes of an image in ONNX's order and in the file's."""


class Writing:
    """A network that is written; `tensors` are the ONNX names of its values.

    Every tensor of rank 4 is `[N, C, H, W]`; `operator`s are named after their layers.
    """

    def __init__(self, network: Network, quantizers: Quantizers, writer: OnnxWriter) -> None:
        self.network, self.quantizers, self.writer = network, quantizers, writer
        self.tensors: dict[int, str] = {}

    def _rounded(self, index: int, tensor: str, name: str) -> str:
        """The tensor as the int8 numbers of a value; that of other values as it is."""
        value = self.network.values[index]
        if value.dtype != "int8":
            return tensor
        if value.quantization is None:
            raise refusal(name, f"{value.name} is int8 without a scale")
        shape = self.writer.shapes[tensor]
        return self.quantizers.integers(
            self.writer, tensor, f"{name}_quant", shape, value.quantization
        )

    def _by_channel(self, operator: Operator, kind: str, tensor: str, values: NDArray) -> str:
        shape = self.writer.shapes[tensor]
        column = (-1, 1, 1) if len(shape) == 4 else (-1,)
        name = f"{operator.name}_{kind.lower()}"
        constant = self.writer.constant(f"{name}_by", values.reshape(column))
        return self.writer.node(kind, [tensor, constant], name, shape)

    def _clamp(
        self, operator: Operator, tensor: str, activation: Activation, *, is_sum: bool = False
    ) -> str:
        """The tensor within the activation's range; `is_sum` says that it is scaled only then."""
        if activation == "none":
            return tensor
        shape, name = self.writer.shapes[tensor], f"{operator.name}_{activation}"
        if activation == "relu":
            return self.writer.node("Relu", [tensor], name, shape)
        limits = np.array(ACTIVATION_RANGES[activation], np.float32)
        steps = self.network.output_of(operator).quantization
        if steps is not None and not is_sum:
            # TensorFlow Lite clamps integers, at limits that are rounded half away from zero.
            counts = limits / steps.scale
            limits = np.copysign(np.floor(np.abs(counts) + 0.5), counts) * steps.scale
        ends = [
            self.writer.constant(f"{activation}_{word}", value)
            for word, value in zip(("least", "most"), limits, strict=True)
        ]
        return self.writer.node("Clip", [tensor, *ends], name, shape)

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

    def _padded(
        self, operator: Operator, tensor: str, pads: list[int], value: float, shape: Sequence[int]
    ) -> str:
        name = f"{operator.name}_pad"
        amounts = self.writer.constant(f"{name}_amounts", pads, np.int64)
        outside = self.writer.constant(f"{name}_value", value)
        return self.writer.node("Pad", [tensor, amounts, outside], name, shape, mode="constant")

    def _file_order(self, operator: Operator, tensor: str, shape: Sequence[int]) -> str:
        """An image's numbers in the file's order, `[N, H, W, C]`; anything else as it is."""
        if len(shape) != 4:
            return tensor
        if _is_flat(shape):
            return self._reshaped(operator, tensor, shape)
        name = f"{operator.name}_channels_last"
        return self.writer.node("Transpose", [tensor], name, shape, perm=TO_LAST)

    def _onnx_order(self, operator: Operator, tensor: str, shape: Sequence[int]) -> str:
        """The inverse of `_file_order`."""
        if len(shape) != 4:
            return tensor
        if _is_flat(shape):
            return self._reshaped(operator, tensor, first(shape))
        name = f"{operator.name}_channels_first"
        return self.writer.node("Transpose", [tensor], name, first(shape), perm=TO_FIRST)

    def _reshaped(self, operator: Operator, tensor: str, shape: Sequence[int]) -> str:
        if self.writer.shapes[tensor] == tuple(shape):
            return tensor
        sizes = "x".join(map(str, shape))
        target = self.writer.constant(f"shape_{sizes}", list(shape), np.int64)
        return self.writer.node("Reshape", [tensor, target], f"{operator.name}_reshape", shape)

    def _node(self, operator: Operator, kind: str, inputs: list[str], **attributes: Any) -> str:
        return self.writer.node(kind, inputs, operator.name, self._shape(operator), **attributes)

    def _shape(self, operator: Operator) -> tuple[int, ...]:
        return first(self.network.output_of(operator).shape)

    def _input(self, operator: Operator) -> str:
        return self._tensor(operator.inputs[0])

    def _tensor(self, index: int) -> str:
        value = self.network.values[index]
        if index not in self.tensors and value.constant is not None:
            array = real_values(value.constant, value.quantization)
            array = array.transpose(TO_FIRST) if array.ndim == 4 else array
            self.tensors[index] = self.writer.constant(value.name, array)
        return self.tensors[index]

    def _operand(self, operator: Operator, index: int) -> str:
        """An operand, of the same rank as the result."""
        value, rank = self.network.values[index], len(self._shape(operator))
        if value.constant is not None:
            name = f"{operator.name}_operand"
            constant = real_values(value.constant, value.quantization)
            return self.writer.constant(name, self._aligned(operator, constant))
        if len(value.shape) not in (rank, 0):
            raise refusal(operator, "it joins tensors of different ranks")
        return self._tensor(index)

    def _aligned(self, operator: Operator, constant: NDArray) -> NDArray[np.float32]:
        """A constant that broadcasts to the operator's output in ONNX's order."""
        rank = len(self._shape(operator))
        array = np.asarray(constant, np.float32)
        if rank != 4 or array.ndim == 0:
            return array
        return array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(TO_FIRST)


def first(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape in ONNX's order."""
    return tuple(shape[axis] for axis in TO_FIRST) if len(shape) == 4 else tuple(shape)


def _is_flat(shape: Sequence[int]) -> bool:
    """Whether an image has the same order of numbers in both layouts."""
    return shape[3] == 1 or shape[1] * shape[2] == 1


def window_attributes(window: Window) -> dict:
    """The attributes of an ONNX operator with a window."""
    (top, bottom), (left, right) = window.pads
    return {
        "kernel_shape": list(window.size),
        "strides": list(window.strides),
        "dilations": list(window.dilations),
        "pads": [top, left, bottom, right],
    }
