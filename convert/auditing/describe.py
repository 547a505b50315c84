"""The description of one operator with weights: its filter, its bytes, its multiply-accumulates."""

import math
from dataclasses import dataclass, field
from typing import Any

from convert.auditing.diagnosis import (
    INTEGERS,
    Diagnosis,
    Remedies,
    computed_operand,
    diagnose,
    diagnose_table,
    int8_diagnosis,
    unknown_type,
)
from convert.auditing.tables import (
    is_table,
    scale_lookups,
    table_constants,
    table_input,
    table_output,
)
from convert.auditing.weights import FLOATS, is_weight
from convert.passes.pack_binary_tables import table_bytes
from convert.passes.pack_binary_weights import packed_bytes, packing_scales
from convert.report import Layer, Reason
from convert.tflite.filters import (
    binary_filter_shape,
    constants_behind,
    is_zero_padded,
    stored_filter,
)
from convert.tflite.graph import FILTERED, FILTERED_3D, Graph
from convert.tflite.names import layer_part
from convert.tflite.options import fused_activation

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

_ELEMENTWISE = ("ADD", "DIV", "MAXIMUM", "MINIMUM", "MUL", "PRELU", "SQUARED_DIFFERENCE", "SUB")
_ZERO_PADDED = "padded with zeros, which takes a correction at the border and a float output"
_ONES = "pad_values=1 lets LCE join what follows and spares the correction"


@dataclass
class Charged:
    """The constants and operators that the layers described so far account for.

    Attributes:
        buffers: The constants whose bytes a layer has been charged with.
        parts: The identities of operators that belong to a layer in front of or behind them.
    """

    buffers: set[int] = field(default_factory=lambda: {0})
    parts: set[int] = field(default_factory=set)

    def size_bytes(self, graph: Graph, tensors: list[int]) -> int:
        """The bytes of constants; a buffer that layers share counts for the first of them."""
        buffers = {graph.subgraph.tensors[i].buffer: i for i in tensors if i >= 0}
        fresh = {buffer: i for buffer, i in buffers.items() if buffer not in self.buffers}
        self.buffers.update(fresh)
        return sum(graph.buffer_bytes(i) for i in fresh.values())


def describe_layer(graph: Graph, op: Any, charged: Charged, remedies: Remedies) -> Layer | None:
    """The description of an operator that multiplies or looks up weights; None for any other."""
    name = graph.op_name(op)
    if name == "LceBconv2d":
        return _binary_layer(graph, op, charged)
    if name in (*FILTERED, *FILTERED_3D):
        return _filtered_layer(graph, op, charged, remedies)
    if name in ("GATHER", "EMBEDDING_LOOKUP") and is_table(graph, op):
        return _table(graph, op, charged, remedies)
    if name == "BATCH_MATMUL":
        return _product(graph, op, charged)
    if name in RECURRENT:
        return _recurrent_layer(graph, op, charged)
    return None


def describe_other(graph: Graph, op: Any, charged: Charged) -> Layer | None:
    """The description of any other operator that reads weights; None where it reads none.

    Weights are float or quantized constants of more than one number. What is computed from
    constants only belongs to the operator that reads it.
    """
    operands = [i for i in graph.inputs(op) if i >= 0]
    behind = [constants_behind(graph, i) for i in operands]
    if not graph.callees(op) and operands and all(behind) and _read_in(graph, op):
        return None
    weights = [i for found in behind for i in found if is_weight(graph, i)]
    if graph.callees(op):
        # The states of a recurrent layer begin at zero.
        weights = [i for i in weights if (value := graph.constant(i)) is None or value.any()]
    if not weights:
        return None
    outputs = graph.outputs(op)
    numbers = sum(math.prod(graph.shape(i)) for i in dict.fromkeys(weights))
    diagnosis = _other_diagnosis(graph, op, weights)
    size_bytes = charged.size_bytes(graph, weights)
    return Layer(
        name=tensor_label(graph, outputs[0]) if outputs else graph.op_name(op),
        op=graph.op_name(op),
        kind=diagnosis.kind,
        reason=diagnosis.reason,
        fix=diagnosis.fix,
        filter_shape=max((graph.shape(i) for i in weights), key=math.prod),
        output_shape=graph.shape(outputs[0]) if outputs else [],
        macs=0,
        size_bytes=size_bytes,
        predicted_bytes=size_bytes,
        float32_bytes=4 * numbers,
        reason_code=diagnosis.code,
    )


