"""A `Network` executed in NumPy, from what its dataclasses say: the second opinion on a reader.

Floats are computed in double and rounded once per operator (a layer's sum, scale and bias are
rounded each, as TensorFlow Lite does). Integers of quantized files are not executed.
"""

from collections.abc import Callable, Mapping

import numpy as np

from convert.targets import network as n
from convert.targets.network import ACTIVATION_RANGES, Network
from onebit.bits import pack, unpack


def execute(network: Network, inputs: Mapping[int, np.ndarray]) -> list[np.ndarray]:
    """The outputs; bits are given and taken as int32 words."""
    values = {}
    for index, array in inputs.items():
        value = network.values[index]
        values[index] = unpack(array, value.shape[-1]) if value.dtype == "bits" else array
    for value in network.values.values():
        if value.constant is not None:
            values[value.index] = value.constant
    for operator in network.operators:
        operands = [values[i] for i in operator.inputs]
        output = network.output_of(operator)
        result = OPERATORS[type(operator)](operator, network, *operands)
        if output.dtype == "float32":
            result = result.astype(np.float32)
        assert result.shape == output.shape, (operator, result.shape, output.shape)
        values[operator.output] = result
    return [
        pack(values[i]) if network.values[i].dtype == "bits" else values[i] for i in network.outputs
    ]


def clamp(values: np.ndarray, activation: n.Activation) -> np.ndarray:
    return np.clip(values, *ACTIVATION_RANGES[activation])


def patches(x: np.ndarray, window: n.Window, value: float) -> np.ndarray:
    """The taps of each window: `[N, OH, OW, KH, KW, C]`."""
    padded = np.pad(x, [(0, 0), *window.pads, (0, 0)], constant_values=value)
    reach = [(k - 1) * d + 1 for k, d in zip(window.size, window.dilations, strict=True)]
    views = np.lib.stride_tricks.sliding_window_view(padded, reach, (1, 2))
    views = views[:, :: window.strides[0], :: window.strides[1]]
    taps = views[..., :: window.dilations[0], :: window.dilations[1]]
    return np.moveaxis(taps, 3, 5)


def convolve(x: np.ndarray, weights: np.ndarray, window: n.Window, groups: int, pad: float):
    """Sums `[N, OH, OW, O]` in double; weights `[O, KH, KW, I]`."""
    taps = patches(x.astype(np.float64), window, pad)
    depth, width = weights.shape[3], weights.shape[0] // groups
    parts = [
        np.tensordot(
            taps[..., g * depth : (g + 1) * depth],
            weights[g * width : (g + 1) * width].astype(np.float64),
            [[3, 4, 5], [1, 2, 3]],
        )
        for g in range(groups)
    ]
    return np.concatenate(parts, -1)


def finish(operator: n.Filtered, sums: np.ndarray) -> np.ndarray:
    result = sums.astype(np.float32)
    if operator.scale is not None:
        result = result * operator.scale
    if operator.bias is not None:
        result = result + operator.bias
    return clamp(result, operator.activation)


def sign_bits(operator, network, x):
    value = network.input_of(operator)
    if value.dtype == "int8":
        x = x.astype(int) - value.quantization.zero_point[0]
    elif value.dtype == "bool":
        x = x.astype(int) - 1
    return np.where(x < 0, np.float32(-1), np.float32(1))


def sign_values(operator, network, x):
    output = network.output_of(operator)
    if output.dtype == "float32":
        return x
    if output.dtype == "bool":
        return x > 0
    scale, zero = output.quantization.scale[0], output.quantization.zero_point[0]
    return np.clip(zero + np.floor(1 / scale + 0.5) * x, -128, 127).astype(np.int8)


