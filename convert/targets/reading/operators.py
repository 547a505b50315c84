"""Operators of a `.tflite` file → those of a `Network`, each with its options."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convert.targets.network import (
    Activation,
    BinaryConv,
    BinaryMaxPool,
    Concat,
    Conv,
    Dense,
    DepthwiseConv,
    Elementwise,
    Mean,
    Operator,
    Pad,
    Pool,
    Prelu,
    Rescale,
    Reshape,
    SignBits,
    SignValues,
    Softmax,
    Unary,
    Window,
)
from convert.targets.reading.tensors import TensorReader
from convert.tflite.filters import binary_filter_shape
from convert.tflite.graph import schema
from onebit import bits

_ACTIVATIONS: dict[int, Activation] = {
    schema.ActivationFunctionType.NONE: "none",
    schema.ActivationFunctionType.RELU: "relu",
    schema.ActivationFunctionType.RELU_N1_TO_1: "relu_n1_to_1",
    schema.ActivationFunctionType.RELU6: "relu6",
}
_SAME = 0  # of TensorFlow Lite's and of LCE's options
_ELEMENTWISE = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM")
_UNARY = (
    "RELU",
    "RELU6",
    "RELU_N1_TO_1",
    "RELU_0_TO_1",
    "LEAKY_RELU",
    "LOGISTIC",
    "TANH",
    "HARD_SWISH",
    "ABS",
    "NEG",
    "SQUARE",
    "SQRT",
    "RSQRT",
    "EXP",
)


class Unexpected(Exception):  # noqa: N818 (not an error: such an operator is `Other`)
    """An operator has options or operands that its dataclass cannot hold."""


def _activation(op: Any) -> Activation:
    found = _ACTIVATIONS.get(op.builtinOptions.fusedActivationFunction)
    if found is None:
        raise Unexpected
    return found


def _numbers(reader: TensorReader, index: int) -> NDArray[Any]:
    """A constant that an operator needs."""
    found = reader.constant(index)
    if found is None:
        raise Unexpected
    return found


def _sign_bits(reader: TensorReader, op: Any, common: dict[str, Any]) -> Operator:
    return SignBits(**common)


def _sign_values_op(reader: TensorReader, op: Any, common: dict[str, Any]) -> Operator:
    return SignValues(**common)


def _binary_conv(reader: TensorReader, op: Any, common: dict[str, Any]) -> Operator:
    graph = reader.graph
    options = graph.custom_options(op)
    data, filters, *constants = graph.inputs(op)
    shape = binary_filter_shape(graph, op)
    words = _numbers(reader, filters)
    window = _window(
        reader,
        op,
        shape[1:3],
        options["padding"] == _SAME,
        (options["stride_height"], options["stride_width"]),
        (options.get("dilation_height_factor", 1), options.get("dilation_width_factor", 1)),
    )
    outputs = [None if index < 0 else _numbers(reader, index) for index in constants]
    multiplier, bias, thresholds = outputs + [None] * (3 - len(outputs))
    is_words = reader.values[common["output"]].dtype == "bits"
    if (thresholds is None) if is_words else (multiplier is None or bias is None):
        raise Unexpected
    return BinaryConv(
        **{**common, "inputs": (data,)},
        weights=bits.unpack(words, shape[3]).astype(np.int8),
        window=window,
        pad_value=0 if window.is_padded and options.get("pad_values", 0) == 0 else 1,
        groups=graph.shape(data)[-1] // words.shape[-1],
        activation=_ACTIVATIONS[options.get("fused_activation_function", 0)],
        multiplier=None if is_words else multiplier,
        bias=None if is_words else bias,
        thresholds=thresholds if is_words else None,
    )


def _binary_max_pool(reader: TensorReader, op: Any, common: dict[str, Any]) -> Operator:
    options = reader.graph.custom_options(op)
    window = _window(
        reader,
        op,
        (options["filter_height"], options["filter_width"]),
        options["padding"] == _SAME,
        (options["stride_height"], options["stride_width"]),
        (1, 1),
    )
    return BinaryMaxPool(**common, window=window)


def _filtered(reader: TensorReader, op: Any, common: dict[str, Any]) -> dict[str, Any]:
    """The fields of an operator with a filter; the filter is left as the file has it."""
    graph = reader.graph
    data, filters, *_ = graph.inputs(op)
    bias, weights = graph.bias_input(op), _numbers(reader, filters)
    if getattr(op.builtinOptions, "weightsFormat", 0) != 0:
        raise Unexpected
    unpacked = graph.producer(filters)
    while unpacked is not None and graph.op_name(unpacked) == "RESHAPE":
        unpacked = graph.producer(graph.inputs(unpacked)[0])
    return {
        **common,
        "inputs": (data,),
        "weights": weights,
        "is_binary": unpacked is not None and graph.op_name(unpacked) == "LceDequantize",
        "weight_quantization": reader.values[filters].quantization,
        "scale": None,
        "bias": _numbers(reader, bias).reshape(-1) if bias >= 0 else None,
        "activation": _activation(op),
    }


def _conv_window(reader: TensorReader, op: Any, size: Sequence[int]) -> Window:
    o = op.builtinOptions
    same = o.padding == schema.Padding.SAME
    dilations = (o.dilationHFactor, o.dilationWFactor)
    return _window(reader, op, size, same, (o.strideH, o.strideW), dilations)


def _conv(reader: TensorReader, op: Any, common: dict[str, Any]) -> Operator:
    fields = _filtered(reader, op, common)
    weights = fields["weights"]
    groups = reader.graph.shape(fields["inputs"][0])[3] // weights.shape[3]
    return Conv(**fields, window=_conv_window(reader, op, weights.shape[1:3]), groups=groups)


def _depthwise_conv(reader: TensorReader, op: Any, common: dict[str, Any]) -> Operator:
    fields = _filtered(reader, op, common)
    fields["weights"] = fields["weights"][0]
    window = _conv_window(reader, op, fields["weights"].shape[:2])
    channels = reader.graph.shape(fields["inputs"][0])[3]
    quantization = fields["weight_quantization"]
    if quantization is not None:
        fields["weight_quantization"] = dataclasses.replace(quantization, axis=2)
    multiplier = fields["weights"].shape[2] // channels
    return DepthwiseConv(**fields, window=window, multiplier=multiplier)


def _dense(reader: TensorReader, op: Any, common: dict[str, Any]) -> Operator:
    return Dense(**_filtered(reader, op, common))


def _pool(kind: Literal["max", "average"]) -> Callable[..., Operator]:
    def read(reader: TensorReader, op: Any, common: dict[str, Any]) -> Operator:
        o = op.builtinOptions
        same = o.padding == schema.Padding.SAME
        size, strides = (o.filterHeight, o.filterWidth), (o.strideH, o.strideW)
        window = _window(reader, op, size, same, strides, (1, 1))
        return Pool(**common, kind=kind, window=window, activation=_activation(op))

    return read


def _elementwise(reader: TensorReader, op: Any, common: dict[str, Any]) -> Operator:
    has_activation = hasattr(op.builtinOptions, "fusedActivationFunction")
    return Elementwise(**common, activation=_activation(op) if has_activation else "none")


def _unary(reader: TensorReader, op: Any, common: dict[str, Any]) -> Operator:
    return Unary(**common, alpha=float(getattr(op.builtinOptions, "alpha", 0.0) or 0.0))


def _prelu(reader: TensorReader, op: Any, common: dict[str, Any]) -> Operator:
    data, slopes = reader.graph.inputs(op)
    alpha, quantization = _numbers(reader, slopes), reader.values[slopes].quantization
    return Prelu(**{**common, "inputs": (data,)}, alpha=alpha, alpha_quantization=quantization)


def _concat(reader: TensorReader, op: Any, common: dict[str, Any]) -> Operator:
    rank = len(reader.graph.shape(common["output"]))
    return Concat(**common, axis=op.builtinOptions.axis % rank, activation=_activation(op))


def _pad(reader: TensorReader, op: Any, common: dict[str, Any]) -> Operator:
    data, pads, *values = reader.graph.inputs(op)
    pairs = tuple((int(before), int(after)) for before, after in _numbers(reader, pads))
    source = reader.values[data]
    value = 0.0 if source.quantization is None else float(source.quantization.zero_point[0])
    if values:
        value = float(_numbers(reader, values[0]).reshape(-1)[0])
    if source.dtype == "bits":
        raise Unexpected
    return Pad(**{**common, "inputs": (data,)}, pads=pairs, value=value)


def _reshape(reader: TensorReader, op: Any, common: dict[str, Any]) -> Operator:
    source, output = (reader.values[i] for i in (common["inputs"][0], common["output"]))
    if math.prod(source.shape) != math.prod(output.shape):
        raise Unexpected  # bits whose words are not full
    return Reshape(**{**common, "inputs": (source.index,)})


def _softmax(reader: TensorReader, op: Any, common: dict[str, Any]) -> Operator:
    return Softmax(**common, beta=float(op.builtinOptions.beta))


def _mean(reader: TensorReader, op: Any, common: dict[str, Any]) -> Operator:
    data, axes = reader.graph.inputs(op)
    rank = len(reader.graph.shape(data))
    found = tuple(sorted({int(a) % rank for a in _numbers(reader, axes).reshape(-1)}))
    keep = bool(op.builtinOptions.keepDims)
    return Mean(**{**common, "inputs": (data,)}, axes=found, keep_dims=keep)


def _rescale(reader: TensorReader, op: Any, common: dict[str, Any]) -> Operator:
    return Rescale(**common)


def _window(
    reader: TensorReader, op: Any, size: Sequence[int], same: bool, strides: Any, dilations: Any
) -> Window:
    """The window of an operator over the rows and columns of its first input."""
    data = reader.graph.shape(reader.graph.inputs(op)[0])[1:3]
    pads = [
        _pads(*each) if same else (0, 0)
        for each in zip(data, size, strides, dilations, strict=True)
    ]
    return Window(tuple(size), tuple(strides), tuple(dilations), tuple(pads))  # type: ignore[arg-type]


def _pads(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """(before, after) of TensorFlow's SAME."""
    out = -(-size // stride)
    needed = max((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return needed // 2, needed - needed // 2


OPERATORS: dict[str, Callable[..., Operator]] = {
    "LceQuantize": _sign_bits,
    "LceDequantize": _sign_values_op,
    "LceBconv2d": _binary_conv,
    "LceBMaxPool2d": _binary_max_pool,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise_conv,
    "FULLY_CONNECTED": _dense,
    "MAX_POOL_2D": _pool("max"),
    "AVERAGE_POOL_2D": _pool("average"),
    "PRELU": _prelu,
    "CONCATENATION": _concat,
    "PAD": _pad,
    "PADV2": _pad,
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "EXPAND_DIMS": _reshape,
    "SOFTMAX": _softmax,
    "MEAN": _mean,
    "QUANTIZE": _rescale,
    "DEQUANTIZE": _rescale,
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    **dict.fromkeys(_UNARY, _unary),
}
"""Name in the file → what reads such an operator: (reader, operator, common fields) → operator."""