def _read_in(graph: Graph, op: Any) -> bool:
    """Whether another operator of the subgraph reads what an operator computes."""
    return any(graph.consumers(index) for index in graph.outputs(op))


def _other_diagnosis(graph: Graph, op: Any, weights: list[int]) -> Diagnosis:
    name, kinds = graph.op_name(op), {graph.type_name(i) for i in weights}
    if not kinds <= {*FLOATS, *INTEGERS}:
        return unknown_type(graph, weights[0])
    if kinds <= set(INTEGERS):
        return int8_diagnosis(graph, weights[0], graph.data_input(op))
    if graph.callees(op):
        reason = f"float numbers that {name} passes on"
        return Diagnosis("float", Reason.PASSED_IN, reason)
    if name in _ELEMENTWISE:
        reason = "real numbers per channel, such as a normalisation that LCE could not fold"
        return Diagnosis("float", Reason.ELEMENTWISE, reason)
    reason = f"unknown: Onebit does not know what {name} does with its float numbers"
    return Diagnosis("float", Reason.UNKNOWN_OPERATOR, reason)


def _binary_layer(graph: Graph, op: Any, charged: Charged) -> Layer:
    output = graph.outputs(op)[0]
    filter_shape = binary_filter_shape(graph, op)
    out = filter_shape[0]
    output_shape = [*graph.shape(output)[:-1], out]
    zero_padded = is_zero_padded(graph, op)
    size_bytes = charged.size_bytes(graph, graph.inputs(op))
    return Layer(
        name=tensor_label(graph, output),
        op="LceBconv2d",
        kind="binary",
        reason=_ZERO_PADDED if zero_padded else None,
        fix=_ONES if zero_padded else None,
        filter_shape=filter_shape,
        output_shape=output_shape,
        macs=math.prod(output_shape[:-1]) * math.prod(filter_shape),
        size_bytes=size_bytes,
        predicted_bytes=size_bytes,
        float32_bytes=4 * (math.prod(filter_shape) + out),
        reason_code=Reason.ZERO_PADDED if zero_padded else None,
    )


def _filtered_layer(graph: Graph, op: Any, charged: Charged, remedies: Remedies) -> Layer:
    name, inputs, output = graph.op_name(op), graph.inputs(op), graph.outputs(op)[0]
    data = graph.data_input(op)
    source, unpacking = stored_filter(graph, inputs[1])
    diagnosis = diagnose(graph, op, remedies)
    # Only a packed filter has a scale behind it; LCE folds the others', but no bias into volumes.
    scaling = scaling_ops(graph, op, diagnosis.kind == "binary_weights")
    charged.parts.update(map(id, scaling))
    scales = [i for part in scaling for i in graph.inputs(part) if graph.is_constant(i)]
    bias = constants_behind(graph, graph.bias_input(op))
    filters = [source]
    if unpacking == "computed":  # perhaps the weights are its other operand
        filters = constants_behind(graph, source) or constants_behind(graph, data)
    size_bytes = charged.size_bytes(graph, [*filters, *bias, *scales])
    saved = 0
    weights = graph.constant(source)
    if diagnosis.kind == "float" and unpacking is None and weights is not None:
        packing = packing_scales(name, weights) if name in FILTERED else None
        # Nothing is saved on a filter that an earlier layer has been charged with.
        if packing is not None and size_bytes >= weights.nbytes:
            saved = weights.nbytes - packed_bytes(weights.shape, packing)
    filter_shape, output_shape = _filter_shape(graph, op), graph.shape(output)
    return Layer(
        name=tensor_label(graph, output),
        op=name,
        kind=diagnosis.kind,
        reason=diagnosis.reason,
        fix=diagnosis.fix,
        filter_shape=filter_shape,
        output_shape=output_shape,
        macs=_macs(name, filter_shape, output_shape, graph.shape(data)),
        size_bytes=size_bytes,
        predicted_bytes=size_bytes - saved,
        # The product of two activations has no weights.
        float32_bytes=4 * (math.prod(filter_shape) + output_shape[-1]) if filters else 0,
        reason_code=diagnosis.code,
    )


