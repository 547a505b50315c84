"""The state of a lowering: the network, the constants so far, and the calls so far."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.targets import network as n
from convert.targets.c.program import C_TYPES, Argument, Call, Constant, Place, Program, elements
from convert.targets.network import ACTIVATION_RANGES, Network, Operator, Value, Window


def refusal(name: str, reason: str, hint: str | None) -> ConversionError:
    """The error of a layer that cannot be written."""
    return ConversionError(
        f"{name} cannot be written as C: {reason}", hint=hint, reason="no-kernel"
    )


class Lowering:
    """Collects the calls of a network's operators; int8 layers may be CMSIS-NN's."""

    def __init__(self, network: Network, cmsis_nn: bool = False) -> None:
        self.network, self.cmsis_nn = network, cmsis_nn
        self.program = Program(network)
        self.known: dict[tuple[str, bytes], Constant] = {}

    def no_kernel(self, operator: Operator, what: str | None = None) -> ConversionError:
        """The refusal of an operator, for the types that it has."""
        types = [self.value(i).dtype for i in (*operator.inputs, operator.output)]
        reason = (
            what or f"there is no kernel for {operator.op} of {', '.join(dict.fromkeys(types))}"
        )
        return refusal(operator.name, reason, "leave the layer out, or run it on the host")

    def value(self, index: int) -> Value:
        """A value by its index."""
        return self.network.values[index]

    def require(self, operator: Operator, inputs: Sequence[str], output: str) -> None:
        """Refuses other types than a kernel has."""
        found = [self.value(i).dtype for i in operator.inputs]
        if found != list(inputs) or self.value(operator.output).dtype != output:
            raise self.no_kernel(operator)

    def constant(self, label: str, c_type: str, values: NDArray[Any]) -> Constant:
        """An array in flash; equal ones are stored once."""
        flat = np.ascontiguousarray(values).reshape(-1)
        key = c_type, flat.tobytes()
        if key not in self.known:
            self.known[key] = Constant(f"{label}_{len(self.known)}", c_type, flat)
        return self.known[key]

    def operand(self, index: int, batch_step: int = 0) -> Argument:
        """A value that is read: in memory, or in flash."""
        value = self.value(index)
        if value.constant is None:
            return Place(index, batch_step=batch_step)
        return self.constant("value", C_TYPES[value.dtype], value.constant)

    def call(
        self, operator: Operator, file: str, kernel: str, *arguments: Argument, **more: Any
    ) -> None:
        """Adds a call that computes the operator's output."""
        reads = tuple(i for i in operator.inputs if self.value(i).constant is None)
        name, output = operator.name, operator.output
        self.program.calls.append(
            Call(name, f"onebit_{kernel}", list(arguments), reads, output, file, **more)
        )

    def output(self, operator: Operator, batch_step: int = 0) -> Place:
        """The memory that an operator writes."""
        return Place(operator.output, is_written=True, batch_step=batch_step)

    def batch(self, operator: Operator) -> tuple[int, int, int]:
        """The number of images, and the elements of one in the input and in the output."""
        source, target = self.value(operator.inputs[0]), self.value(operator.output)
        count = source.shape[0]
        return count, elements(source) // count, elements(target) // count


def window_fields(window: Window, source: Sequence[int], target: Sequence[int]) -> dict[str, Any]:
    """The fields of `onebit_window` for images of shapes `[H, W, C]`."""
    return {
        "in_h": source[0],
        "in_w": source[1],
        "in_c": source[2],
        "out_h": target[0],
        "out_w": target[1],
        "out_c": target[2],
        "kernel_h": window.size[0],
        "kernel_w": window.size[1],
        "stride_h": window.strides[0],
        "stride_w": window.strides[1],
        "dilation_h": window.dilations[0],
        "dilation_w": window.dilations[1],
        "pad_top": window.pads[0][0],
        "pad_left": window.pads[1][0],
    }


def number(value: float) -> str:
    """A float32 in C."""
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = np.format_float_scientific(np.float32(value), unique=True, trim="0")
    return f"{text}f"


def clamps(activation: n.Activation) -> dict[str, str]:
    """The fields of a fused activation."""
    low, high = ACTIVATION_RANGES[activation]
    return {"clamp_min": number(low), "clamp_max": number(high)}


def images(lowering: Lowering, operator: Operator, window: Window) -> dict[str, Any]:
    """The fields of `onebit_window` for an operator's input and output `[N, H, W, C]`."""
    source, target = lowering.value(operator.inputs[0]), lowering.value(operator.output)
    return window_fields(window, source.shape[1:], target.shape[1:])
