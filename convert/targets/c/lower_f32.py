"""Float operators → calls of kernels."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from convert.targets import network as n
from convert.targets.c.lowering import Lowering, clamps, images, number, window_fields
from convert.targets.c.program import Argument, Place, Scratch, Struct, elements
from convert.targets.network import Operator, Value, Window
from onebit import bits


def filtered_shapes(
    lowering: Lowering, operator: n.Filtered
) -> tuple[Window, tuple[int, ...], tuple[int, ...], int]:
    """The window, the shapes `[H, W, C]` of an image and its output, and how many images."""
    source, target = lowering.network.input_of(operator), lowering.network.output_of(operator)
    if isinstance(operator, n.Dense):
        depth, outputs = operator.weights.shape[1], operator.weights.shape[0]
        rows = math.prod(source.shape) // depth
        return Window((1, 1), (1, 1)), (1, rows, depth), (1, rows, outputs), 1
    if isinstance(operator, n.Conv | n.DepthwiseConv):
        return operator.window, source.shape[1:], target.shape[1:], source.shape[0]
    raise lowering.no_kernel(operator)


def filter_macs(operator: n.Filtered, target: Value) -> int:
    """Multiply-accumulates of a layer."""
    if isinstance(operator, n.DepthwiseConv):
        return math.prod(target.shape) * math.prod(operator.weights.shape[:2])
    return math.prod(target.shape) * math.prod(operator.weights.shape[1:])


def _filtered(lowering: Lowering, operator: n.Filtered) -> None:
    lowering.require(operator, ["float32"], "float32")
    if operator.weights.dtype != np.float32:
        raise lowering.no_kernel(operator, f"its weights are {operator.weights.dtype}")
    window, source, target, count = filtered_shapes(lowering, operator)
    depthwise = isinstance(operator, n.DepthwiseConv)
    fields: dict[str, Any] = {
        "window": window_fields(window, source, target),
        "groups": getattr(operator, "groups", 1),
    }
    if operator.bias is not None:
        fields["biases"] = lowering.constant("biases", "float", operator.bias.astype("<f4"))
    more: dict[str, Any] = {
        "batch": count,
        "macs": filter_macs(operator, lowering.value(operator.output)),
    }
    places: list[Argument] = [
        Place(operator.inputs[0], batch_step=math.prod(source)),
        lowering.output(operator, math.prod(target)),
    ]
    if operator.is_binary:
        weights = operator.weights
        if not depthwise:
            weights = weights.reshape(len(weights), -1)
            if math.prod((*source[:2], *window.size, fields["groups"])) > 1:
                more["scratch_bytes"] = 4 * weights.shape[1]
            places.append(Scratch("float"))
        fields["filters"] = lowering.constant("weights", "uint32_t", bits.pack(weights))
        if operator.scale is not None:
            fields["scales"] = lowering.constant("scales", "float", operator.scale)
        struct = Struct("onebit_signed_conv", fields | clamps(operator.activation))
        kernel = "signed_depthwise_f32" if depthwise else "signed_conv_f32"
        more["note"] = "±1 weights"
        lowering.call(operator, "onebit_signed_f32.c", kernel, struct, *places, **more)
        return
    if operator.scale is not None:
        raise lowering.no_kernel(operator)
    fields["filters"] = lowering.constant("weights", "float", operator.weights)
    struct = Struct("onebit_conv_f32_layer", fields | clamps(operator.activation))
    kernel = "depthwise_f32" if depthwise else "conv_f32"
    more["note"] = "float"
    lowering.call(operator, "onebit_f32.c", kernel, struct, *places, **more)


# --- Pools, means, softmax


def _pool(lowering: Lowering, operator: n.Pool) -> None:
    lowering.require(operator, ["float32"], "float32")
    count, step_in, step_out = lowering.batch(operator)
    lowering.call(
        operator,
        "onebit_f32.c",
        f"{operator.kind}_pool_f32",
        Struct("onebit_window", images(lowering, operator, operator.window)),
        Place(operator.inputs[0], batch_step=step_in),
        lowering.output(operator, step_out),
        *clamps(operator.activation).values(),
        batch=count,
    )


def mean_sizes(lowering: Lowering, operator: n.Mean) -> list[int]:
    """How many numbers stand before, within and behind the axes that a mean is over."""
    shape = lowering.network.input_of(operator).shape
    long = [axis for axis, size in enumerate(shape) if size > 1]
    axes = [axis for axis in operator.axes if axis in long] or list(operator.axes[:1])
    between = [axis for axis in long if axes[0] < axis < axes[-1]]
    if any(axis not in axes for axis in between):
        raise lowering.no_kernel(operator, "its axes are not side by side")
    parts = shape[: axes[0]], shape[axes[0] : axes[-1] + 1], shape[axes[-1] + 1 :]
    return [math.prod(part) for part in parts]


def _mean(lowering: Lowering, operator: n.Mean) -> None:
    lowering.require(operator, ["float32"], "float32")
    sizes = map(str, mean_sizes(lowering, operator))
    places = Place(operator.inputs[0]), lowering.output(operator)
    lowering.call(operator, "onebit_f32.c", "mean_f32", *places, *sizes)


def _softmax(lowering: Lowering, operator: n.Softmax) -> None:
    lowering.require(operator, ["float32"], "float32")
    shape = lowering.network.input_of(operator).shape
    sizes = str(math.prod(shape[:-1])), str(shape[-1])
    places = Place(operator.inputs[0]), lowering.output(operator)
    arguments = (*places, *sizes, number(operator.beta))
    lowering.call(operator, "onebit_exp.c", "softmax_f32", *arguments, works_in_place=True)


# --- Element by element


def broadcast_fields(
    lowering: Lowering, operator: Operator, a: Sequence[int], b: Sequence[int]
) -> dict[str, list[int]]:
    """The fields of `onebit_broadcast`: neighbouring dimensions that repeat alike are joined."""
    rank = max(len(a), len(b))
    shapes = [(1,) * (rank - len(s)) + tuple(s) for s in (a, b)]
    joined: list[tuple[int, bool, bool]] = []  # size, whether a and b run along
    for x, y in zip(*shapes, strict=True):
        size = max(x, y)
        if size == 1:
            continue
        runs = (x == size, y == size)
        if joined and joined[-1][1:] == runs:
            joined[-1] = (joined[-1][0] * size, *runs)
        else:
            joined.append((size, *runs))
    if len(joined) > 4:
        raise lowering.no_kernel(operator, "its operands repeat in too many dimensions")
    joined = [(1, True, True)] * (4 - len(joined)) + joined
    fields: dict[str, list[int]] = {"size": [size for size, *_ in joined]}
    for position, key in ((1, "a"), (2, "b")):
        stride, strides = 1, [0] * 4
        for d in range(3, -1, -1):
            if joined[d][position]:
                strides[d] = stride
                stride *= joined[d][0]
        fields[key] = strides
    return fields


def _elementwise(lowering: Lowering, operator: n.Elementwise) -> None:
    lowering.require(operator, ["float32", "float32"], "float32")
    a, b = (lowering.value(i) for i in operator.inputs)
    target = lowering.value(operator.output)
    lowering.call(
        operator,
        "onebit_elementwise.c",
        "elementwise_f32",
        f"ONEBIT_{operator.op}",
        Struct("onebit_broadcast", broadcast_fields(lowering, operator, a.shape, b.shape)),
        lowering.operand(a.index),
        lowering.operand(b.index),
        lowering.output(operator),
        *clamps(operator.activation).values(),
        works_in_place=a.shape == target.shape and a.index != b.index,
    )


def _prelu(lowering: Lowering, operator: n.Prelu) -> None:
    lowering.require(operator, ["float32"], "float32")
    source = lowering.network.input_of(operator)
    fields = broadcast_fields(lowering, operator, source.shape, operator.alpha.shape)
    lowering.call(
        operator,
        "onebit_elementwise.c",
        "elementwise_f32",
        "ONEBIT_PRELU",
        Struct("onebit_broadcast", fields),
        Place(source.index),
        lowering.constant("slopes", "float", operator.alpha.astype("<f4")),
        lowering.output(operator),
        "-INFINITY",
        "INFINITY",
        works_in_place=True,
    )


_CLAMPS = {
    "RELU": (0.0, np.inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU_0_TO_1": (0.0, 1.0),
}
_UNARY = {"LEAKY_RELU": "ONEBIT_LEAKY_RELU", "HARD_SWISH": "ONEBIT_HARD_SWISH"}
_EXPONENTIAL = {"LOGISTIC": "ONEBIT_LOGISTIC", "TANH": "ONEBIT_TANH", "EXP": "ONEBIT_EXP"}


def _unary(lowering: Lowering, operator: n.Unary) -> None:
    lowering.require(operator, ["float32"], "float32")
    source = lowering.network.input_of(operator)
    arguments: list[Argument] = [
        Place(source.index),
        lowering.output(operator),
        str(elements(source)),
    ]
    if operator.op in _EXPONENTIAL:
        kind, file, kernel = _EXPONENTIAL[operator.op], "onebit_exp.c", "exponential_f32"
    else:
        kind, file, kernel = "ONEBIT_CLAMP", "onebit_elementwise.c", "unary_f32"
        low, high = _CLAMPS.get(operator.op, (operator.alpha, 0.0))
        arguments += [number(low), number(high)]
        if operator.op not in _CLAMPS:
            if operator.op not in _UNARY:
                raise lowering.no_kernel(operator)
            kind = _UNARY[operator.op]
    lowering.call(operator, file, kernel, kind, *arguments, works_in_place=True)


def _rescale(lowering: Lowering, operator: n.Rescale) -> None:
    source, target = lowering.network.input_of(operator), lowering.network.output_of(operator)
    kernel = {
        ("float32", "int8"): ("quantize_s8", target),
        ("int8", "float32"): ("dequantize_s8", source),
        ("uint8", "float32"): ("dequantize_u8", source),
    }.get((source.dtype, target.dtype))
    if kernel is None or kernel[1].quantization is None:
        raise lowering.no_kernel(operator)
    quantization = kernel[1].quantization
    lowering.call(
        operator,
        "onebit_elementwise.c",
        kernel[0],
        Place(source.index),
        lowering.output(operator),
        str(elements(source)),
        number(float(quantization.scale[0])),
        str(int(quantization.zero_point[0])),
    )


FLOAT_KERNELS: dict[type[Operator], Callable[..., None]] = {
    n.Conv: _filtered,
    n.DepthwiseConv: _filtered,
    n.Dense: _filtered,
    n.Pool: _pool,
    n.Elementwise: _elementwise,
    n.Prelu: _prelu,
    n.Unary: _unary,
    n.Softmax: _softmax,
    n.Mean: _mean,
    n.Rescale: _rescale,
}
