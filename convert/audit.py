"""What became of every layer: walks a `.tflite` file and tells binary from float, and why."""

import hashlib
import math
from collections.abc import Callable
from typing import Any

from convert.filters import FILTERED, binary_filter_shape, stored_filter
from convert.flatbuffer import INT8, Graph
from convert.passes.pack_binary_weights import PACKABLE, has_binary_rows, is_worth_packing
from convert.report import KINDS, Audit, File, Kind, Layer, Totals


def audit(content: bytes, name: str = "the file") -> Audit:
    """The layers of a `.tflite` file, ours or any other, and their totals.

    Args:
        content: The whole file.
        name: What error messages call it.

    Raises:
        FlatbufferError: The content is not a well-formed `.tflite` file.
    """
    graph = Graph.from_bytes(content, name)
    counted: set[int] = {0}
    layers = []
    for op in graph.operators:
        if graph.op_name(op) == "LceBconv2d":
            layers.append(_binary_layer(graph, op, counted))
        elif graph.op_name(op) in FILTERED:
            layers.append(_other_layer(graph, op, counted))
        elif graph.op_name(op) == "BATCH_MATMUL":
            layers.append(_product(graph, op, counted))
    file = File(hashlib.sha256(content).hexdigest(), len(content))
    return Audit(file, layers, _totals(layers, len(content)))


def _size_bytes(graph: Graph, tensors: list[int], counted: set[int]) -> int:
    """The bytes of constants; a buffer that layers share counts for the first of them."""
    buffers = {graph.subgraph.tensors[i].buffer: i for i in tensors if i >= 0}
    fresh = {buffer: i for buffer, i in buffers.items() if buffer not in counted}
    counted.update(fresh)
    return sum(graph.buffer_bytes(i) for i in fresh.values())


def _totals(layers: list[Layer], file_bytes: int) -> Totals:
    def total(value: Callable[[Layer], int], kind: Kind | None = None) -> int:
        return sum(value(layer) for layer in layers if kind in (None, layer.kind))

    weight_bytes = total(lambda layer: layer.size_bytes)
    macs = {kind: total(lambda layer: layer.macs, kind) for kind in KINDS}
    return Totals(
        weight_bytes=weight_bytes,
        float32_bytes=total(lambda layer: layer.float32_bytes),
        other_bytes=file_bytes - weight_bytes,
        binary_macs=macs["binary"],
        binary_weight_macs=macs["binary_weights"],
        int8_macs=macs["int8"],
        float_macs=macs["float"],
    )


def _binary_layer(graph: Graph, op: Any, counted: set[int]) -> Layer:
    output = graph.outputs(op)[0]
    filter_shape = binary_filter_shape(graph, op)
    out = filter_shape[0]
    output_shape = [*graph.shape(output)[:-1], out]
    return Layer(
        name=_tensor_label(graph, output),
        op="LceBconv2d",
        kind="binary",
        reason=None,
        mend=None,
        filter_shape=filter_shape,
        output_shape=output_shape,
        macs=math.prod(output_shape[:-1]) * math.prod(filter_shape),
        size_bytes=_size_bytes(graph, graph.inputs(op), counted),
        float32_bytes=4 * (math.prod(filter_shape) + out),
    )


def _other_layer(graph: Graph, op: Any, counted: set[int]) -> Layer:
    name, inputs, output = graph.op_name(op), graph.inputs(op), graph.outputs(op)[0]
    filter_index = inputs[1]
    data_index = inputs[2] if name == "TRANSPOSE_CONV" else inputs[0]
    filter_shape, output_shape = graph.shape(filter_index), graph.shape(output)
    source, unpacking = stored_filter(graph, filter_index)
    kind, reason, mend = _judge(graph, name, data_index, filter_index, unpacking)
    tail = _following_constants(graph, output) if kind == "binary_weights" else []
    constants = [source, *(i for i in inputs[2:] if i >= 0 and i != data_index), *tail]
    return Layer(
        name=_tensor_label(graph, output),
        op=name,
        kind=kind,
        reason=reason,
        mend=mend,
        filter_shape=filter_shape,
        output_shape=output_shape,
        macs=_macs(name, filter_shape, output_shape, graph.shape(data_index)),
        size_bytes=_size_bytes(graph, constants, counted),
        float32_bytes=4 * (math.prod(filter_shape) + output_shape[-1]),
    )


