"""Layers that take pixels → calls of kernels."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from convert.targets.c.fuse import PixelLayer
from convert.targets.c.lowering import Lowering, number, window_fields
from convert.targets.c.pixels import PixelNumbers, PixelSigns
from convert.targets.c.program import LIMIT, Place, Scratch, Struct, elements
from convert.targets.network import Operator, Window
from onebit import bits

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


PIXEL_KERNELS: dict[type[Operator], Callable[..., None]] = {
    PixelLayer: _pixel_layer,
    PixelNumbers: _pixel_numbers,
    PixelSigns: _pixel_signs,
}
