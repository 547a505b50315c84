"""Switches of what a network's kernels need not have: `onebit_config.h` of an export."""

import math
import re
from typing import Any

from convert.targets.c.program import LIMIT, Program, Struct
from onebit.bits import packed_length

_LONGEST_WORDS, _LONGEST_TAPS = 255, 128
"""Of `ONEBIT_MOST_WORDS` in onebit_dot.h, and of `CHUNK` in onebit_pixels.c."""


def configured(text: str, program: Program) -> str:
    """The configuration's header for a network: what none of its layers has is 0."""
    needed = needed_features(program)

    def line(match: re.Match[str]) -> str:
        return f"#define ONEBIT_{match[1]} {int(match[1] in needed)}"

    if has_short_limits(program):
        text = text.replace("typedef int32_t onebit_limit", "typedef int16_t onebit_limit")
    return re.sub(r"#define ONEBIT_(\w+) 1", line, text)


def has_short_limits(program: Program) -> bool:
    """Whether limits are stored in 16 bits."""
    constants = [c for call in program.calls for c in call.constants()]
    return any(c.c_type == LIMIT and c.values.itemsize == 2 for c in constants)


def needed_features(program: Program) -> set[str]:
    """The macros of `onebit_config.h`, without `ONEBIT_`, that a network needs."""
    found: set[str] = set()
    for call in program.calls:
        for argument in call.arguments:
            if not isinstance(argument, Struct):
                continue
            if argument.c_type == "onebit_bconv":
                found |= _of_binary(argument.fields)
            elif argument.c_type == "onebit_pixel_conv":
                found |= _of_pixels(argument.fields)
    return found


def _of_binary(fields: dict[str, Any]) -> set[str]:
    window, groups = fields["window"], fields["groups"]
    words = packed_length(window["in_c"]) // groups * window["kernel_h"] * window["kernel_w"]
    features = {
        "ZERO_PADDING": fields["zero_padding"] == 1,
        "GROUPS": groups > 1,
        "LONG_ROWS": words > _LONGEST_WORDS,
        "DILATION": _is_dilated(window),
    }
    return {name for name, has in features.items() if has}


def _of_pixels(fields: dict[str, Any]) -> set[str]:
    window = fields["window"]
    size = ("kernel_h", "kernel_w")
    is_vector = math.prod(window[key] for key in ("in_h", "in_w", *size)) == 1
    features = {
        "PIXEL_VECTORS": is_vector,
        "PIXEL_IMAGES": not is_vector,
        "PIXEL_UINT8": fields["is_unsigned"] == 1,
        "PIXEL_INT8": fields["is_unsigned"] == 0,
        "PIXEL_LONG_ROWS": math.prod(window[key] for key in (*size, "in_c")) > _LONGEST_TAPS,
        "DILATION": _is_dilated(window),
    }
    return {name for name, has in features.items() if has}


def _is_dilated(window: dict[str, Any]) -> bool:
    return window["dilation_h"] != 1 or window["dilation_w"] != 1
