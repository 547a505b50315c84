"""Computes a `Graph` in NumPy, operator by operator, from the definitions of LCE and TensorFlow.

Floats are computed in double. For a comparison bit for bit the numbers must be such that float32
rounds nowhere, in whatever order it adds: `evaluate` raises `InexactError` otherwise.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from flatbuffers import flexbuffers

from onebit.bits import pack, unpack

from .lce_graphs import ABSENT, NUMPY_TYPES, Graph, schema
from .lce_oracle import activate, convolve, max_pool, same_padding

MANTISSA_BITS = 24


class InexactError(Exception):
    """float32 would round."""


class UnfitError(Exception):
    """The operands do not fit each other, so that an interpreter refuses them."""


def evaluate(graph: Graph, inputs: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """The value of each tensor; `inputs` may have other shapes than the file says.

    Raises:
        InexactError: float32 would round.
        UnfitError: The graph does not take inputs of these shapes.
    """
    values = dict(inputs)
    for index, tensor in enumerate(graph.graph.tensors):
        if tensor.buffer:
            data = np.asarray(graph.model.buffers[tensor.buffer].data, np.uint8)
            values[index] = data.view(NUMPY_TYPES[tensor.type]).reshape(list(tensor.shape))
    for op in graph.graph.operators:
        code = graph.model.operatorCodes[op.opcodeIndex]
        name = code.customCode or BUILTINS[code.builtinCode]
        operands = [None if i == ABSENT else values[i] for i in op.inputs]
        options = read_options(op) if code.customCode else op.builtinOptions
        tensors = [graph.graph.tensors[i] for i in (op.inputs[0], op.outputs[0])]
        results = OPERATORS[name](operands, options, *tensors)
        results = results if isinstance(results, list) else [results]
        for out, result in zip(op.outputs, results, strict=True):
            if result.dtype == np.float64:
                exact(result)
                result = result.astype(np.float32)
            values[out] = result
    return values


def read_options(op: Any) -> dict[str, Any]:
    data = bytes(bytearray(op.customOptions)) if op.customOptions is not None else b""
    return flexbuffers.Loads(data) if data else {}


def unit(values: np.ndarray) -> float:
    """The largest power of two of which all values are multiples, up to 1."""
    size = 1.0
    while not np.array_equal(values / size, np.round(values / size)):
        size /= 2
        if size < 2.0**-60:
            raise InexactError
    return size


def exact(values: np.ndarray, magnitude: np.ndarray | float | None = None) -> None:
    """Raises unless sums of multiples of the values' unit up to `magnitude` fit a float32."""
    most = np.max(np.abs(values) if magnitude is None else magnitude, initial=0)
    if most >= unit(values) * 2.0**MANTISSA_BITS:
        raise InexactError


def floats(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64)


def clamp(values: np.ndarray, activation: int) -> np.ndarray:
    return activate(values, activation)


def quantize(operands, options, source, out):
    (x,) = operands
    if x.dtype == np.bool_:
        return pack(x.astype(int) - 1)
    if x.dtype == np.int8:
        return pack(x.astype(int) - source.quantization.zeroPoint[0])
    return pack(x)


def dequantize(operands, options, source, out):
    (words,) = operands
    signs = unpack(words, out.shape[-1])
    kind = NUMPY_TYPES[out.type]
    if kind == np.bool_:
        return signs > 0
    if kind == np.int8:
        scale, zero = out.quantization.scale[0], out.quantization.zeroPoint[0]
        one = np.floor(np.float32(1) / np.float32(scale) + 0.5)
        return np.clip(zero + one * signs, -128, 127).astype(np.int8)
    return signs


def binary_convolution(operands, options, source, out):
    words, packed, scale, bias, thresholds = operands
    channels = options["channels_in"]
    groups = words.shape[-1] // packed.shape[-1]
    depth = channels // groups
    x, filters = unpack(words, channels), unpack(packed, depth)
    stride = (options["stride_height"], options["stride_width"])
    dilation = (options["dilation_height_factor"], options["dilation_width_factor"])
    same = options["padding"] == 0
    fit(x, filters.shape[1:3], dilation, same)
    dots = convolve(
        x, filters, stride=stride, dilation=dilation, same=same,
        pad_values=options["pad_values"], groups=groups,
    )  # fmt: skip
    products = depth * filters.shape[1] * filters.shape[2]
    kind = NUMPY_TYPES[out.type]
    if kind == np.int32:
        return pack(np.where(products - dots > 2 * thresholds.astype(np.int64), -1, 1))
    result = activate(dots, options["fused_activation_function"]) * floats(scale) + floats(bias)
    folded = 2 * products * np.abs(floats(scale)) + np.abs(floats(bias))
    if kind == np.int8:
        step, zero = out.quantization.scale[0], out.quantization.zeroPoint[0]
        result = result / step + zero
        exact(result, np.broadcast_to(folded / step + abs(zero), result.shape))
        rounded = np.sign(result) * np.floor(np.abs(result) + 0.5)
        return np.clip(rounded, -128, 127).astype(np.int8)
    exact(result, np.broadcast_to(folded, result.shape))
    return result


def fit(x, kernel, dilation, same):
    """Raises unless a window fits the image."""
    for size, k, d in zip(x.shape[1:3], kernel, dilation, strict=True):
        if not same and (k - 1) * d + 1 > size:
            raise UnfitError


def binary_pool(operands, options, source, out):
    (words,) = operands
    window = (options["filter_height"], options["filter_width"])
    stride = (options["stride_height"], options["stride_width"])
    same = options["padding"] == 0
    fit(words, window, (1, 1), same)
    channels = words.shape[-1] * 32
    pooled = max_pool(unpack(words, channels), window=window, stride=stride, same=same, lowest=-1)
    return pack(pooled)


