"""The meaning of a tensor's numbers: its quantization, and packed signs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.targets.network import Quantization, Value


def quantization_of(tensor: Any) -> Quantization | None:
    """A tensor's scales and zero points; None where its numbers mean themselves."""
    found = tensor.quantization
    if found is None or found.scale is None or not len(found.scale):
        return None
    scale = np.asarray(found.scale, np.float32)
    zero = np.zeros(len(scale), np.int64)
    if found.zeroPoint is not None and len(found.zeroPoint):
        zero = np.asarray(found.zeroPoint, np.int64)
    return Quantization(scale, zero, int(found.quantizedDimension))


def sign_values(signs: NDArray[np.float32], output: Value) -> NDArray[Any]:
    """±1 as LceDequantize gives it in a type."""
    if output.dtype == "bool":
        return signs > 0
    if output.dtype == "int8":
        if output.quantization is None:
            raise ValueError("an int8 tensor without a scale")
        scale, zero = output.quantization.scale[0], output.quantization.zero_point[0]
        one = np.floor(np.float32(1) / scale + np.float32(0.5))
        return np.clip(zero + one * signs, -128, 127).astype(np.int8)
    return signs


def real_values(values: NDArray[Any], quantization: Quantization | None) -> NDArray[np.float32]:
    """The real numbers of quantized ones; those of float16 as they are."""
    if quantization is None:
        return values.astype(np.float32)
    shape = [1] * values.ndim
    if len(quantization.scale) > 1:
        shape[quantization.axis] = len(quantization.scale)
    centred = values.astype(np.int64) - quantization.zero_point.reshape(shape)
    return centred.astype(np.float32) * quantization.scale.reshape(shape)
