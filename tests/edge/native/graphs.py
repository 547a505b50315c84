"""Small .tflite files with LCE's operators, written field by field."""

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import flexbuffers

from onebit.bits import packed_length
from onebit.keras import tf  # noqa: F401  (before the schema, which imports TensorFlow too)

from tensorflow.lite.python import schema_py_generated as schema  # isort: skip

TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.bool_): schema.TensorType.BOOL,
}
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

    def add(self, a: int, b: int, activation: int = 0) -> int:
        out = self.tensor(self.graph.tensors[a].shape)
        op = schema.AddOptionsT()
        op.fusedActivationFunction = activation
        kind = schema.BuiltinOptions.AddOptions
        self.operator(schema.BuiltinOperator.ADD, [a, b], [out], builtin=(kind, op))
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
        n, *size, channels = self.graph.tensors[value].shape
        if same:
            pooled = [-(-a // s) for a, s in zip(size, stride, strict=True)]
        else:
            pooled = [(a - w) // s + 1 for a, w, s in zip(size, window, stride, strict=True)]
        out = self.tensor([n, *pooled, channels])
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
