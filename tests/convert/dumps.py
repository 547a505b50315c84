"""Models and `.tflite` files as text that people and tests compare line by line.

Values come up where they are structure (shapes, strides, paddings), weights only as a type and a
shape: the equivalence tests are there for the numbers.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from convert.keras_model.layer_graph import LayerGraph
from convert.tflite.graph import FLOAT32, INT8, INT32, Graph, schema
from onebit.keras import keras

TYPES = {FLOAT32: "float32", INT32: "int32", INT8: "int8", schema.TensorType.BOOL: "bool"}
SHOWN_VALUES = 6
# What a layer computes, without how it is trained.
LAYER_OPTIONS = (
    "units", "filters", "kernel_size", "strides", "stride", "padding", "pad_values",
    "dilation_rate", "dilation", "groups", "pool_size", "use_bias", "activation",
    "input_quantizer", "kernel_quantizer",
)  # fmt: skip


def dump_file(content: bytes) -> str:
    """One line for each operator of a `.tflite` file.

    Computed tensors are %0, %1, …, the buffers of constants @0, @1, …, as they come up.
    """
    graph = Graph.from_bytes(content)
    numbers: dict[int, int] = {}
    buffers: dict[int, int] = {}

    def computed(index: int) -> str:
        return f"%{numbers.setdefault(index, len(numbers))}"

    def typed(index: int) -> str:
        kind = graph.subgraph.tensors[index].type
        return f"{TYPES.get(kind, kind)}[{','.join(map(str, graph.shape(index)))}]"

    def operand(index: int) -> str:
        if index < 0:
            return "none"
        value = graph.constant(index)
        if value is None:
            return computed(index)
        # Packed filters are int32 of two dimensions and more, shapes of one.
        small = value.dtype == np.int32 and value.ndim <= 1 and value.size <= SHOWN_VALUES
        shown = str(value.tolist()) if small else typed(index)
        buffer = graph.subgraph.tensors[index].buffer
        return f"@{buffers.setdefault(buffer, len(buffers))} {shown}"

    lines = [f"input {computed(int(i))} {typed(int(i))}" for i in graph.subgraph.inputs]
    for op in graph.operators:
        results = ", ".join(f"{computed(i)} {typed(i)}" for i in graph.outputs(op))
        operands = ", ".join(operand(i) for i in graph.inputs(op))
        options = " ".join(f"{name}={value}" for name, value in _options(graph, op))
        lines.append(f"{results} = {graph.op_name(op)}({operands}) {options}".rstrip())
    lines += [f"output {operand(int(i))}" for i in graph.subgraph.outputs]
    stored = sum(b.data is not None and len(b.data) > 0 for b in graph.model.buffers)
    lines.append(
        f"{len(graph.subgraph.tensors)} tensors, {stored} constants stored, "
        f"{len(graph.model.operatorCodes)} operator codes"
    )
    return "\n".join(lines) + "\n"


def _options(graph: Graph, op: Any) -> Iterator[tuple[str, Any]]:
    """An operator's options that say something: those that are neither absent nor 0."""
    builtin = {} if op.builtinOptions is None else vars(op.builtinOptions)
    for name, value in sorted((graph.custom_options(op) or builtin).items()):
        shown = value.tolist() if isinstance(value, np.ndarray) else value
        if shown not in (None, 0, False):
            yield name, shown


def dump_model(model: keras.Model) -> str:
    """One line for each layer of a Keras model: what it is, what feeds it, shape and options."""
    graph = LayerGraph(model)
    lines = []
    for layer in model.layers:
        above = ", ".join(parent.name for parent in graph.parents(layer))
        line = [f"{layer.name}: {type(layer).__name__}({above})"]
        line += [f"{name}={value}" for name, value in _layer_options(layer)]
        line += ["weights", *(str(w.shape.as_list()) for w in layer.weights)] * bool(layer.weights)
        # A layer that is used twice has no one output.
        shape = layer.get_output_at(0).shape.as_list()
        lines.append(" ".join([*line, f"→ {shape[1:]}"]))
    return "\n".join(lines) + "\n"


def _layer_options(layer: keras.layers.Layer) -> Iterator[tuple[str, Any]]:
    for name in LAYER_OPTIONS:
        value = getattr(layer, name, None)
        if callable(value):
            # A quantizer or an activation; Keras numbers the names of quantizers.
            value = type(value).__name__ if hasattr(value, "precision") else value.__name__
        if value not in (None, False, "linear"):
            yield name, value
