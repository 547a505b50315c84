"""The float operations behind a layer's sums, step by step."""

import numpy as np
from numpy.typing import NDArray

from convert.targets.network import (
    ACTIVATION_RANGES,
    Conv,
    Dense,
    Elementwise,
    Network,
    Operator,
    Prelu,
    Unary,
)
from convert.targets.refusals import refusal
from convert.targets.thresholds.network import FloatStep
from convert.tflite.scales import has_binary_rows, row_scales


def signs_and_scales(
    operator: Conv | Dense,
) -> tuple[NDArray[np.int8], NDArray[np.float32] | None]:
    """Weights as ±1, and the magnitude of each output channel where the file has it in them.

    Small filters stay float in a file: ±r[o], which a normalisation may have turned round.
    """
    weights = operator.weights
    if weights.dtype == np.float32 and (operator.is_binary or has_binary_rows(weights)):
        scales = None if operator.is_binary else row_scales(weights)
        return np.where(weights < 0, -1, 1).astype(np.int8), scales
    raise refusal(
        operator,
        "its weights are not ±1",
        "give the layer a kernel_quantizer; it may keep real inputs",
    )


def folded_bias(
    fan_in: int, multiplier: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float32]:
    """K·m + b in double, rounded once, as LCE folds it."""
    return (float(fan_in) * multiplier.astype(np.float64) + bias).astype(np.float32)


def each_channel(value: float, channels: int) -> NDArray[np.float32]:
    """One value for every channel."""
    return np.full(channels, value, np.float32)


def clamp_steps(activation: str) -> list[FloatStep]:
    """A fused activation as a step; none for "none"."""
    if activation == "none":
        return []
    limits = ACTIVATION_RANGES[activation]  # type: ignore[index]
    return [FloatStep("clamp", np.array(limits, np.float32))]


_UNARY_CLAMPS = {"RELU": "relu", "RELU6": "relu6", "RELU_N1_TO_1": "relu_n1_to_1"}


def float_steps(network: Network, operator: Operator, channels: int) -> list[FloatStep]:
    """The float32 operations of an operator between a layer's sums and the next sign."""
    shape = network.output_of(operator).shape

    def each(constant: NDArray) -> NDArray[np.float32]:
        rows = np.broadcast_to(constant, shape).reshape(-1, channels)
        if (rows != rows[0]).any():
            raise refusal(operator, "its constants differ from pixel to pixel")
        return np.ascontiguousarray(rows[0], np.float32)

    match operator:
        case Unary() if operator.op in _UNARY_CLAMPS:
            return clamp_steps(_UNARY_CLAMPS[operator.op])
        case Prelu() if operator.alpha.dtype == np.float32 and (operator.alpha >= 0).all():
            return [FloatStep("prelu", each(operator.alpha))]
        case Elementwise() if operator.op in ("ADD", "SUB", "MUL"):
            places = [network.values[i].constant for i in operator.inputs]
            constant = next(value for value in places if value is not None)
            if operator.op == "SUB" and places[0] is not None:
                raise refusal(operator, "it subtracts from a constant", "negate and add instead")
            step = FloatStep(operator.op.lower(), each(constant))  # type: ignore[arg-type]
            return [step, *clamp_steps(operator.activation)]
    raise refusal(
        operator,
        "it stands between a layer and its sign without being monotone there",
        "use batch normalisation, ReLU, or PReLU with slopes of at least 0",
    )
