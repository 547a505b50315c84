"""int8 operators → calls of kernels, with the factors as TensorFlow Lite computes them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.targets import network as n
from convert.targets.c.lower_f32 import broadcast_fields, filter_macs, filtered_shapes, mean_sizes
from convert.targets.c.lowering import Lowering, images, number, window_fields
from convert.targets.c.program import Place, Scratch, Struct, elements
from convert.targets.network import ACTIVATION_RANGES, Operator, Quantization, Value


def _quantization(lowering: Lowering, operator: Operator, value: Value) -> Quantization:
    if value.dtype != "int8" or value.quantization is None:
        raise lowering.no_kernel(operator)
    return value.quantization


def _scale(quantization: Quantization) -> float:
    return float(quantization.scale[0])


def _zero(quantization: Quantization) -> int:
    return int(quantization.zero_point[0])


def factors_of(real: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Multipliers in [2^30, 2^31) and shifts with `real = multiplier / 2^31 · 2^shift`."""
    mantissa, shift = np.frexp(real)
    multiplier = np.round(mantissa * 2.0**31).astype(np.int64)
    full = multiplier == 1 << 31
    multiplier, shift = (
        np.where(full, multiplier // 2, multiplier),
        np.where(full, shift + 1, shift),
    )
    tiny = shift < -31
    return np.where(tiny, 0, multiplier).astype("<i4"), np.where(tiny, 0, shift).astype("<i4")


def _factor(real: float) -> dict[str, int]:
    multiplier, shift = factors_of(np.array(real))
    return {"multiplier": int(multiplier), "shift": int(shift)}


def _clamps(activation: n.Activation, output: Quantization) -> dict[str, int]:
    scale, zero = _scale(output), _zero(output)
    low, high = ACTIVATION_RANGES[activation]

    def quantized(value: float, bound: int) -> int:
        # As TensorFlow Lite: rounded half away from zero, in float32.
        if math.isinf(value):
            return bound
        steps = float(np.float32(value) / np.float32(scale))
        return zero + int(math.copysign(math.floor(abs(steps) + 0.5), steps))

    return {
        "clamp_min": max(-128, quantized(low, -128)),
        "clamp_max": min(127, quantized(high, 127)),
    }


def _filtered(lowering: Lowering, operator: n.Filtered) -> None:
    source, target = lowering.network.input_of(operator), lowering.network.output_of(operator)
    read, written = (_quantization(lowering, operator, value) for value in (source, target))
    weights, of_weights = operator.weights, operator.weight_quantization
    if weights.dtype != np.int8 or of_weights is None or of_weights.zero_point.any():
        raise lowering.no_kernel(operator)
    window, shape_in, shape_out, count = filtered_shapes(lowering, operator)
    outputs = shape_out[2]
    real = float(read.scale[0]) * of_weights.scale.astype(np.float64) / float(written.scale[0])
    multipliers, shifts = factors_of(np.broadcast_to(real, (outputs,)))
    bias = np.zeros(outputs, np.int32) if operator.bias is None else operator.bias
    if bias.dtype != np.int32:
        raise lowering.no_kernel(operator)
    pairs = np.stack([multipliers, shifts], 1)
    fields: dict[str, Any] = {
        "window": window_fields(window, shape_in, shape_out),
        "groups": getattr(operator, "groups", 1),
        "filters": lowering.constant("weights", "int8_t", weights),
        "biases": lowering.constant("biases", "int32_t", bias.astype("<i4")),
        "factors": lowering.constant("factors", "onebit_factor", pairs),
        "zero_point_in": _zero(read),
        "zero_point_out": _zero(written),
        **_clamps(operator.activation, written),
    }
    is_depthwise = isinstance(operator, n.DepthwiseConv)
    column = -(-math.prod(weights.shape[1:]) // 2) * 2  # whole words of 16-bit numbers
    kernel, c_type = ("depthwise_s8", "int32_t") if is_depthwise else ("conv_s8", "int16_t")
    scratch = 4 * outputs if is_depthwise else 2 * column * min(2, shape_out[1])
    file, more = "onebit_s8.c", []
    if lowering.cmsis_nn:
        taps = math.prod(weights.shape[1:])
        kernel, c_type, file = kernel.replace("_s8", "_cmsis_nn"), "int32_t", "onebit_cmsis_nn.c"
        # What CMSIS-NN asks for beside multipliers and shifts: with DSP, or with MVE.
        theirs = 4 * 16 * -(-taps // 16)
        if is_depthwise:
            theirs = 2 * shape_in[2] * math.prod(window.size)
        scratch = max(scratch, 8 * outputs + theirs)
        more = [str(scratch)]
    lowering.call(
        operator,
        file,
        kernel,
        Struct("onebit_conv_s8_layer", fields),
        Place(source.index, batch_step=math.prod(shape_in)),
        lowering.output(operator, math.prod(shape_out)),
        Scratch(c_type),
        *more,
        batch=count,
        scratch_bytes=scratch,
        macs=filter_macs(operator, target),
        note="int8",
    )


def _pool(lowering: Lowering, operator: n.Pool) -> None:
    source, target = lowering.network.input_of(operator), lowering.network.output_of(operator)
    written = _quantization(lowering, operator, target)
    read = _quantization(lowering, operator, source)
    if (_scale(read), _zero(read)) != (_scale(written), _zero(written)):
        raise lowering.no_kernel(operator, "its output has another scale than its input")
    count, step_in, step_out = lowering.batch(operator)
    lowering.call(
        operator,
        "onebit_s8.c",
        f"{operator.kind}_pool_s8",
        Struct("onebit_window", images(lowering, operator, operator.window)),
        Place(source.index, batch_step=step_in),
        lowering.output(operator, step_out),
        *map(str, _clamps(operator.activation, written).values()),
        batch=count,
    )


def _mean(lowering: Lowering, operator: n.Mean) -> None:
    source, target = lowering.network.input_of(operator), lowering.network.output_of(operator)
    read, written = (_quantization(lowering, operator, value) for value in (source, target))
    outer, middle, inner = mean_sizes(lowering, operator)
    multiplier, shift = (int(p) for p in factors_of(np.array(_scale(read) / _scale(written))))
    # The division by the count is in the multiplier, which is not normalised again.
    more = min(middle.bit_length() - 1, 32, 31 + shift)
    factor = f"(onebit_factor){{{(multiplier << more) // middle}, {shift - more}}}"
    lowering.call(
        operator,
        "onebit_s8.c",
        "mean_s8",
        Place(source.index),
        lowering.output(operator),
        *map(str, (outer, middle, inner, _zero(read), _zero(written))),
        factor,
    )


def _elementwise(lowering: Lowering, operator: n.Elementwise) -> None:
    a, b = (lowering.value(i) for i in operator.inputs)
    target = lowering.network.output_of(operator)
    left, right, out = (_quantization(lowering, operator, value) for value in (a, b, target))
    fields: dict[str, Any] = {
        "shape": broadcast_fields(lowering, operator, a.shape, b.shape),
        "kind": f"ONEBIT_{operator.op}",
        "zero_point_a": _zero(left),
        "zero_point_b": _zero(right),
        "zero_point_out": _zero(out),
        **_clamps(operator.activation, out),
    }
    if operator.op == "MUL":
        fields["factor_out"] = _factor(_scale(left) * _scale(right) / _scale(out))
    elif operator.op in ("ADD", "SUB"):
        twice = 2 * max(_scale(left), _scale(right))
        fields["factor_a"] = _factor(_scale(left) / twice)
        fields["factor_b"] = _factor(_scale(right) / twice)
        fields["factor_out"] = _factor(twice / (2.0**20 * _scale(out)))
    else:
        raise lowering.no_kernel(operator)
    lowering.call(
        operator,
        "onebit_s8.c",
        "elementwise_s8",
        Struct("onebit_elementwise_s8_layer", fields),
        lowering.operand(a.index),
        lowering.operand(b.index),
        lowering.output(operator),
        works_in_place=a.shape == target.shape and a.index != b.index,
    )


def _softmax(lowering: Lowering, operator: n.Softmax) -> None:
    source, target = lowering.network.input_of(operator), lowering.network.output_of(operator)
    read, written = (_quantization(lowering, operator, value) for value in (source, target))
    steps = -np.arange(256, dtype=np.float32) * np.float32(operator.beta) * read.scale[0]
    rows, channels = math.prod(source.shape[:-1]), source.shape[-1]
    lowering.call(
        operator,
        "onebit_s8.c",
        "softmax_s8",
        Place(source.index),
        lowering.output(operator),
        str(rows),
        str(channels),
        lowering.constant("exponentials", "float", np.exp(steps).astype("<f4")),
        number(_scale(written)),
        str(_zero(written)),
    )


def _rescaled(values: NDArray[np.int64], real: float) -> NDArray[np.int64]:
    """Integers times a factor, as `onebit_rescaled_away` rounds them."""
    multiplier, shift = (int(part) for part in factors_of(np.array(real)))
    product = values * (1 << max(shift, 0)) * multiplier
    high = np.sign(product) * ((np.abs(product) + (1 << 30) - (product < 0)) >> 31)
    high = np.where(product < 0, -((np.abs(product) - 1 + (1 << 30)) >> 31), high)
    if shift >= 0:
        return high
    return (high + (1 << (-shift - 1)) - (high < 0)) >> -shift


def _lookup_steps(
    lowering: Lowering, operator: Operator, read: Quantization, written: Quantization
) -> NDArray[Any]:
    """The output of each int8 input, in steps without the output's zero point."""
    centred = np.arange(-128, 128, dtype=np.int64) - _zero(read)
    ratio = _scale(read) / _scale(written)
    op = "QUANTIZE" if isinstance(operator, n.Rescale) else operator.op
    if op in _CLAMPS:
        # These are computed in float32.
        steps = centred.astype(np.float32) * (read.scale[0] / written.scale[0])
        low, high = (limit / _scale(written) for limit in _CLAMPS[op])
        return _rounded(np.clip(steps, low, high))
    if op == "LEAKY_RELU" and isinstance(operator, n.Unary):
        below = _rescaled(centred, operator.alpha * ratio)
        return np.where(centred < 0, below, _rescaled(centred, ratio))
    functions: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
        "QUANTIZE": lambda x: x,
        "LOGISTIC": lambda x: 1 / (1 + np.exp(-x)),
        "TANH": np.tanh,
    }
    if op not in functions:
        raise lowering.no_kernel(operator)
    return _rounded(functions[op](centred * _scale(read)) / _scale(written))


def _rounded(steps: NDArray[Any]) -> NDArray[Any]:
    """To the nearest, halves away from zero."""
    return np.copysign(np.floor(np.abs(steps) + 0.5), steps)


_CLAMPS = {"RELU": (0.0, np.inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}


def _lookup(lowering: Lowering, operator: Operator) -> None:
    """A function of one number as a table of its 256 values."""
    source, target = lowering.network.input_of(operator), lowering.network.output_of(operator)
    read, written = (_quantization(lowering, operator, value) for value in (source, target))
    steps = _lookup_steps(lowering, operator, read, written)
    table = np.clip(steps + _zero(written), -128, 127).astype(np.int8)
    lowering.call(
        operator,
        "onebit_s8.c",
        "lookup_s8",
        Place(source.index),
        lowering.output(operator),
        str(elements(source)),
        lowering.constant("table", "int8_t", table),
        works_in_place=True,
    )


INT8_KERNELS: dict[type[Operator], Callable[..., None]] = {
    n.Conv: _filtered,
    n.DepthwiseConv: _filtered,
    n.Dense: _filtered,
    n.Pool: _pool,
    n.Mean: _mean,
    n.Elementwise: _elementwise,
    n.Softmax: _softmax,
    n.Unary: _lookup,
    n.Rescale: _lookup,
}