def _product(graph: Graph, op: Any, counted: set[int]) -> Layer:
    left, right = (graph.shape(i) for i in graph.inputs(op)[:2])
    output = graph.outputs(op)[0]
    inner = left[-2] if getattr(op.builtinOptions, "adjX", False) else left[-1]
    constant = graph.is_constant(graph.inputs(op)[1])
    return Layer(
        name=_tensor_label(graph, output),
        op="BATCH_MATMUL",
        kind="float",
        reason="LCE has no binary matrix product"
        + ("" if constant else ": both operands are activations"),
        mend=None,
        filter_shape=right,
        output_shape=graph.shape(output),
        macs=math.prod(graph.shape(output)) * inner,
        size_bytes=_size_bytes(graph, graph.inputs(op), counted),
        float32_bytes=4 * math.prod(right) if constant else 0,
    )


def _judge(
    graph: Graph, name: str, data_index: int, filter_index: int, unpacking: str | None
) -> tuple[Kind, str, str | None]:
    """A layer's kind, why it is not binary, and what would mend it."""
    binary_inputs = _comes_from_sign(graph, data_index)
    if unpacking == "LceDequantize":
        if binary_inputs:
            return "binary_weights", f"LCE has no binary {name}", None
        return "binary_weights", "its inputs are real numbers", None
    if unpacking == "computed":
        return "float", "its filter is computed when the model runs", None
    if unpacking == "DEQUANTIZE":
        return "float", "its filter is stored in fewer bits and computed with in float32", None
    if graph.subgraph.tensors[filter_index].type == INT8:
        return "int8", "8-bit weights", None

    weights = graph.constant(filter_index)
    if weights is None or not has_binary_rows(weights) or weights[0].size == 1:
        if binary_inputs:
            return (
                "float",
                "its inputs are binary, its weights are not",
                ("give the layer a binary kernel_quantizer"),
            )
        return "float", "its weights and inputs are real numbers", None
    if binary_inputs and name == "FULLY_CONNECTED":
        return "float", "LCE leaves dense layers float", "convert the Keras model with Onebit"
    if name not in PACKABLE:
        return "float", f"binary weights, but {name} cannot be packed yet", None
    if not is_worth_packing(weights):
        return "float", "binary weights, but too few for packing to save room", None
    return "float", "binary weights, stored as float32", "convert the Keras model with Onebit"


def _comes_from_sign(graph: Graph, index: int) -> bool:
    op = graph.producer(index)
    while op is not None and graph.op_name(op) in ("RESHAPE", "PAD", "PADV2", "TRANSPOSE"):
        op = graph.producer(graph.inputs(op)[0])
    return op is not None and graph.op_name(op) == "LceDequantize"


def _following_constants(graph: Graph, output: int) -> list[int]:
    """The scale and bias that stand in MUL and ADD operators right behind a layer."""
    found = []
    for kind in ("MUL", "ADD"):
        consumers = graph.consumers(output)
        if len(consumers) != 1 or graph.op_name(consumers[0]) != kind:
            break
        operands = [i for i in graph.inputs(consumers[0]) if graph.is_constant(i)]
        if not operands:
            break
        found += operands
        output = graph.outputs(consumers[0])[0]
    return found


def _macs(name: str, filter_shape: list[int], output: list[int], data: list[int]) -> int:
    if name == "FULLY_CONNECTED":
        return math.prod(output[:-1]) * math.prod(filter_shape)
    if name == "DEPTHWISE_CONV_2D":
        return math.prod(output) * math.prod(filter_shape[1:3])
    if name == "TRANSPOSE_CONV":
        return math.prod(data[:-1]) * math.prod(filter_shape)
    return math.prod(output[:-1]) * math.prod(filter_shape)


def _tensor_label(graph: Graph, index: int) -> str:
    """The readable part of a tensor's name, which joins the names of all operators in it."""
    first = graph.tensor_name(index).split(";")[0]
    return first.rsplit("/", 1)[0] if "/" in first else first
