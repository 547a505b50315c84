"""A `.tflite` file → its `Network`."""

import dataclasses
from typing import Any

from convert.auditing.describe import tensor_label
from convert.errors import ConversionError
from convert.targets.network import Network, Operator, Other, Value
from convert.targets.reading.operators import OPERATORS, Unexpected
from convert.targets.reading.scales import merge_scales
from convert.targets.reading.tensors import TensorReader
from convert.targets.reading.values import real_values, sign_values
from convert.tflite.damage import refusing_damage
from convert.tflite.filters import binary_filter_shape
from convert.tflite.graph import Graph
from convert.tflite.signature import input_names, output_names
from onebit import bits

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
    with refusing_damage(name, "read"):
        return _Reader(graph, name).network()


class _Reader(TensorReader):
    """Reads operators in execution order; each value is known when the first operator reads it."""

    def __init__(self, graph: Graph, name: str) -> None:
        super().__init__(graph, name)
        self.operators: list[Operator] = []

    def network(self) -> Network:
        """The whole network."""
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
        for index in outputs:
            self.known(index)  # a constant, perhaps, that no operator reads
        operators = merge_scales(self.operators, self.values, outputs)
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
        value = self.value(index)
        readers = self.graph.consumers(index)
        for op in readers:
            kind = self.graph.op_name(op)
            if kind in _READS_BITS and self.graph.inputs(op)[0] == index:
                channels = value.shape[-1] * bits.WORD_BITS
                if kind == "LceBconv2d":
                    channels = int(self.graph.custom_options(op)["channels_in"])
                elif kind == "LceDequantize":
                    channels = self.graph.shape(self.graph.outputs(op)[0])[-1]
                return self.value(index, channels)
        return value

    def _compute(self, op: Any) -> bool:
        """Computes an operator that unpacks constants; False for any other."""
        graph, kind = self.graph, self.graph.op_name(op)
        if kind not in ("LceDequantize", "RESHAPE", "DEQUANTIZE"):
            return False
        source, output = self.known(graph.inputs(op)[0]), self.value(graph.outputs(op)[0])
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
        read = OPERATORS.get(kind)
        inputs = [self.known(i) for i in graph.inputs(op) if i >= 0]
        index = graph.outputs(op)[0]
        common: dict[str, Any] = {
            "name": tensor_label(graph, index),
            "op": kind,
            "inputs": tuple(value.index for value in inputs),
            "output": index,
        }
        channels = _channels_of_bits(graph, op, inputs)
        self.values[index] = self.value(index, channels)
        for extra in graph.outputs(op)[1:]:
            self.values[extra] = self.value(extra)
        several = len(graph.outputs(op)) != 1
        if read is not None and not several:
            try:
                return read(self, op, common)
            except Unexpected:
                pass
        builtin = {} if op.builtinOptions is None else vars(op.builtinOptions)
        options = graph.custom_options(op) or builtin
        return Other(**common, options=options)


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
