"""What became of every layer: walks a `.tflite` file and tells binary from float, and why."""

import hashlib
import math
from collections.abc import Callable
from typing import Any

from convert.auditing.diagnosis import judge, judge_table, product_reason
from convert.passes.pack_binary_tables import is_row_lookup, table_bytes
from convert.passes.pack_binary_weights import packed_bytes, packing_scales
from convert.report import KINDS, Audit, File, Kind, Layer, Totals
from convert.tflite.filters import FILTERED, binary_filter_shape, stored_filter
from convert.tflite.graph import FLOAT32, INT8, Graph

RECURRENT = (
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_RNN",
    "LSTM",
    "RNN",
    "SVDF",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
)
"""Operators that hold several weight matrices, each multiplied at every step."""

_SAME = 0
_ZERO_PADDED = "pad_values=1 lets LCE join what follows and spares a correction at the border"


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
        elif graph.op_name(op) in (*FILTERED, "CONV_3D"):
            layers.append(_other_layer(graph, op, counted))
        elif is_table(graph, op):
            layers.append(_table(graph, op, counted))
        elif graph.op_name(op) == "BATCH_MATMUL":
            layers.append(_product(graph, op, counted))
        elif graph.op_name(op) in RECURRENT:
            layers.append(_recurrent_layer(graph, op, counted))
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
        predicted_bytes=total(lambda layer: layer.predicted_bytes),
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
    options = graph.custom_options(op)
    zero_padded = options.get("padding") == _SAME and options.get("pad_values") == 0
    size_bytes = _size_bytes(graph, graph.inputs(op), counted)
    return Layer(
        name=_tensor_label(graph, output),
        op="LceBconv2d",
        kind="binary",
        reason=None,
        # A filter of one tap has no border.
        mend=_ZERO_PADDED if zero_padded and math.prod(filter_shape[1:3]) > 1 else None,
        filter_shape=filter_shape,
        output_shape=output_shape,
        macs=math.prod(output_shape[:-1]) * math.prod(filter_shape),
        size_bytes=size_bytes,
        predicted_bytes=size_bytes,
        float32_bytes=4 * (math.prod(filter_shape) + out),
    )


def _other_layer(graph: Graph, op: Any, counted: set[int]) -> Layer:
    name, inputs, output = graph.op_name(op), graph.inputs(op), graph.outputs(op)[0]
    filter_index = inputs[1]
    data_index = inputs[2] if name == "TRANSPOSE_CONV" else inputs[0]
    filter_shape, output_shape = graph.shape(filter_index), graph.shape(output)
    source, unpacking = stored_filter(graph, filter_index)
    judgement = judge(graph, op)
    scales_around: list[int] = []
    if judgement.kind == "binary_weights":
        scales_around = _following_constants(graph, output) + _column_scale(graph, name, data_index)
    constants = [source, *(i for i in inputs[2:] if i >= 0 and i != data_index), *scales_around]
    size_bytes = _size_bytes(graph, constants, counted)
    saved = 0
    weights = graph.constant(source)
    if judgement.kind == "float" and unpacking is None and weights is not None:
        scales = packing_scales(name, weights)
        # Nothing is saved on a filter that an earlier layer has been charged with.
        if scales is not None and size_bytes >= weights.nbytes:
            saved = weights.nbytes - packed_bytes(weights.shape, scales)
    return Layer(
        name=_tensor_label(graph, output),
        op=name,
        kind=judgement.kind,
        reason=judgement.reason,
        mend=judgement.mend,
        filter_shape=filter_shape,
        output_shape=output_shape,
        macs=_macs(name, filter_shape, output_shape, graph.shape(data_index)),
        size_bytes=size_bytes,
        predicted_bytes=size_bytes - saved,
        # The product of two activations has no weights.
        float32_bytes=0
        if unpacking == "computed"
        else 4 * (math.prod(filter_shape) + output_shape[-1]),
    )


def is_table(graph: Graph, op: Any) -> bool:
    """Whether an operator looks up rows of an embedding's table, packed or float32."""
    if graph.op_name(op) != "GATHER" or not is_row_lookup(graph, op):
        return False
    index, (output,) = graph.inputs(op)[0], graph.outputs(op)
    if not graph.is_constant(index):
        return False
    if graph.subgraph.tensors[index].type == FLOAT32:
        # A packed table's scales are looked up too; they have one column.
        return graph.shape(index)[1] > 1
    consumers = graph.consumers(output)
    return len(consumers) == 1 and graph.op_name(consumers[0]) == "LceDequantize"