def _filter_shape(graph: Graph, op: Any) -> list[int]:
    """The shape `[O, …, I]` of an operator's filter; `[1, KH, KW, C]` for depthwise ones."""
    shape = graph.shape(graph.inputs(op)[1])
    if graph.op_name(op) == "CONV_3D":
        return [shape[4], *shape[:4]]
    if graph.op_name(op) == "CONV_3D_TRANSPOSE":
        return [shape[3], *shape[:3], shape[4]]
    return shape


def scaling_ops(graph: Graph, op: Any, scaled: bool = True) -> list[Any]:
    """The operators around a layer that multiply by its scales and add its bias.

    Behind an activation or a bias of the layer's own, they are operators of their own.

    Args:
        graph: The file.
        op: The operator with the filter.
        scaled: Whether to look for scales, which only packed filters have.
    """
    found: list[Any] = []
    last, kinds = op, ("MUL", "ADD") if scaled else ("ADD",)
    for kind in () if _has_bias(graph, op) else kinds:
        consumers = graph.consumers(graph.outputs(last)[0])
        if len(consumers) != 1 or not _reads_constant(graph, consumers[0], kind):
            continue
        if fused_activation(last):
            break
        readers = graph.consumers(graph.outputs(consumers[0])[0])
        if any(_scales_inputs(graph, consumers[0], reader) for reader in readers):
            continue
        found.append(consumers[0])
        last = consumers[0]
    before = graph.producer(graph.data_input(op)) if scaled else None
    if before is not None and _scales_inputs(graph, before, op):
        found.append(before)
    return found


def _has_bias(graph: Graph, op: Any) -> bool:
    """Whether a layer adds a bias itself; zeros are none."""
    index = graph.bias_input(op)
    constant = graph.constant(index) if index >= 0 else None
    return index >= 0 and (constant is None or bool(constant.any()))


def _scales_inputs(graph: Graph, op: Any, layer: Any) -> bool:
    """Whether an operator multiplies the inputs of a packed dense layer by that layer's scales."""
    return (
        _reads_constant(graph, op, "MUL")
        and not fused_activation(op)
        and graph.op_name(layer) == "FULLY_CONNECTED"
        and stored_filter(graph, graph.inputs(layer)[1])[1] == "LceDequantize"
    )


def _reads_constant(graph: Graph, op: Any, kind: str) -> bool:
    """Whether an operator multiplies or adds a float constant per channel."""
    return graph.op_name(op) == kind and any(
        graph.is_constant(i) and len(graph.shape(i)) == 1 and graph.type_name(i) == "FLOAT32"
        for i in graph.inputs(op)
    )


def _table(graph: Graph, op: Any, charged: Charged, remedies: Remedies) -> Layer:
    index, output = table_input(graph, op), table_output(graph, op)
    diagnosis = diagnose_table(graph, index, remedies)
    charged.parts.update(map(id, scale_lookups(graph, op)))
    size_bytes = charged.size_bytes(graph, table_constants(graph, op))
    shape = [graph.shape(index)[0], graph.shape(output)[-1]]
    table = graph.constant(index)
    predicted = size_bytes
    if diagnosis.code == Reason.NOT_PACKED and table is not None and size_bytes:
        predicted = min(table_bytes(table), size_bytes)
    return Layer(
        name=tensor_label(graph, output),
        op=graph.op_name(op),
        kind=diagnosis.kind,
        reason=diagnosis.reason,
        fix=diagnosis.fix,
        filter_shape=shape,
        output_shape=graph.shape(output),
        macs=0,
        size_bytes=size_bytes,
        predicted_bytes=predicted,
        float32_bytes=4 * math.prod(shape),
        reason_code=diagnosis.code,
    )


