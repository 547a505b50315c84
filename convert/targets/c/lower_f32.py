"""Signs, binary layers and float operators → calls of kernels."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from convert.targets import network as n
from convert.targets.c.fuse import PixelLayer
from convert.targets.c.lowering import Lowering, clamps, images, number, window_fields
from convert.targets.c.pixels import PixelNumbers, PixelSigns
from convert.targets.c.program import (
    LIMIT,
    Argument,
    Call,
    Place,
    Scratch,
    Struct,
    elements,
    size_bytes,
)
from convert.targets.network import ACTIVATION_RANGES, Operator, Value, Window
from onebit import bits

# --- Signs


def _sign_bits(lowering: Lowering, operator: n.SignBits) -> None:
    source = lowering.network.input_of(operator)
    rows, channels = math.prod(source.shape[:-1]), source.shape[-1]
    arguments: list[Argument] = [
        Place(source.index),
        lowering.output(operator),
        str(rows),
        str(channels),
    ]
    if source.dtype == "float32":
        lowering.call(operator, "onebit_signs.c", "sign_bits_f32", *arguments)
    elif source.dtype == "bool":
        lowering.call(operator, "onebit_signs.c", "sign_bits_bool", *arguments)
    elif source.dtype == "int8" and source.quantization is not None:
        zero = str(int(source.quantization.zero_point[0]))
        lowering.call(operator, "onebit_signs.c", "sign_bits_s8", *arguments, zero)
    else:
        raise lowering.no_kernel(operator)


def _sign_values(lowering: Lowering, operator: n.SignValues) -> None:
    target = lowering.network.output_of(operator)
    rows, channels = math.prod(target.shape[:-1]), target.shape[-1]
    arguments: list[Argument] = [
        Place(operator.inputs[0]),
        lowering.output(operator),
        str(rows),
        str(channels),
    ]
    if target.dtype == "float32":
        lowering.call(operator, "onebit_signs.c", "sign_values_f32", *arguments)
        return
    positive, negative = 1, 0
    if target.dtype == "int8" and target.quantization is not None:
        scale, zero = target.quantization.scale[0], int(target.quantization.zero_point[0])
        one = int(np.floor(np.float32(1) / scale + np.float32(0.5)))
        positive, negative = (int(np.clip(zero + one * s, -128, 127)) & 255 for s in (1, -1))
    elif target.dtype != "bool":
        raise lowering.no_kernel(operator)
    lowering.call(
        operator, "onebit_signs.c", "sign_values_8", *arguments, str(positive), str(negative)
    )


def _binary_max_pool(lowering: Lowering, operator: n.BinaryMaxPool) -> None:
    count, step_in, step_out = lowering.batch(operator)
    window = Struct("onebit_window", images(lowering, operator, operator.window))
    lowering.call(
        operator,
        "onebit_signs.c",
        "max_pool_bits",
        window,
        Place(operator.inputs[0], batch_step=step_in),
        lowering.output(operator, step_out),
        batch=count,
    )


def _binary_conv(lowering: Lowering, operator: n.BinaryConv) -> None:
    count, step_in, step_out = lowering.batch(operator)
    target = lowering.network.output_of(operator)
    outputs, *kernel, depth = operator.weights.shape
    products = math.prod(kernel) * depth
    words = bits.packed_length(depth)
    fields: dict[str, Any] = {
        "window": images(lowering, operator, operator.window),
        "groups": operator.groups,
        "zero_padding": int(operator.pad_value == 0),
        "filters": lowering.constant("weights", "uint32_t", bits.pack(operator.weights)),
    }
    kind = {"bits": "bits", "float32": "f32", "int8": "s8"}.get(target.dtype)
    if kind is None:
        raise lowering.no_kernel(operator)
    if operator.thresholds is not None:
        # 2a lies within [0, 2K], so that limits beyond mean always or never.
        limits = np.clip(2 * operator.thresholds.astype(np.float64), -1, 2 * products)
        fields["limits"] = lowering.constant("limits", LIMIT, limits.astype(np.int32))
    else:
        fields |= _transform(lowering, operator, target, products)
    scratch = 4 * (math.prod(kernel) * words + outputs)
    lowering.call(
        operator,
        "onebit_bconv.c",
        f"bconv_{kind}",
        Struct("onebit_bconv", fields),
        Place(operator.inputs[0], batch_step=step_in),
        lowering.output(operator, step_out),
        Scratch("uint32_t"),
        batch=count,
        scratch_bytes=scratch,
        macs=math.prod(target.shape) * products,
        note="binary",
    )


def _transform(
    lowering: Lowering, operator: n.BinaryConv, target: Value, products: int
) -> dict[str, Any]:
    """The factors on 2a = K − s, as LCE folds them: in double, rounded once."""
    if operator.multiplier is None or operator.bias is None:
        raise lowering.no_kernel(operator)
    multiplier, bias = operator.multiplier.astype(float), operator.bias.astype(float)
    scale, zero = 1.0, 0.0
    if target.dtype == "int8":
        if target.quantization is None:
            raise lowering.no_kernel(operator)
        scale = float(target.quantization.scale[0])
        zero = float(target.quantization.zero_point[0])
    low, high = ACTIVATION_RANGES[operator.activation]
    most = 2 * products if operator.activation == "none" else None
    folded = (bias + products * multiplier) / scale + zero
    return {
        "multipliers": lowering.constant("scales", "float", (-multiplier / scale).astype("<f4")),
        "biases": lowering.constant("biases", "float", folded.astype("<f4")),
        "clamp_min": 0 if most else int(products - min(high, products)),
        "clamp_max": most or int(products - max(low, -products)),
    }


# --- Layers with filters


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


_CHUNK = 128
"""Taps that `onebit_pixels.c` has tables for at a time."""


def _pixel_layer(lowering: Lowering, operator: PixelLayer) -> None:
    source, target = lowering.network.input_of(operator), lowering.network.output_of(operator)
    outputs, *kernel, depth = operator.weights.shape
    taps = math.prod(kernel) * depth
    window, count = operator.window, source.shape[0]
    shapes = source.shape[1:], target.shape[1:]
    if window is None:
        window, count = Window((1, 1), (1, 1)), math.prod(source.shape) // depth
        shapes = (1, 1, depth), (1, 1, outputs)
    step_in, step_out = elements(source) // count, elements(target) // count
    weights = operator.weights.reshape(outputs, taps)
    low, high = operator.clamp
    fields: dict[str, Any] = {
        "window": window_fields(window, *shapes),
        "is_unsigned": int(source.dtype == "uint8"),
        "factor": operator.factor,
        "zero_point": operator.zero_point,
        "filters": lowering.constant("weights", "uint32_t", bits.pack(weights)),
        "step": number(float(operator.step)),
        "clamp_min": number(low),
        "clamp_max": number(high),
    }
    if operator.limits is not None:
        fields["limits"] = lowering.constant("limits", LIMIT, operator.limits)
    else:
        for key, values in (("scales", operator.scale), ("biases", operator.bias)):
            if values is not None:
                fields[key] = lowering.constant(key, "float", values.astype("<f4"))
    fours = -(-taps // 4)
    columns = 1 if math.prod((*shapes[0][:2], *window.size)) == 1 else 4
    kept = min(taps, _CHUNK) if columns == 1 else taps
    # A row under four windows lies where the tables come later.
    line = (3 * window.strides[1] + (window.size[1] - 1) * window.dilations[1] + 1) * depth
    tables = max(16 * min(fours, _CHUNK // 4), -(-line // 2))
    lowering.call(
        operator,
        "onebit_pixels.c",
        "pixel_conv_f32" if operator.limits is None else "pixel_conv_bits",
        Struct("onebit_pixel_conv", fields),
        Place(source.index, batch_step=step_in),
        lowering.output(operator, step_out),
        Scratch("uint32_t"),
        batch=count,
        scratch_bytes=4 * columns * outputs * (1 + (taps > _CHUNK))
        + 8 * (-(-kept // 4) * 4 + tables),
        macs=math.prod(target.shape) * taps,
        note="±1 weights, 8-bit inputs",
    )


def _pixel_numbers(lowering: Lowering, operator: PixelNumbers) -> None:
    source = lowering.network.input_of(operator)
    deviations = np.array(operator.normalization.std)
    means = np.array(operator.normalization.mean)
    scales = np.broadcast_to((1 / deviations).astype("<f4"), (source.shape[-1],))
    offsets = np.broadcast_to((-means / deviations).astype("<f4"), (source.shape[-1],))
    lowering.call(
        operator,
        "onebit_elementwise.c",
        "pixel_numbers_f32",
        Place(source.index),
        lowering.output(operator),
        str(elements(source)),
        str(source.shape[-1]),
        str(int(source.dtype == "uint8")),
        lowering.constant("scales", "float", scales),
        lowering.constant("offsets", "float", offsets),
    )


def _pixel_signs(lowering: Lowering, operator: PixelSigns) -> None:
    source = lowering.network.input_of(operator)
    lowering.call(
        operator,
        "onebit_signs.c",
        "sign_bits_u8" if source.dtype == "uint8" else "sign_bits_s8",
        Place(source.index),
        lowering.output(operator),
        str(math.prod(source.shape[:-1])),
        str(source.shape[-1]),
        str(operator.threshold),
    )


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


# --- Moving


def _reshape(lowering: Lowering, operator: n.Reshape) -> None:
    source, target = lowering.network.input_of(operator), lowering.network.output_of(operator)
    if elements(source) != elements(target):
        raise lowering.no_kernel(operator, "it moves bits between words")
    program, ends = lowering.program, {*lowering.network.inputs, *lowering.network.outputs}
    whole = program.root(source.index)
    group = [whole] + [i for i in program.same_memory if program.root(i) == whole]
    # The caller's memory is one value's only.
    if target.index in lowering.network.outputs and ends & set(group):
        copy_value(lowering, operator)
    else:
        program.same_memory[target.index] = source.index


def copy_value(lowering: Lowering, operator: Operator) -> None:
    """A call that copies the input to the output."""
    size = str(size_bytes(lowering.network.input_of(operator)))
    places = Place(operator.inputs[0]), lowering.output(operator)
    lowering.call(operator, "onebit_move.c", "copy_rows", *places, "1", size, size, size)


def _concat(lowering: Lowering, operator: n.Concat) -> None:
    target = lowering.network.output_of(operator)
    sources = [lowering.value(i) for i in operator.inputs]
    if operator.activation != "none":
        raise lowering.no_kernel(operator, "it has a fused activation")
    joins_bits = target.dtype == "bits" and operator.axis == len(target.shape) - 1
    if joins_bits and any(source.shape[-1] % bits.WORD_BITS for source in sources[:-1]):
        raise lowering.no_kernel(operator, "it joins bits within words")
    if any(source.dtype != target.dtype or not _same_steps(source, target) for source in sources):
        raise lowering.no_kernel(operator, "its inputs have other types or scales than its output")
    rows = math.prod(target.shape[: operator.axis])
    unit = size_bytes(target) // elements(target)
    row, offset = size_bytes(target) // rows, 0
    for source in sources:
        part = size_bytes(source) // rows
        lowering.program.calls.append(
            Call(
                operator.name,
                "onebit_copy_rows",
                [
                    lowering.operand(source.index),
                    Place(target.index, offset // unit, is_written=True),
                    *map(str, (rows, part, part, row)),
                ],
                (source.index,) if source.constant is None else (),
                target.index,
                "onebit_move.c",
            )
        )
        offset += part


def _same_steps(a: Value, b: Value) -> bool:
    if a.quantization is None or b.quantization is None:
        return a.dtype == "float32" or a.dtype == "bits"
    return bool(
        a.quantization.scale[0] == b.quantization.scale[0]
        and a.quantization.zero_point[0] == b.quantization.zero_point[0]
    )


def _pad(lowering: Lowering, operator: n.Pad) -> None:
    source, target = lowering.network.input_of(operator), lowering.network.output_of(operator)
    rank = len(source.shape)
    if rank > 4 or source.dtype not in ("float32", "int8") or not _same_steps(source, target):
        raise lowering.no_kernel(operator)
    missing = 4 - rank
    fields = {
        "size": [1] * missing + list(source.shape),
        "before": [0] * missing + [before for before, _ in operator.pads],
        "after": [0] * missing + [after for _, after in operator.pads],
    }
    if source.dtype == "float32":
        size, value = 4, int(np.float32(operator.value).view(np.uint32))
    else:
        size, value = 1, int(operator.value) & 255
    lowering.call(
        operator,
        "onebit_move.c",
        "pad",
        Struct("onebit_pads", fields),
        Place(source.index),
        lowering.output(operator),
        str(size),
        f"{value}u",
    )


FLOAT_KERNELS: dict[type[Operator], Callable[..., None]] = {
    n.SignBits: _sign_bits,
    n.SignValues: _sign_values,
    n.BinaryConv: _binary_conv,
    n.BinaryMaxPool: _binary_max_pool,
    PixelLayer: _pixel_layer,
    PixelNumbers: _pixel_numbers,
    PixelSigns: _pixel_signs,
    n.Conv: _filtered,
    n.DepthwiseConv: _filtered,
    n.Dense: _filtered,
    n.Pool: _pool,
    n.Elementwise: _elementwise,
    n.Prelu: _prelu,
    n.Unary: _unary,
    n.Concat: _concat,
    n.Pad: _pad,
    n.Reshape: _reshape,
    n.Softmax: _softmax,
    n.Mean: _mean,
    n.Rescale: _rescale,
}