def binary_conv(operator, network, x):
    sums = convolve(x, operator.weights, operator.window, operator.groups, operator.pad_value)
    output = network.output_of(operator)
    if output.dtype == "bits":
        products = np.prod(operator.weights.shape[1:])
        return np.where((products - sums) / 2 > operator.thresholds, np.float32(-1), np.float32(1))
    clamped = clamp(sums, operator.activation)
    if output.dtype == "int8":
        scale, zero = output.quantization.scale[0], output.quantization.zero_point[0]
        steps = (clamped * operator.multiplier.astype(float) + operator.bias) / scale + zero
        rounded = np.sign(steps) * np.floor(np.abs(steps) + 0.5)
        return np.clip(rounded, -128, 127).astype(np.int8)
    return clamped.astype(np.float32) * operator.multiplier + operator.bias


def binary_max_pool(operator, network, x):
    return patches(x, operator.window, -1).max((3, 4))


def conv(operator, network, x):
    return finish(operator, convolve(x, operator.weights, operator.window, operator.groups, 0))


def depthwise_conv(operator, network, x):
    taps = np.repeat(patches(x.astype(np.float64), operator.window, 0), operator.multiplier, -1)
    return finish(operator, (taps * operator.weights.astype(np.float64)).sum((3, 4)))


def dense(operator, network, x):
    rows = x.reshape(-1, operator.weights.shape[1]).astype(np.float64)
    result = finish(operator, rows @ operator.weights.T.astype(np.float64))
    return result.reshape(network.output_of(operator).shape)


def pool(operator, network, x):
    if operator.kind == "max":
        result = patches(x, operator.window, -np.inf).max((3, 4))
    else:
        result = np.nanmean(patches(x.astype(np.float64), operator.window, np.nan), (3, 4))
    return clamp(result, operator.activation)


def elementwise(operator, network, a, b):
    functions: dict[str, Callable] = {
        "ADD": np.add, "SUB": np.subtract, "MUL": np.multiply, "DIV": np.divide,
        "MAXIMUM": np.maximum, "MINIMUM": np.minimum,
    }  # fmt: skip
    return clamp(functions[operator.op](a, b), operator.activation)


def unary(operator, network, x):
    functions: dict[str, Callable] = {
        "RELU": lambda v: np.maximum(v, 0),
        "RELU6": lambda v: np.clip(v, 0, 6),
        "RELU_N1_TO_1": lambda v: np.clip(v, -1, 1),
        "LEAKY_RELU": lambda v: np.where(v >= 0, v, v * np.float32(operator.alpha)),
        "LOGISTIC": lambda v: 1 / (1 + np.exp(-v)),
        "TANH": np.tanh,
        "HARD_SWISH": lambda v: v * np.clip(v + 3, 0, 6) / 6,
    }
    return functions[operator.op](x)


def prelu(operator, network, x):
    return np.where(x >= 0, x, x * operator.alpha)


def concat(operator, network, *operands):
    return clamp(np.concatenate(operands, operator.axis), operator.activation)


def pad(operator, network, x):
    return np.pad(x, operator.pads, constant_values=operator.value)


def reshape(operator, network, x):
    return x.reshape(network.output_of(operator).shape)


def softmax(operator, network, x):
    powers = np.exp((x - x.max(-1, keepdims=True)).astype(np.float64) * operator.beta)
    return powers / powers.sum(-1, keepdims=True)


def mean(operator, network, x):
    return x.astype(np.float64).mean(operator.axes, keepdims=operator.keep_dims)


OPERATORS: dict[type, Callable] = {
    n.SignBits: sign_bits,
    n.SignValues: sign_values,
    n.BinaryConv: binary_conv,
    n.BinaryMaxPool: binary_max_pool,
    n.Conv: conv,
    n.DepthwiseConv: depthwise_conv,
    n.Dense: dense,
    n.Pool: pool,
    n.Elementwise: elementwise,
    n.Unary: unary,
    n.Prelu: prelu,
    n.Concat: concat,
    n.Pad: pad,
    n.Reshape: reshape,
    n.Softmax: softmax,
    n.Mean: mean,
}
