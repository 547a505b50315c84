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
    return np.concatenate([_once(model, image[np.newaxis], outside) for image in images])


def _once(model, image, outside):
    graph = model.graph
    values = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
    values[graph.input[0].name] = image
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


def quant(x, scale, zero_point, bits, *, signed, narrow, rounding_mode):
    assert (signed, rounding_mode, float(zero_point)) == (1, b"ROUND", 0.0)
    most = 2 ** (int(bits) - 1) - 1
    least = -most - (0 if narrow else 1)
    return (np.clip(np.rint(x / scale), least, most) * scale).astype(np.float32)


def quantize_linear(x, scale, zero_point):
    limits = np.iinfo(zero_point.dtype)
    rounded = np.rint(x / scale) + zero_point
    return np.clip(rounded, limits.min, limits.max).astype(zero_point.dtype)


def pad(x, pads, value, *, mode):
    assert mode == b"constant"
    rank = x.ndim
    return np.pad(x, list(zip(pads[:rank], pads[rank:], strict=True)), constant_values=value)


OPERATORS = {
    "Add": np.add,
    "BatchNormalization": batch_normalization,
    "BipolarQuant": lambda x, scale: np.where(x >= 0, scale, -scale).astype(np.float32),
    "Conv": conv,
    "Clip": lambda x, low, high: np.clip(x, low, high),
    "DequantizeLinear": lambda x, scale, zero: (x.astype(np.float32) - zero) * scale,
    "Flatten": lambda x, axis: x.reshape(len(x), -1),
    "GreaterOrEqual": np.greater_equal,
    "Identity": lambda x: x,
    "MatMul": np.matmul,
    "MaxPool": max_pool,
    "Mul": np.multiply,
    "Pad": pad,
    "Quant": quant,
    "QuantizeLinear": quantize_linear,
    "Relu": lambda x: np.maximum(x, 0),
    "Reshape": lambda x, shape: x.reshape(shape),
    "Sub": np.subtract,
    "Transpose": lambda x, perm: x.transpose(perm),
    "Where": np.where,
}
