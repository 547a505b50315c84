"""Signs and binary layers → calls of kernels."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from convert.targets import network as n
from convert.targets.c.lowering import Lowering, images
from convert.targets.c.program import LIMIT, Argument, Place, Scratch, Struct
from convert.targets.network import ACTIVATION_RANGES, Operator, Value
from onebit import bits


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


BINARY_KERNELS: dict[type[Operator], Callable[..., None]] = {
    n.SignBits: _sign_bits,
    n.SignValues: _sign_values,
    n.BinaryConv: _binary_conv,
    n.BinaryMaxPool: _binary_max_pool,
}