def table_constants(graph: Graph, op: Any) -> list[int]:
    """The constants of a table that is looked up: its rows and, when packed, their scales."""
    ids = graph.inputs(op)[1]
    scaled = graph.consumers(_table_output(graph, op))
    if len(scaled) != 1 or graph.op_name(scaled[0]) != "MUL":
        return [graph.inputs(op)[0]]
    factors = [graph.producer(i) for i in graph.inputs(scaled[0])]
    lookups = [f for f in factors if f is not None and graph.op_name(f) == "GATHER" and f is not op]
    return [graph.inputs(op)[0], *(graph.inputs(f)[0] for f in lookups if ids in graph.inputs(f))]


def _table_output(graph: Graph, op: Any) -> int:
    """What a look-up gives, unpacked."""
    (output,) = graph.outputs(op)
    if graph.subgraph.tensors[graph.inputs(op)[0]].type == FLOAT32:
        return output
    return graph.outputs(graph.consumers(output)[0])[0]


def _table(graph: Graph, op: Any, counted: set[int]) -> Layer:
    index, output = graph.inputs(op)[0], _table_output(graph, op)
    judgement = judge_table(graph, op)
    constants = table_constants(graph, op)
    size_bytes = _size_bytes(graph, constants, counted)
    shape = [graph.shape(index)[0], graph.shape(output)[-1]]
    table = graph.constant(index)
    predicted = size_bytes
    if judgement.mend is not None and table is not None and size_bytes:
        predicted = table_bytes(table)
    return Layer(
        name=_tensor_label(graph, output),
        op="GATHER",
        kind=judgement.kind,
        reason=judgement.reason,
        mend=judgement.mend,
        filter_shape=shape,
        output_shape=graph.shape(output),
        macs=0,
        size_bytes=size_bytes,
        predicted_bytes=predicted,
        float32_bytes=4 * math.prod(shape),
    )


def _product(graph: Graph, op: Any, counted: set[int]) -> Layer:
    left, right = (graph.shape(i) for i in graph.inputs(op)[:2])
    output = graph.outputs(op)[0]
    inner = left[-2] if getattr(op.builtinOptions, "adjX", False) else left[-1]
    constant = graph.is_constant(graph.inputs(op)[1])
    size_bytes = _size_bytes(graph, graph.inputs(op), counted)
    return Layer(
        name=_tensor_label(graph, output),
        op="BATCH_MATMUL",
        kind="float",
        reason="LCE has no binary matrix product"
        if constant
        else product_reason(graph, *graph.inputs(op)[:2]),
        mend=None,
        filter_shape=right,
        output_shape=graph.shape(output),
        macs=math.prod(graph.shape(output)) * inner,
        size_bytes=size_bytes,
        predicted_bytes=size_bytes,
        float32_bytes=4 * math.prod(right) if constant else 0,
    )


def _recurrent_layer(graph: Graph, op: Any, counted: set[int]) -> Layer:
    name, inputs, output = graph.op_name(op), graph.inputs(op), graph.outputs(op)[0]
    matrices = [i for i in inputs if graph.is_constant(i) and len(graph.shape(i)) == 2]
    weights = sum(math.prod(graph.shape(i)) for i in matrices)
    constants = [i for i in inputs if graph.is_constant(i)]
    numbers = sum(math.prod(graph.shape(i)) for i in constants)
    units = graph.shape(output)[-1]
    quantized = bool(matrices) and all(graph.subgraph.tensors[i].type == INT8 for i in matrices)
    size_bytes = _size_bytes(graph, constants, counted)
    return Layer(
        name=_tensor_label(graph, output),
        op=name,
        kind="int8" if quantized else "float",
        reason=f"LCE has no binary {name}",
        mend=None,
        # The matrices side by side, one row per unit; those of a projection don't fit.
        filter_shape=[units, weights // units] if weights % units == 0 else [weights],
        output_shape=graph.shape(output),
        # Both [N, T, …] and [T, N, …] have N·T steps.
        macs=math.prod(graph.shape(inputs[0])[:-1]) * weights,
        size_bytes=size_bytes,
        predicted_bytes=size_bytes,
        float32_bytes=4 * numbers,
    )


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


def _column_scale(graph: Graph, name: str, data: int) -> list[int]:
    """The scale of a dense layer's inputs, which `pack_binary_weights` may have put before it."""
    op = graph.producer(data)
    if name != "FULLY_CONNECTED" or op is None or graph.op_name(op) != "MUL":
        return []
    return [i for i in graph.inputs(op) if graph.is_constant(i)]


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
