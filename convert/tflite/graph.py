"""`.tflite` files as object trees: reading, writing, and the questions that passes and audit ask.

The generated schema that LiteRT ships (`ModelT`, `SubGraphT`, `OperatorT`, `TensorT`, `BufferT`) is
the tree; a `Graph` wraps one subgraph of it with names for codes and arrays for buffers.
The first subgraph is the model; others are the conditions and bodies of its loops and branches.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers
from numpy.typing import NDArray

from convert.errors import FlatbufferError
from convert.tflite.damage import DAMAGE
from convert.tflite.options import fill_in_options
from onebit.files import TFLITE_IDENTIFIER

FLOAT32 = schema.TensorType.FLOAT32
INT32 = schema.TensorType.INT32
INT8 = schema.TensorType.INT8

FILTERED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
"""Operators whose input 1 is a filter that can be packed, and which TensorFlow Lite quantizes."""

FILTERED_3D = ("CONV_3D", "CONV_3D_TRANSPOSE")
"""Operators whose input 1 is a filter for volumes."""

# Where an operator's data and its optional bias `[O]` are, if not at 0 and 2.
_DATA_INPUT = {"TRANSPOSE_CONV": 2, "CONV_3D_TRANSPOSE": 2, "SPLIT": 1}
_BIAS_INPUT = {"TRANSPOSE_CONV": 3, "CONV_3D_TRANSPOSE": 3}


def _invert(enumeration: type) -> dict[int, str]:
    return {v: k for k, v in vars(enumeration).items() if isinstance(v, int)}


_OP_NAMES = _invert(schema.BuiltinOperator)
_TYPE_NAMES = _invert(schema.TensorType)
DTYPES: Mapping[int, np.dtype[Any]] = {
    schema.TensorType.FLOAT64: np.dtype("<f8"),
    schema.TensorType.FLOAT32: np.dtype("<f4"),
    schema.TensorType.FLOAT16: np.dtype("<f2"),
    schema.TensorType.INT64: np.dtype("<i8"),
    schema.TensorType.INT32: np.dtype("<i4"),
    schema.TensorType.INT16: np.dtype("<i2"),
    schema.TensorType.INT8: np.dtype("i1"),
    schema.TensorType.UINT64: np.dtype("<u8"),
    schema.TensorType.UINT32: np.dtype("<u4"),
    schema.TensorType.UINT16: np.dtype("<u2"),
    schema.TensorType.UINT8: np.dtype("u1"),
    schema.TensorType.BOOL: np.dtype("?"),
}
"""Types of tensors that NumPy has too."""


class Graph:
    """One subgraph of a `.tflite` model, as operators and tensors.

    Attributes:
        model: The whole object tree.
        number: The subgraph's position in the model.
        subgraph: The subgraph.
    """

    def __init__(self, model: Any, number: int = 0) -> None:
        self.model, self.number = model, number
        self.subgraph = model.subgraphs[number]
        self._links: tuple[dict[int, Any], dict[int, list[Any]]] | None = None

    @classmethod
    def from_bytes(cls, content: bytes, name: str = "the file") -> "Graph":
        """Parses a `.tflite` file; gives its first subgraph.

        Args:
            content: The whole file.
            name: What error messages call it.

        Raises:
            FlatbufferError: The content is truncated, damaged or not a `.tflite` file.
        """
        if content[4:8] != TFLITE_IDENTIFIER:
            raise FlatbufferError(f"{name} is not a .tflite file")
        try:
            graph = cls(schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0)))
            for subgraph in graph.subgraphs():
                subgraph._check_references()
                for op in subgraph.operators:
                    fill_in_options(subgraph.op_name(op), op)
        except DAMAGE as error:
            raise FlatbufferError(f"{name} is truncated or damaged: convert it again") from error
        return graph

    def _check_references(self) -> None:
        model, subgraph = self.model, self.subgraph
        tensors, buffers = range(len(subgraph.tensors)), range(len(model.buffers))
        for index, tensor in enumerate(subgraph.tensors):
            if tensor.buffer not in buffers:
                raise ValueError("a tensor refers to a buffer that does not exist")
            self.constant(index)  # raises if the shape and the bytes disagree
        for op in self.operators:
            if op.opcodeIndex not in range(len(model.operatorCodes)):
                raise ValueError("an operator refers to a code that does not exist")
            used = [*self.inputs(op), *self.outputs(op)]
            used += [] if op.intermediates is None else map(int, op.intermediates)
            if any(i != -1 and i not in tensors for i in used):
                raise ValueError("an operator refers to a tensor that does not exist")
            if any(i not in range(len(model.subgraphs)) for i in self.callees(op)):
                raise ValueError("an operator refers to a subgraph that does not exist")
        ends = [*map(int, subgraph.inputs), *map(int, subgraph.outputs)]
        for signature in self.signatures():
            entries = [*(signature.inputs or []), *(signature.outputs or [])]
            ends += [entry.tensorIndex for entry in entries]
        if any(i not in tensors for i in ends):
            raise ValueError("an input or output refers to a tensor that does not exist")
        held = [entry.buffer for entry in model.metadata or []]
        held += [] if model.metadataBuffer is None else map(int, model.metadataBuffer)
        if any(i not in buffers for i in held):
            raise ValueError("metadata refer to a buffer that does not exist")

    def to_bytes(self) -> bytes:
        """The `.tflite` file of the graph."""
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), file_identifier=TFLITE_IDENTIFIER)
        return bytes(builder.Output())

    # --- questions

    def subgraphs(self) -> list["Graph"]:
        """All subgraphs of the model, this one included."""
        numbers = range(len(self.model.subgraphs))
        return [self if number == self.number else Graph(self.model, number) for number in numbers]

    @property
    def operators(self) -> list[Any]:
        """The operators in execution order."""
        return self.subgraph.operators or []

    def callees(self, op: Any) -> list[int]:
        """The numbers of the subgraphs that an operator runs: a loop's or a branch's."""
        options = [op.builtinOptions, op.builtinOptions2]
        fields = [field for each in options if each is not None for field in vars(each).items()]
        return [int(value) for name, value in fields if "ubgraph" in name]

    def op_name(self, op: Any) -> str:
        """The builtin's name (`CONV_2D`) or the custom code (`LceBconv2d`)."""
        code = self.model.operatorCodes[op.opcodeIndex]
        if code.customCode:
            return code.customCode.decode("utf-8", "replace")
        # Builtins below 127 may be stored in the old 8-bit field only.
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        return _OP_NAMES.get(number, f"BUILTIN_{number}")

    @staticmethod
    def inputs(op: Any) -> list[int]:
        """The indices of an operator's input tensors; -1 stands for an absent one."""
        return [] if op.inputs is None else [int(i) for i in op.inputs]

    @staticmethod
    def outputs(op: Any) -> list[int]:
        """The indices of an operator's output tensors."""
        return [] if op.outputs is None else [int(i) for i in op.outputs]

    def data_input(self, op: Any) -> int:
        """The tensor that an operator works on, where others are filters, shapes or axes."""
        return self.inputs(op)[_DATA_INPUT.get(self.op_name(op), 0)]

    def bias_input(self, op: Any) -> int:
        """The bias of an operator with a filter; -1 where it has none."""
        bias = self.inputs(op)[len(self.inputs_before_bias(op)) :]
        return bias[0] if bias else -1

    def inputs_before_bias(self, op: Any) -> list[int]:
        """The inputs of an operator with a filter, without its optional bias."""
        return self.inputs(op)[: _BIAS_INPUT.get(self.op_name(op), 2)]

    def shape(self, index: int) -> list[int]:
        """The static shape of a tensor."""
        shape = self.subgraph.tensors[index].shape
        return [] if shape is None else [int(d) for d in shape]

    def tensor_name(self, index: int) -> str:
        """The name of a tensor."""
        return (self.subgraph.tensors[index].name or b"").decode("utf-8", "replace")

    def type_name(self, index: int) -> str:
        """The name of a tensor's type, such as `FLOAT32`."""
        number = self.subgraph.tensors[index].type
        return _TYPE_NAMES.get(number, f"TYPE_{number}")

    def buffer_bytes(self, index: int) -> int:
        """How many bytes a tensor's constant takes; 0 for a computed tensor."""
        buffer = self.model.buffers[self.subgraph.tensors[index].buffer]
        # The constants of files over 2 GB lie behind the flatbuffer, which has only their sizes.
        return buffer.size if buffer.data is None else len(buffer.data)

    def is_constant(self, index: int) -> bool:
        """Whether a tensor's value is stored in the file."""
        return index >= 0 and self.buffer_bytes(index) > 0

    def constant(self, index: int) -> NDArray[Any] | None:
        """A constant tensor's value; None for a computed tensor or one without a NumPy form."""
        tensor = self.subgraph.tensors[index]
        dtype, data = DTYPES.get(tensor.type), self.model.buffers[tensor.buffer].data
        if dtype is None or data is None or not len(data) or tensor.sparsity is not None:
            return None
        return np.asarray(data, np.uint8).view(dtype).reshape(self.shape(index))

    def producer(self, index: int) -> Any | None:
        """The operator that computes a tensor."""
        return self._indexed()[0].get(index)

    def consumers(self, index: int) -> list[Any]:
        """The operators that read a tensor, in execution order."""
        return list(self._indexed()[1].get(index, ()))

    def _indexed(self) -> tuple[dict[int, Any], dict[int, list[Any]]]:
        """Tensor → the operator that computes it, and → those that read it; kept until a change."""
        if self._links is None:
            producers: dict[int, Any] = {}
            consumers: dict[int, list[Any]] = defaultdict(list)
            for op in self.operators:
                for index in self.outputs(op):
                    producers.setdefault(index, op)
                for index in dict.fromkeys(self.inputs(op)):
                    consumers[index].append(op)
            self._links = producers, consumers
        return self._links

    def custom_options(self, op: Any) -> dict[str, Any]:
        """A custom operator's options (a flexbuffer map), empty when it has none."""
        if op.customOptions is None or len(op.customOptions) == 0:
            return {}
        try:
            value = flexbuffers.Loads(np.asarray(op.customOptions, np.uint8).tobytes())
        except Exception as error:  # the reader checks nothing and raises whatever comes up
            raise FlatbufferError(f"{self.op_name(op)} has damaged options") from error
        return value if isinstance(value, dict) else {}

    # --- changes

    def set_inputs(self, op: Any, indices: Iterable[int]) -> None:
        """Has an operator read other tensors."""
        op.inputs = np.array(list(indices), np.int32)
        self._links = None

    def set_outputs(self, op: Any, indices: Iterable[int]) -> None:
        """Has an operator write other tensors."""
        op.outputs = np.array(list(indices), np.int32)
        self._links = None

    def add_constant(self, name: str, value: NDArray[Any]) -> int:
        """Stores an array in the file and returns the index of its tensor."""
        types = {np.dtype("<f4"): FLOAT32, np.dtype("<i4"): INT32}
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(value.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return self._add_tensor(
            name, value.shape, types[value.dtype], buffer=len(self.model.buffers) - 1
        )

    def add_bytes(self, name: str, value: NDArray[np.uint8]) -> int:
        """Stores bytes in the file and returns the index of their tensor (uint8)."""
        buffer = schema.BufferT()
        buffer.data = value
        self.model.buffers.append(buffer)
        number = len(self.model.buffers) - 1
        return self._add_tensor(name, value.shape, schema.TensorType.UINT8, buffer=number)

    def add_tensor(self, name: str, shape: Sequence[int]) -> int:
        """Adds a computed float32 tensor and returns its index."""
        return self._add_tensor(name, shape, FLOAT32, buffer=0)  # buffer 0 is the empty one

    def add_words(self, name: str, shape: Sequence[int]) -> int:
        """Adds a computed tensor of packed bits (int32 words) and returns its index."""
        return self._add_tensor(name, shape, INT32, buffer=0)

    def add_int8(self, name: str, shape: Sequence[int], quantization: Any) -> int:
        """Adds a computed int8 tensor with its steps (a `QuantizationParametersT`)."""
        index = self._add_tensor(name, shape, INT8, buffer=0)
        self.subgraph.tensors[index].quantization = quantization
        return index

    def _add_tensor(self, name: str, shape: Sequence[int], type_: int, buffer: int) -> int:
        tensor = schema.TensorT()
        tensor.name = name.encode()
        tensor.shape = np.array(shape, np.int32)
        tensor.type = type_
        tensor.buffer = buffer
        tensor.hasRank = True
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def make_op(
        self,
        name: str,
        inputs: Iterable[int],
        outputs: Iterable[int],
        options: Any = None,
    ) -> Any:
        """A new operator, not yet placed in the execution order.

        Args:
            name: A builtin's name or a custom code, as `op_name` gives them.
            inputs: Tensor indices.
            outputs: Tensor indices.
            options: The builtin's options object, such as `schema.MulOptionsT()`.
        """
        op = schema.OperatorT()
        op.opcodeIndex = self._code_index(name)
        op.inputs = np.array(list(inputs), np.int32)
        op.outputs = np.array(list(outputs), np.int32)
        if options is not None:
            union_name = type(options).__name__.removesuffix("T")
            op.builtinOptionsType = getattr(schema.BuiltinOptions, union_name)
            op.builtinOptions = options
        return op

    def _code_index(self, name: str) -> int:
        for index, code in enumerate(self.model.operatorCodes):
            number = max(code.builtinCode, code.deprecatedBuiltinCode)
            if name == (code.customCode.decode() if code.customCode else _OP_NAMES.get(number)):
                return index
        code = schema.OperatorCodeT()
        code.version = 1
        builtin = getattr(schema.BuiltinOperator, name, None)
        if builtin is None:
            code.customCode = name.encode()
            builtin = schema.BuiltinOperator.CUSTOM
        code.builtinCode = builtin
        code.deprecatedBuiltinCode = min(builtin, 127)
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def redirect(self, old: int, new: int) -> None:
        """Has everything that reads one tensor read another one instead."""
        for op in self.consumers(old):
            self.set_inputs(op, [new if i == old else i for i in self.inputs(op)])
        outputs = [new if int(i) == old else int(i) for i in self.subgraph.outputs]
        self.subgraph.outputs = np.array(outputs, np.int32)
        for signature in self.signatures():
            for entry in signature.outputs or []:
                if entry.tensorIndex == old:
                    entry.tensorIndex = new

    def signatures(self) -> list[Any]:
        """The signatures (`SignatureDefT`) whose inputs and outputs are this subgraph's."""
        every = self.model.signatureDefs or []
        return [signature for signature in every if signature.subgraphIndex == self.number]

    def drop_unread_ops(self) -> None:
        """Removes the operators whose outputs nothing reads, and those that only they read.

        Operators without outputs stay: they write variables.
        """
        read = {int(i) for i in self.subgraph.outputs}
        kept = []
        for op in reversed(self.operators):
            if not self.outputs(op) or read & set(self.outputs(op)):
                read.update(self.inputs(op))
                kept.append(op)
        self.subgraph.operators = kept[::-1]
        self._links = None

    def move_behind(self, op: Any, reader: Any, suffix: str) -> None:
        """Swaps an operator with the only reader of its output, which keeps the shape.

        Args:
            op: It has one output, and then reads what the reader gives in place of its first input.
            reader: It has one output, and takes the operator's place.
            suffix: Of the tensor between them, behind the name of the reader's output.
        """
        source, *others = self.inputs(op)
        (before,), (output,) = self.outputs(op), self.outputs(reader)
        between = self.add_tensor(f"{self.tensor_name(output)}/{suffix}", self.shape(source))
        self.set_inputs(reader, [source if i == before else i for i in self.inputs(reader)])
        self.set_outputs(reader, [between])
        self.replace_op(reader, [])
        self.set_inputs(op, [between, *others])
        self.set_outputs(op, [output])
        self.replace_op(op, [reader, op])

    def set_operators(self, operators: Sequence[Any]) -> None:
        """Has the graph these operators, in this order."""
        self.subgraph.operators = list(operators)
        self._links = None

    def replace_op(self, old: Any, new: Iterable[Any]) -> None:
        """Puts operators in the place of one."""
        index = next(i for i, op in enumerate(self.operators) if op is old)
        self.subgraph.operators[index : index + 1] = list(new)
        self._links = None
