"""Small .tflite files with LCE's operators, written field by field."""

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import flexbuffers

from onebit.bits import pack, packed_length
from onebit.keras import tf  # noqa: F401  (before the schema, which imports TensorFlow too)

from tensorflow.lite.python import schema_py_generated as schema  # isort: skip

TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.bool_): schema.TensorType.BOOL,
}
NUMPY_TYPES = {code: dtype for dtype, code in TYPES.items()}
ABSENT = -1


def options(**values: Any) -> bytes:
    """A FlexBuffer map."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for key, value in values.items():
            if isinstance(value, str):
                builder.String(key, value)
            else:
                builder.Int(key, int(value))
    return bytes(builder.Finish())


class Graph:
    """Collects tensors and operators; `build` gives the file."""

    def __init__(self):
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = "test"
        self.model.operatorCodes = []
        self.model.buffers = [schema.BufferT()]
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def tensor(
        self,
        shape: Sequence[int],
        dtype: Any = np.float32,
        data: np.ndarray | None = None,
        scale: float | None = None,
        zero_point: int = 0,
    ) -> int:
        t = schema.TensorT()
        t.shape = list(shape)
        t.type = TYPES[np.dtype(dtype)]
        t.name = f"tensor{len(self.graph.tensors)}"
        t.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            t.buffer = len(self.model.buffers) - 1
        if scale is not None:
            t.quantization = schema.QuantizationParametersT()
            t.quantization.scale = [scale]
            t.quantization.zeroPoint = [zero_point]
        self.graph.tensors.append(t)
        return len(self.graph.tensors) - 1

    def constant(self, data: np.ndarray) -> int:
        return self.tensor(data.shape, data.dtype, data)

    def operator(
        self,
        name: str | int,
        inputs: Sequence[int],
        outputs: Sequence[int],
        custom: bytes | None = None,
        builtin: tuple[int, Any] | None = None,
    ) -> None:
        code = schema.OperatorCodeT()
        if isinstance(name, str):
            code.customCode, code.builtinCode = name, schema.BuiltinOperator.CUSTOM
        else:
            code.builtinCode = name
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = 1
        self.model.operatorCodes.append(code)
        op = schema.OperatorT()
        op.opcodeIndex = len(self.model.operatorCodes) - 1
        op.inputs, op.outputs = list(inputs), list(outputs)
        if custom is not None:
            op.customOptions = np.frombuffer(custom, np.uint8)
        if builtin is not None:
            op.builtinOptionsType, op.builtinOptions = builtin
        self.graph.operators.append(op)

    def quantize(self, value: int) -> int:
        shape = list(self.graph.tensors[value].shape)
        bits = self.tensor([*shape[:-1], packed_length(shape[-1])], np.int32)
        self.operator("LceQuantize", [value], [bits], b"")
        return bits

    def dequantize(self, bits: int, channels: int, dtype: Any = np.float32, **quantization) -> int:
        shape = list(self.graph.tensors[bits].shape)
        value = self.tensor([*shape[:-1], channels], dtype, **quantization)
        self.operator("LceDequantize", [bits], [value], b"")
        return value

    def shape(self, tensor: int) -> list[int]:
        return list(self.graph.tensors[tensor].shape)

    def add(self, a: int, b: int, activation: int = 0) -> int:
        return self._elementwise("ADD", a, b, activation)

    def multiply(self, a: int, b: int, activation: int = 0) -> int:
        return self._elementwise("MUL", a, b, activation)

    def _elementwise(self, kind: str, a: int, b: int, activation: int) -> int:
        out = self.tensor(np.broadcast_shapes(tuple(self.shape(a)), tuple(self.shape(b))))
        name = f"{kind.capitalize()}Options"
        op = getattr(schema, f"{name}T")()
        op.fusedActivationFunction = activation
        options = getattr(schema.BuiltinOptions, name)
        code = getattr(schema.BuiltinOperator, kind)
        self.operator(code, [a, b], [out], builtin=(options, op))
        return out

    # Operators that are always the interpreter's.

    def subtract(self, a: int, b: int, activation: int = 0) -> int:
        return self._elementwise("SUB", a, b, activation)

    def maximum(self, a: int, b: int) -> int:
        out = self.tensor(np.broadcast_shapes(tuple(self.shape(a)), tuple(self.shape(b))))
        builtin = schema.BuiltinOptions.MaximumMinimumOptions, schema.MaximumMinimumOptionsT()
        self.operator(schema.BuiltinOperator.MAXIMUM, [a, b], [out], builtin=builtin)
        return out

    def relu(self, value: int) -> int:
        out = self.tensor(self.shape(value))
        self.operator(schema.BuiltinOperator.RELU, [value], [out])
        return out

    def pad(self, value: int, pads: Sequence[tuple[int, int]]) -> int:
        """Zeros before and after each dimension."""
        out = self.tensor([a + n + b for n, (a, b) in zip(self.shape(value), pads, strict=True)])
        builtin = schema.BuiltinOptions.PadOptions, schema.PadOptionsT()
        inputs = [value, self.constant(np.array(pads, np.int32))]
        self.operator(schema.BuiltinOperator.PAD, inputs, [out], builtin=builtin)
        return out

    def split(self, value: int, parts: int) -> list[int]:
        """Equal parts of the channels."""
        *rows, channels = self.shape(value)
        outs = [self.tensor([*rows, channels // parts]) for _ in range(parts)]
        op = schema.SplitOptionsT()
        op.numSplits = parts
        inputs = [self.constant(np.array(-1, np.int32)), value]
        builtin = schema.BuiltinOptions.SplitOptions, op
        self.operator(schema.BuiltinOperator.SPLIT, inputs, outs, builtin=builtin)
        return outs

    def dequantize_int8(self, value: int) -> int:
        """The floats that an int8 tensor stands for."""
        out = self.tensor(self.shape(value))
        builtin = schema.BuiltinOptions.DequantizeOptions, schema.DequantizeOptionsT()
        self.operator(schema.BuiltinOperator.DEQUANTIZE, [value], [out], builtin=builtin)
        return out

    def reshape(self, value: int, shape: Sequence[int]) -> int:
        out = self.tensor(shape)
        inputs = [value, self.constant(np.array(shape, np.int32))]
        op = schema.ReshapeOptionsT()
        op.newShape = list(shape)
        kind = schema.BuiltinOptions.ReshapeOptions
        self.operator(schema.BuiltinOperator.RESHAPE, inputs, [out], builtin=(kind, op))
        return out

    def bconv(
        self,
        bits: int,
        filters: np.ndarray,
        *,
        channels_in: int,
        scale: np.ndarray | None = None,
        bias: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
        out_type: Any = np.float32,
        **options: Any,
    ) -> int:
        """LceBconv2d with ±1 filters `[O, KH, KW, C / groups]`.

        Args:
            bits: The packed input.
            filters: Its weights.
            channels_in: Of the input.
            scale: The multiplier of float and int8 outputs.
            bias: Theirs, too.
            thresholds: Those of a bitpacked output.
            out_type: float32, int8 or, for bits, int32.
            options: `stride`, `dilation`, `same`, `pad_values`, `activation`; `quantization` of an
                int8 output.
        """
        case = {"stride": (1, 1), "dilation": (1, 1), "same": True, "pad_values": 1}
        case |= {"activation": 0, "channels_in": channels_in} | options
        quantization = case.pop("quantization", {})
        batch, *size, _ = self.shape(bits)
        outputs = filters.shape[0]
        spatial = windows(size, filters.shape[1:3], case["stride"], case["dilation"], case["same"])
        depth = packed_length(outputs) if out_type == np.int32 else outputs
        out = self.tensor([batch, *spatial, depth], out_type, **quantization)
        constants = [
            ABSENT if array is None else self.constant(np.asarray(array, dtype))
            for array, dtype in ((scale, np.float32), (bias, np.float32), (thresholds, np.int32))
        ]
        inputs = [bits, self.constant(pack(filters)), *constants]
        self.operator("LceBconv2d", inputs, [out], bconv_options(case))
        return out

    def max_pool_bits(
        self, bits: int, window: tuple[int, int], stride: tuple[int, int], same: bool
    ) -> int:
        batch, *size, words = self.shape(bits)
        out = self.tensor([batch, *windows(size, window, stride, (1, 1), same), words], np.int32)
        custom = options(
            filter_height=window[0], filter_width=window[1],
            stride_height=stride[0], stride_width=stride[1], padding=0 if same else 1,
        )  # fmt: skip
        self.operator("LceBMaxPool2d", [bits], [out], custom)
        return out

    def conv(
        self,
        value: int,
        filters: int,
        bias: int = ABSENT,
        *,
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        same: bool = True,
        activation: int = 0,
        depthwise: bool = False,
    ) -> int:
        """CONV_2D or DEPTHWISE_CONV_2D of floats with a filter tensor."""
        batch, *size, channels = self.shape(value)
        outputs, *kernel, depth = self.shape(filters)
        spatial = windows(size, kernel, stride, dilation, same)
        out = self.tensor([batch, *spatial, depth if depthwise else outputs])
        multiplier = depth // channels if depthwise else 1
        builtin = conv_options(stride, dilation, same, depthwise, activation, multiplier)
        name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        code = getattr(schema.BuiltinOperator, name)
        self.operator(code, [value, filters, bias], [out], builtin=builtin)
        return out

    def dense(
        self,
        value: int,
        weights: int,
        bias: int = ABSENT,
        *,
        activation: int = 0,
        keep_dims: bool = False,
    ) -> int:
        """FULLY_CONNECTED, which flattens its input unless `keep_dims`."""
        shape, (outputs, depth) = self.shape(value), self.shape(weights)
        rows = shape[:-1] if keep_dims else [int(np.prod(shape)) // depth]
        out = self.tensor([*rows, outputs])
        builtin = dense_options(keep_dims, activation)
        inputs = [value, weights, bias]
        self.operator(schema.BuiltinOperator.FULLY_CONNECTED, inputs, [out], builtin=builtin)
        return out

    def concatenate(self, values: Sequence[int], axis: int = -1) -> int:
        shapes = [self.graph.tensors[value].shape for value in values]
        shape = list(shapes[0])
        shape[axis] = sum(s[axis] for s in shapes)
        out = self.tensor(shape)
        op = schema.ConcatenationOptionsT()
        op.axis = axis
        kind = schema.BuiltinOptions.ConcatenationOptions
        self.operator(schema.BuiltinOperator.CONCATENATION, values, [out], builtin=(kind, op))
        return out

    def max_pool(
        self,
        value: int,
        window: tuple[int, int],
        stride: tuple[int, int],
        same: bool = True,
        activation: int = 0,
    ) -> int:
        batch, *size, channels = self.shape(value)
        out = self.tensor([batch, *windows(size, window, stride, (1, 1), same), channels])
        op = schema.Pool2DOptionsT()
        op.filterHeight, op.filterWidth = window
        op.strideH, op.strideW = stride
        op.padding = schema.Padding.SAME if same else schema.Padding.VALID
        op.fusedActivationFunction = activation
        kind = schema.BuiltinOptions.Pool2DOptions
        self.operator(schema.BuiltinOperator.MAX_POOL_2D, [value], [out], builtin=(kind, op))
        return out

    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def windows(
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    same: bool,
) -> list[int]:
    """The positions of a window along each dimension, as TensorFlow counts them."""
    if same:
        return [-(-a // s) for a, s in zip(size, stride, strict=True)]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    return [(a - r) // s + 1 for a, r, s in zip(size, reach, stride, strict=True)]


def bconv_options(case: Mapping[str, Any]) -> bytes:
    """The options of LceBconv2d for a `Case`-like mapping."""
    return options(
        channels_in=case["channels_in"],
        dilation_height_factor=case["dilation"][0],
        dilation_width_factor=case["dilation"][1],
        fused_activation_function=case["activation"],
        pad_values=case["pad_values"],
        padding=0 if case["same"] else 1,
        stride_height=case["stride"][0],
        stride_width=case["stride"][1],
    )


def dense_options(keep_dims: bool = False, activation: int = 0) -> tuple[int, Any]:
    o = schema.FullyConnectedOptionsT()
    o.keepNumDims, o.fusedActivationFunction = keep_dims, activation
    return schema.BuiltinOptions.FullyConnectedOptions, o


def conv_options(
    stride: Sequence[int],
    dilation: Sequence[int],
    same: bool,
    depthwise: bool = False,
    activation: int = 0,
    multiplier: int = 1,
) -> tuple[int, Any]:
    o = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    o.padding = schema.Padding.SAME if same else schema.Padding.VALID
    o.strideH, o.strideW = stride
    o.dilationHFactor, o.dilationWFactor = dilation
    o.fusedActivationFunction = activation
    kind = schema.BuiltinOptions
    if depthwise:
        o.depthMultiplier = multiplier
        return kind.DepthwiseConv2DOptions, o
    return kind.Conv2DOptions, o


def elementwise(
    graph: Graph, kind: str, value: int, constant: np.ndarray, activation: int = 0
) -> int:
    """MUL or ADD of a constant."""
    operation = graph.multiply if kind == "MUL" else graph.add
    return operation(value, graph.constant(constant), activation)