def _product(graph: Graph, op: Any, charged: Charged) -> Layer:
    operands = graph.inputs(op)[:2]
    left, right = (graph.shape(i) for i in operands)
    output = graph.outputs(op)[0]
    inner = left[-2] if getattr(op.builtinOptions, "adjX", False) else left[-1]
    constants = [i for operand in operands for i in constants_behind(graph, operand)]
    size_bytes = charged.size_bytes(graph, constants)
    if not constants:
        diagnosis = computed_operand(graph, operands[0], operands[1], Remedies())
    elif graph.type_name(constants[0]) in INTEGERS:
        data = operands[0] if constants_behind(graph, operands[1]) else operands[1]
        diagnosis = int8_diagnosis(graph, constants[0], data)
    else:
        reason = "LCE has no binary matrix product"
        diagnosis = Diagnosis("float", Reason.NO_BINARY_OPERATOR, reason)
    weights = left if constants_behind(graph, operands[0]) else right
    return Layer(
        name=tensor_label(graph, output),
        op="BATCH_MATMUL",
        kind=diagnosis.kind,
        reason=diagnosis.reason,
        fix=None,
        filter_shape=weights,
        output_shape=graph.shape(output),
        macs=math.prod(graph.shape(output)) * inner,
        size_bytes=size_bytes,
        predicted_bytes=size_bytes,
        float32_bytes=4 * math.prod(weights) if constants else 0,
        reason_code=diagnosis.code,
    )


def _recurrent_layer(graph: Graph, op: Any, charged: Charged) -> Layer:
    name, inputs, output = graph.op_name(op), graph.inputs(op), graph.outputs(op)[0]
    sources = [source for i in inputs for source in constants_behind(graph, i)]
    matrices = [i for i in sources if len(graph.shape(i)) == 2]
    weights = sum(math.prod(graph.shape(i)) for i in matrices)
    numbers = sum(math.prod(graph.shape(i)) for i in sources)
    units = graph.shape(output)[-1]
    quantized = bool(matrices) and all(graph.type_name(i) in INTEGERS for i in matrices)
    size_bytes = charged.size_bytes(graph, sources)
    return Layer(
        name=tensor_label(graph, output),
        op=name,
        kind="int8" if quantized else "float",
        reason=f"LCE has no binary {name}",
        fix=None,
        # The matrices side by side, one row per unit; those of a projection don't fit.
        filter_shape=[units, weights // units] if weights % units == 0 else [weights],
        output_shape=graph.shape(output),
        # Both [N, T, …] and [T, N, …] have N·T steps.
        macs=math.prod(graph.shape(inputs[0])[:-1]) * weights,
        size_bytes=size_bytes,
        predicted_bytes=size_bytes,
        float32_bytes=4 * numbers,
        reason_code=Reason.RECURRENT,
    )


def _macs(name: str, filter_shape: list[int], output: list[int], data: list[int]) -> int:
    if name == "DEPTHWISE_CONV_2D":
        return math.prod(output) * math.prod(filter_shape[1:3])
    if "TRANSPOSE" in name:
        return math.prod(data[:-1]) * math.prod(filter_shape)
    return math.prod(output[:-1]) * math.prod(filter_shape)


def tensor_label(graph: Graph, index: int) -> str:
    """The readable part of a tensor's name, which joins the names of all operators in it."""
    first = layer_part(graph.tensor_name(index))
    return first.rsplit("/", 1)[0] if "/" in first else first
