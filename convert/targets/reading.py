"""A `.tflite` file → its `Network`."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convert.auditing.describe import tensor_label
from convert.errors import ConversionError, FlatbufferError
from convert.targets.network import (
    Activation,
    BinaryConv,
    BinaryMaxPool,
    Concat,
    Conv,
    Dense,
    DepthwiseConv,
    DType,
    Elementwise,
    Filtered,
    Mean,
    Network,
    Operator,
    Other,
    Pad,
    Pool,
    Prelu,
    Quantization,
    Rescale,
    Reshape,
    SignBits,
    SignValues,
    Softmax,
    Unary,
    Value,
    Window,
)
from convert.tflite.filters import binary_filter_shape
from convert.tflite.graph import DAMAGE, Graph, schema
from convert.tflite.signature import input_names, output_names
from onebit import bits

_TYPES: dict[str, DType] = {
    "FLOAT32": "float32",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}
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
_READS_BITS = ("LceBconv2d", "LceBMaxPool2d", "LceDequantize")


def read_network(content: bytes, name: str = "the file") -> Network:
    """The network of a `.tflite` file, ours or any other.

    What follows from constants only is computed; scales and biases that stand in operators behind
    a packed filter belong to the operator with the filter. Operators that no target knows, and
    those with options that none expects, are `Other`.

    Args:
        content: The whole file.
        name: What error messages call it.

    Raises:
        FlatbufferError: The content is not a well-formed `.tflite` file.
        ConversionError: It has loops or branches, or shapes that are known only when it runs.
    """
    graph = Graph.from_bytes(content, name)
    try:
        return _Reader(graph, name).network()
    except DAMAGE as error:
        raise FlatbufferError(
            f"{name} cannot be read: the shapes, options or constants of an operator do not fit "
            "together"
        ) from error


class _Reader:
    """Reads operators in execution order; each value is known when the first operator reads it."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name
        self.values: dict[int, Value] = {}
        self.operators: list[Operator] = []

    def network(self) -> Network:
        graph = self.graph
        for op in graph.operators:
            if graph.callees(op):
                raise ConversionError(
                    f"{self.name} has loops or branches ({graph.op_name(op)}), which no target "
                    "can express"
                )
        inputs, outputs = (
            tuple(map(int, ends)) for ends in (graph.subgraph.inputs, graph.subgraph.outputs)
        )
        for index in inputs:
            self.values[index] = self._input(index)
        for op in graph.operators:
            if not self._compute(op):
                self.operators.append(self._operator(op))
        operators = _with_scales(self.operators, self.values, outputs)
        used = {*inputs, *outputs}
        used.update(i for o in operators for i in (*o.inputs, o.output))
        return Network(
            {index: value for index, value in self.values.items() if index in used},
            tuple(operators),
            inputs,
            outputs,
            tuple(input_names(graph)),
            tuple(output_names(graph)),
        )

    # --- values

    def _input(self, index: int) -> Value:
        value = self._value(index)
        readers = self.graph.consumers(index)
        for op in readers:
            kind = self.graph.op_name(op)
            if kind in _READS_BITS and self.graph.inputs(op)[0] == index:
                channels = value.shape[-1] * bits.WORD_BITS
                if kind == "LceBconv2d":
                    channels = int(self.graph.custom_options(op)["channels_in"])
                elif kind == "LceDequantize":
                    channels = self.graph.shape(self.graph.outputs(op)[0])[-1]
                return self._value(index, channels)
        return value

    def _value(self, index: int, channels: int | None = None) -> Value:
        """A tensor as the file describes it; bits where `channels` says how many."""
        graph, tensor = self.graph, self.graph.subgraph.tensors[index]
        shape = tuple(graph.shape(index))
        if any(d < 1 for d in [*shape, *(tensor.shapeSignature if _dynamic(tensor) else [])]):
            raise ConversionError(
                f"{self.name}: the shape of {graph.tensor_name(index)} is known only when it runs",
                hint="convert a model with static shapes",
            )
        kind = graph.type_name(index)
        if channels is not None:
            return Value(index, graph.tensor_name(index), (*shape[:-1], channels), "bits")
        dtype = _TYPES.get(kind)
        if dtype is None:
            raise ConversionError(
                f"{self.name}: {graph.tensor_name(index)} is {kind}, which no target can express"
            )
        return Value(
            index,
            graph.tensor_name(index),
            shape,
            dtype,
            _quantization(tensor),
            graph.constant(index),
        )

    def _known(self, index: int) -> Value:
        """A value that is read: computed before, or a constant."""
        if index not in self.values:
            self.values[index] = self._value(index)
        return self.values[index]

    def _constant(self, index: int) -> NDArray[Any] | None:
        return self._known(index).constant if index >= 0 else None

    def _compute(self, op: Any) -> bool:
        """Computes an operator that unpacks constants; False for any other."""
        graph, kind = self.graph, self.graph.op_name(op)
        if kind not in ("LceDequantize", "RESHAPE", "DEQUANTIZE"):
            return False
        source, output = self._known(graph.inputs(op)[0]), self._value(graph.outputs(op)[0])
        if source.constant is None:
            return False
        constant = source.constant
        if kind == "LceDequantize":
            constant = sign_values(bits.unpack(constant, output.shape[-1]), output)
        elif kind == "DEQUANTIZE":
            constant = real_values(constant, source.quantization)
        self.values[output.index] = dataclasses.replace(
            output, constant=constant.reshape(output.shape)
        )
        return True

    # --- operators

    def _operator(self, op: Any) -> Operator:
        graph, kind = self.graph, self.graph.op_name(op)
        reader: Callable[..., Operator] | None = _READERS.get(kind)
        if kind in _ELEMENTWISE:
            reader = _elementwise
        elif kind in _UNARY:
            reader = _unary
        inputs = [self._known(i) for i in graph.inputs(op) if i >= 0]
        index = graph.outputs(op)[0]
        common: dict[str, Any] = {
            "name": tensor_label(graph, index),
            "op": kind,
            "inputs": tuple(value.index for value in inputs),
            "output": index,
        }
        channels = _channels_of_bits(graph, op, inputs)
        self.values[index] = self._value(index, channels)
        for extra in graph.outputs(op)[1:]:
            self.values[extra] = self._value(extra)
        several = len(graph.outputs(op)) != 1
        if reader is not None and not several:
            try:
                return reader(self, op, common)
            except _Unexpected:
                pass
        builtin = {} if op.builtinOptions is None else vars(op.builtinOptions)
        options = graph.custom_options(op) or builtin
        return Other(**common, options=options)

    def window(
        self, op: Any, size: Sequence[int], same: bool, strides: Any, dilations: Any
    ) -> Window:
        """The window of an operator over the rows and columns of its first input."""
        data = self.graph.shape(self.graph.inputs(op)[0])[1:3]
        pads = [
            _pads(*each) if same else (0, 0)
            for each in zip(data, size, strides, dilations, strict=True)
        ]
        return Window(tuple(size), tuple(strides), tuple(dilations), tuple(pads))  # type: ignore[arg-type]