def float_pool(operands, options, source, out):
    (x,) = operands
    window = (options.filterHeight, options.filterWidth)
    stride = (options.strideH, options.strideW)
    same = options.padding == schema.Padding.SAME
    fit(x, window, (1, 1), same)
    pooled = max_pool(floats(x), window=window, stride=stride, same=same, lowest=-np.inf)
    return clamp(pooled, options.fusedActivationFunction)


def broadcasting(operation: Callable[[Any, Any], Any]) -> Callable[..., np.ndarray]:
    def compute(operands, options, source, out):
        a, b = map(floats, operands)
        try:
            result = operation(a, b)
        except ValueError as error:
            raise UnfitError from error
        return clamp(result, getattr(options, "fusedActivationFunction", 0))

    return compute


def concatenate(operands, options, source, out):
    try:
        return np.concatenate(operands, options.axis)
    except ValueError as error:
        raise UnfitError from error


def relu(operands, options, source, out):
    return np.maximum(operands[0], 0)


def reshape(operands, options, source, out):
    return operands[0].reshape(operands[1])


def pad(operands, options, source, out):
    return np.pad(*operands)


def split(operands, options, source, out):
    axis, value = operands
    return np.split(value, options.numSplits, int(axis))


def dequantize_int8(operands, options, source, out):
    quantization = source.quantization
    return (floats(operands[0]) - quantization.zeroPoint[0]) * quantization.scale[0]


def dense(operands, options, source, out):
    x, weights, bias = floats(operands[0]), floats(operands[1]), operands[2]
    outputs, depth = weights.shape
    if x.size % depth or (options.keepNumDims and x.shape[-1] != depth):
        raise UnfitError
    rows = x.shape[:-1] if options.keepNumDims else (x.size // depth,)
    flat = x.reshape(x.size // depth, depth)
    result = flat @ weights.T
    exact(x, np.abs(flat) @ np.abs(weights).T)
    if bias is not None:
        result = result + floats(bias).ravel()
    return clamp(result, options.fusedActivationFunction).reshape(*rows, outputs)


def float_convolution(operands, options, source, out):
    x, filters, bias = floats(operands[0]), floats(operands[1]), operands[2]
    depth = filters.shape[3]
    if x.shape[3] % depth or filters.shape[0] % (x.shape[3] // depth):
        raise UnfitError
    groups, width = x.shape[3] // depth, filters.shape[0] // (x.shape[3] // depth)

    def product(patch, ky, kx):
        parts = [
            patch[..., g * depth : (g + 1) * depth] @ filters[g * width : (g + 1) * width, ky, kx].T
            for g in range(groups)
        ]
        return np.concatenate(parts, -1)

    return window_sums(x, filters.shape[1:3], filters.shape[0], bias, options, product)


def depthwise(operands, options, source, out):
    x, filters, bias = floats(operands[0]), floats(operands[1]), operands[2]
    outputs = filters.shape[3]
    if outputs % x.shape[3]:
        raise UnfitError

    def product(patch, ky, kx):
        return np.repeat(patch, outputs // x.shape[3], -1) * filters[0, ky, kx]

    return window_sums(x, filters.shape[1:3], outputs, bias, options, product)


def window_sums(x, kernel, outputs, bias, options, product):
    """A convolution of floats whose taps `product(patch, ky, kx)` gives; weights are ±1."""
    stride = (options.strideH, options.strideW)
    dilation = (options.dilationHFactor, options.dilationWFactor)
    same = options.padding == schema.Padding.SAME
    fit(x, kernel, dilation, same)
    padded = x
    if same:
        pads = [same_padding(x.shape[1 + i], kernel[i], stride[i], dilation[i]) for i in (0, 1)]
        padded = np.pad(x, [(0, 0), *pads, (0, 0)])
    size = [
        (padded.shape[1 + i] - (kernel[i] - 1) * dilation[i] - 1) // stride[i] + 1 for i in (0, 1)
    ]
    total = np.zeros((x.shape[0], *size, outputs))
    for ky in range(kernel[0]):
        for kx in range(kernel[1]):
            y, z = ky * dilation[0], kx * dilation[1]
            patch = padded[:, y :: stride[0], z :: stride[1]][:, : size[0], : size[1]]
            total += product(patch, ky, kx)
    taps = kernel[0] * kernel[1] * x.shape[3]
    exact(x, taps * np.max(np.abs(x), initial=0))
    if bias is not None:
        total = total + floats(bias).ravel()  # TensorFlow only counts its values
    return clamp(total, options.fusedActivationFunction)


OPERATORS: dict[str, Callable[..., np.ndarray | list[np.ndarray]]] = {
    "LceQuantize": quantize,
    "LceDequantize": dequantize,
    "LceBconv2d": binary_convolution,
    "LceBMaxPool2d": binary_pool,
    "ADD": broadcasting(np.add),
    "SUB": broadcasting(np.subtract),
    "MUL": broadcasting(np.multiply),
    "MAXIMUM": broadcasting(np.maximum),
    "CONCATENATION": concatenate,
    "MAX_POOL_2D": float_pool,
    "RELU": relu,
    "RESHAPE": reshape,
    "PAD": pad,
    "SPLIT": split,
    "DEQUANTIZE": dequantize_int8,
    "FULLY_CONNECTED": dense,
    "CONV_2D": float_convolution,
    "DEPTHWISE_CONV_2D": depthwise,
}
BUILTINS = {getattr(schema.BuiltinOperator, name): name for name in OPERATORS if name.isupper()}
