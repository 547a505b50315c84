"""ONNX graphs in NumPy, from the operators' definitions: what exported files must compute.

QONNX's operators: https://github.com/fastmachinelearning/qonnx/tree/main/docs/qonnx-custom-ops
(onnx's own reference evaluator normalises batches in opset 9 as if it trained.)
"""

import numpy as np
from onnx import helper, numpy_helper

GENERAL, CHANNELS_LAST = "qonnx.custom_op.general", "qonnx.custom_op.channels_last"


def execute(model, images, outside=0.0):
    """The outputs `[N, …]` of a graph with batch 1, image by image.

    Args:
        model: The ONNX model.
        images: `[N, …]` in the order of the graph's input.
        outside: What convolutions of ±1 pad with; −1 is what FINN's hardware does.
    """
    return np.concatenate([execute_once(model, [image[np.newaxis]], outside) for image in images])


def execute_once(model, inputs, outside=0.0):
    """The output of a graph for one array for each of its inputs."""
    graph = model.graph
    values = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
    values |= {value.name: array for value, array in zip(graph.input, inputs, strict=True)}
    bits = set()
    for node in graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        operands = [values[name] for name in node.input]
        if node.op_type == "Conv":
            attributes["outside"] = outside if node.input[0] in bits else 0.0
        operator = OPERATORS[node.op_type]
        if node.domain == CHANNELS_LAST:
            operator = _on_channels_last(node.op_type)
        result = operator(*operands, **attributes)
        (name,) = node.output
        if node.op_type == "BipolarQuant" or (node.op_type == "MaxPool" and node.input[0] in bits):
            bits.add(name)
        values[name] = result
    return values[graph.output[0].name]


def _on_channels_last(op):
    def operator(x, *operands, **attributes):
        if op == "Conv":
            operands = [np.moveaxis(operands[0], -1, 1)]
        result = OPERATORS[op](np.moveaxis(x, -1, 1), *operands, **attributes)
        return np.moveaxis(result, 1, -1)

    return operator


def _views(x, kernel_shape, strides, pads, outside, dilations=(1, 1)):
    """Windows `[N, C, OH, OW, KH, KW]` of `[N, C, H, W]`."""
    top, left, bottom, right = pads
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=outside)
    extent = [(k - 1) * d + 1 for k, d in zip(kernel_shape, dilations, strict=True)]
    views = np.lib.stride_tricks.sliding_window_view(x, extent, (2, 3))
    return views[:, :, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]


def conv(x, w, *, outside, kernel_shape, strides, pads, dilations, group):
    views = _views(x, kernel_shape, strides, pads, outside, dilations)
    width, depth = len(w) // group, w.shape[1]
    parts = [
        np.einsum(
            "nchwkl,ockl->nohw",
            views[:, g * depth : (g + 1) * depth],
            w[g * width : (g + 1) * width],
            optimize=True,
        )
        for g in range(group)
    ]
    return np.concatenate(parts, 1).astype(np.float32)


def batch_normalization(x, scale, offset, mean, variance, *, epsilon):
    column = (-1,) + (1,) * (x.ndim - 2)
    scale, offset, mean, variance = (v.reshape(column) for v in (scale, offset, mean, variance))
    return (x - mean) / np.sqrt(variance + np.float32(epsilon)) * scale + offset


def max_pool(x, *, kernel_shape, strides, pads):
    return _views(x, kernel_shape, strides, pads, -np.inf).max((-2, -1))


def average_pool(x, *, kernel_shape, strides, pads, count_include_pad):
    assert count_include_pad == 0
    return np.nanmean(_views(x, kernel_shape, strides, pads, np.nan), (-2, -1), np.float32)


def quant(x, scale, zero_point, bits, *, signed, narrow, rounding_mode):
    assert (signed, rounding_mode) == (1, b"ROUND")
    most = 2 ** (int(bits) - 1) - 1
    least = -most - (0 if narrow else 1)
    steps = np.clip(np.rint(x / scale + zero_point), least, most) - zero_point
    return (steps * scale).astype(np.float32)


def quantize_linear(x, scale, zero_point):
    limits = np.iinfo(zero_point.dtype)
    rounded = np.rint(x / scale) + zero_point
    return np.clip(rounded, limits.min, limits.max).astype(zero_point.dtype)


def dequantize_linear(x, scale, zero_point, axis=0):
    column = [1] * x.ndim
    column[axis] = -1 if scale.ndim else 1
    centred = x.astype(np.float32) - zero_point.astype(np.float32).reshape(column)
    return centred * scale.reshape(column)


def softmax(x, *, axis):
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def pad(x, pads, value, *, mode):
    assert mode == b"constant"
    rank = x.ndim
    return np.pad(x, list(zip(pads[:rank], pads[rank:], strict=True)), constant_values=value)


OPERATORS = {
    "Add": np.add,
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "BipolarQuant": lambda x, scale: np.where(x >= 0, scale, -scale).astype(np.float32),
    "Conv": conv,
    "Clip": lambda x, low, high: np.clip(x, low, high),
    "Concat": lambda *parts, axis: np.concatenate(parts, axis),
    "DequantizeLinear": dequantize_linear,
    "Div": np.divide,
    "Flatten": lambda x, axis: x.reshape(len(x), -1),
    "GreaterOrEqual": np.greater_equal,
    "Identity": lambda x: x,
    "MatMul": np.matmul,
    "MaxPool": max_pool,
    "Mul": np.multiply,
    "LeakyRelu": lambda x, alpha: np.where(x >= 0, x, x * np.float32(alpha)),
    "PRelu": lambda x, slopes: np.where(x >= 0, x, x * slopes),
    "Pad": pad,
    "Quant": quant,
    "QuantizeLinear": quantize_linear,
    "ReduceMean": lambda x, axes, keepdims: x.mean(tuple(axes), keepdims=bool(keepdims)),
    "Relu": lambda x: np.maximum(x, 0),
    "Reshape": lambda x, shape: x.reshape(shape),
    "Round": np.rint,
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Softmax": softmax,
    "Sub": np.subtract,
    "Tanh": np.tanh,
    "Transpose": lambda x, perm: x.transpose(perm),
    "Where": np.where,
}