class _Unexpected(Exception):  # noqa: N818 (not an error: such an operator is `Other`)
    """An operator has options or operands that its dataclass cannot hold."""


def _dynamic(tensor: Any) -> bool:
    return tensor.shapeSignature is not None and len(tensor.shapeSignature) > 0


def _quantization(tensor: Any) -> Quantization | None:
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


def _pads(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """(before, after) of TensorFlow's SAME."""
    out = -(-size // stride)
    needed = max((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return needed // 2, needed - needed // 2


def _channels_of_bits(graph: Graph, op: Any, inputs: list[Value]) -> int | None:
    """The channels of an operator's output where that is bits; None where it is numbers."""
    kind, output = graph.op_name(op), graph.outputs(op)[0]
    if kind == "LceQuantize":
        return inputs[0].shape[-1]
    if kind == "LceBconv2d":
        is_words = graph.type_name(output) == "INT32"
        return binary_filter_shape(graph, op)[0] if is_words else None
    if kind == "LceBMaxPool2d":
        return inputs[0].shape[-1]
    if kind in ("RESHAPE", "SQUEEZE", "EXPAND_DIMS") and inputs[0].dtype == "bits":
        words = graph.shape(output)[-1]
        if words == bits.packed_length(inputs[0].shape[-1]):
            return inputs[0].shape[-1]
        if inputs[0].shape[-1] % bits.WORD_BITS == 0:
            return words * bits.WORD_BITS
    if any(value.dtype == "bits" for value in inputs) and graph.type_name(output) == "INT32":
        return graph.shape(output)[-1] * bits.WORD_BITS
    return None


def _activation(op: Any) -> Activation:
    found = _ACTIVATIONS.get(op.builtinOptions.fusedActivationFunction)
    if found is None:
        raise _Unexpected
    return found


def _numbers(reader: _Reader, index: int) -> NDArray[Any]:
    """A constant that an operator needs."""
    found = reader._constant(index)
    if found is None:
        raise _Unexpected
    return found


def _sign_bits(reader: _Reader, op: Any, common: dict[str, Any]) -> Operator:
    return SignBits(**common)


def _sign_values_op(reader: _Reader, op: Any, common: dict[str, Any]) -> Operator:
    return SignValues(**common)


def _binary_conv(reader: _Reader, op: Any, common: dict[str, Any]) -> Operator:
    graph = reader.graph
    options = graph.custom_options(op)
    data, filters, *constants = graph.inputs(op)
    shape = binary_filter_shape(graph, op)
    words = _numbers(reader, filters)
    window = reader.window(
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
        raise _Unexpected
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


def _binary_max_pool(reader: _Reader, op: Any, common: dict[str, Any]) -> Operator:
    options = reader.graph.custom_options(op)
    window = reader.window(
        op,
        (options["filter_height"], options["filter_width"]),
        options["padding"] == _SAME,
        (options["stride_height"], options["stride_width"]),
        (1, 1),
    )
    return BinaryMaxPool(**common, window=window)


def _filtered(reader: _Reader, op: Any, common: dict[str, Any]) -> dict[str, Any]:
    """The fields of an operator with a filter; the filter is left as the file has it."""
    graph = reader.graph
    data, filters, *_ = graph.inputs(op)
    bias, weights = graph.bias_input(op), _numbers(reader, filters)
    if getattr(op.builtinOptions, "weightsFormat", 0) != 0:
        raise _Unexpected
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


def _conv_window(reader: _Reader, op: Any, size: Sequence[int]) -> Window:
    o = op.builtinOptions
    same = o.padding == schema.Padding.SAME
    dilations = (o.dilationHFactor, o.dilationWFactor)
    return reader.window(op, size, same, (o.strideH, o.strideW), dilations)


def _conv(reader: _Reader, op: Any, common: dict[str, Any]) -> Operator:
    fields = _filtered(reader, op, common)
    weights = fields["weights"]
    groups = reader.graph.shape(fields["inputs"][0])[3] // weights.shape[3]
    return Conv(**fields, window=_conv_window(reader, op, weights.shape[1:3]), groups=groups)


def _depthwise_conv(reader: _Reader, op: Any, common: dict[str, Any]) -> Operator:
    fields = _filtered(reader, op, common)
    fields["weights"] = fields["weights"][0]
    window = _conv_window(reader, op, fields["weights"].shape[:2])
    channels = reader.graph.shape(fields["inputs"][0])[3]
    quantization = fields["weight_quantization"]
    if quantization is not None:
        fields["weight_quantization"] = dataclasses.replace(quantization, axis=2)
    multiplier = fields["weights"].shape[2] // channels
    return DepthwiseConv(**fields, window=window, multiplier=multiplier)


def _dense(reader: _Reader, op: Any, common: dict[str, Any]) -> Operator:
    return Dense(**_filtered(reader, op, common))


def _pool(kind: Literal["max", "average"]) -> Callable[..., Operator]:
    def read(reader: _Reader, op: Any, common: dict[str, Any]) -> Operator:
        o = op.builtinOptions
        same = o.padding == schema.Padding.SAME
        size, strides = (o.filterHeight, o.filterWidth), (o.strideH, o.strideW)
        window = reader.window(op, size, same, strides, (1, 1))
        return Pool(**common, kind=kind, window=window, activation=_activation(op))

    return read


def _elementwise(reader: _Reader, op: Any, common: dict[str, Any]) -> Operator:
    has_activation = hasattr(op.builtinOptions, "fusedActivationFunction")
    return Elementwise(**common, activation=_activation(op) if has_activation else "none")


def _unary(reader: _Reader, op: Any, common: dict[str, Any]) -> Operator:
    return Unary(**common, alpha=float(getattr(op.builtinOptions, "alpha", 0.0) or 0.0))


def _prelu(reader: _Reader, op: Any, common: dict[str, Any]) -> Operator:
    data, slopes = reader.graph.inputs(op)
    alpha, quantization = _numbers(reader, slopes), reader.values[slopes].quantization
    return Prelu(**{**common, "inputs": (data,)}, alpha=alpha, alpha_quantization=quantization)


def _concat(reader: _Reader, op: Any, common: dict[str, Any]) -> Operator:
    rank = len(reader.graph.shape(common["output"]))
    return Concat(**common, axis=op.builtinOptions.axis % rank, activation=_activation(op))


def _pad(reader: _Reader, op: Any, common: dict[str, Any]) -> Operator:
    data, pads, *values = reader.graph.inputs(op)
    pairs = tuple((int(before), int(after)) for before, after in _numbers(reader, pads))
    source = reader.values[data]
    value = 0.0 if source.quantization is None else float(source.quantization.zero_point[0])
    if values:
        value = float(_numbers(reader, values[0]).reshape(-1)[0])
    if source.dtype == "bits":
        raise _Unexpected
    return Pad(**{**common, "inputs": (data,)}, pads=pairs, value=value)


def _reshape(reader: _Reader, op: Any, common: dict[str, Any]) -> Operator:
    source, output = (reader.values[i] for i in (common["inputs"][0], common["output"]))
    if math.prod(source.shape) != math.prod(output.shape):
        raise _Unexpected  # bits whose words are not full
    return Reshape(**{**common, "inputs": (source.index,)})


def _softmax(reader: _Reader, op: Any, common: dict[str, Any]) -> Operator:
    return Softmax(**common, beta=float(op.builtinOptions.beta))


def _mean(reader: _Reader, op: Any, common: dict[str, Any]) -> Operator:
    data, axes = reader.graph.inputs(op)
    rank = len(reader.graph.shape(data))
    found = tuple(sorted({int(a) % rank for a in _numbers(reader, axes).reshape(-1)}))
    keep = bool(op.builtinOptions.keepDims)
    return Mean(**{**common, "inputs": (data,)}, axes=found, keep_dims=keep)


def _rescale(reader: _Reader, op: Any, common: dict[str, Any]) -> Operator:
    return Rescale(**common)


_READERS: dict[str, Callable[..., Operator]] = {
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
}


def _with_scales(
    operators: list[Operator], values: dict[int, Value], outputs: Sequence[int]
) -> list[Operator]:
    """Operators with the MUL by scales and the ADD of biases behind a packed filter put into it.

    `act((Σ x·w + 0)·scale + bias)` in the file's order of roundings: what cannot be said that way
    stays as it is.
    """
    kept: list[Operator] = []
    by_output: dict[int, int] = {}  # value → position in `kept` of a layer that ends in it
    for operator in operators:
        layer = next((kept[by_output[i]] for i in operator.inputs if i in by_output), None)
        merged = None
        if (
            isinstance(layer, Filtered)
            and isinstance(operator, Elementwise)
            and _reads(operators, layer.output) == 1
            and layer.output not in outputs
        ):
            merged = _merged(layer, operator, values)
        if merged is None or not isinstance(layer, Filtered):
            if isinstance(operator, Filtered) and operator.is_binary:
                by_output[operator.output] = len(kept)
            kept.append(operator)
            continue
        position = by_output.pop(layer.output)
        # Nothing reads the layer before the operator that it is merged with.
        kept[position] = merged
        by_output[merged.output] = position
    return kept


def _reads(operators: list[Operator], index: int) -> int:
    return sum(operator.inputs.count(index) for operator in operators)


def _merged(layer: Filtered, operator: Elementwise, values: dict[int, Value]) -> Filtered | None:
    """A float layer with the operation behind it, or None where its roundings would differ."""
    operands = [values[i].constant for i in operator.inputs if i != layer.output]
    channels = values[layer.output].shape[-1]
    if len(operands) != 1 or operands[0] is None or layer.activation != "none":
        return None
    constant = operands[0]
    if constant.dtype != np.float32 or constant.shape not in ((channels,), (1,), ()):
        return None
    constant = np.broadcast_to(constant.reshape(-1), (channels,))
    fields: dict[str, Any] = {"output": operator.output, "activation": operator.activation}
    no_bias = layer.bias is None or not layer.bias.any()
    if operator.op == "MUL" and layer.scale is None and no_bias:
        return dataclasses.replace(layer, scale=constant, bias=None, **fields)
    if operator.op == "ADD" and no_bias:
        return dataclasses.replace(layer, bias=constant, **fields)
    return None
