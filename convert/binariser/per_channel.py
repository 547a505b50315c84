"""Operators that multiply or add one constant per channel."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.tflite.graph import Graph


@dataclass(frozen=True)
class PerChannel:
    """`activation(x·multiplier + offset)`, one of each per channel `[C]`."""

    multiplier: NDArray[np.float32]
    offset: NDArray[np.float32]
    activation: int


def per_channel(graph: Graph, op: Any, data: int) -> PerChannel | None:
    """The multiplier and offset of an ADD, SUB, MUL or DIV of `[…, C]`; None for other operators.

    Args:
        graph: The file.
        op: The operator, which reads the tensor.
        data: The tensor.
    """
    name, inputs = graph.op_name(op), graph.inputs(op)
    if name not in ("ADD", "DIV", "MUL", "SUB") or inputs.count(data) != 1:
        return None
    first = inputs[0] == data
    operand = graph.constant(inputs[1] if first else inputs[0])
    shape = graph.shape(data)
    if not shape:
        return None
    channels = shape[-1]
    if operand is None or operand.dtype != np.float32 or operand.size not in (1, channels):
        return None
    if operand.size > 1 and operand.shape[-1] != channels:
        return None
    if graph.shape(graph.outputs(op)[0]) != shape or (name == "DIV" and not first):
        return None
    values = np.broadcast_to(operand.reshape(-1), [channels])
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    activation = op.builtinOptions.fusedActivationFunction
    if name == "MUL":
        return PerChannel(values, zeros, activation)
    if name == "DIV":
        with np.errstate(divide="ignore"):
            return PerChannel(ones / values, zeros, activation)
    if name == "ADD":
        return PerChannel(ones, values, activation)
    return PerChannel(ones, -values, activation) if first else PerChannel(-ones, values, activation)
