"""Binary layers read and write int8 themselves.

LCE's operators take int8 where their tensors have it. TensorFlow Lite's quantizer does not know
that and converts to float32 around them:

    int8 → DEQUANTIZE → LceQuantize       →   int8 → LceQuantize       bit = x < zero point
    LceBconv2d → QUANTIZE → int8          →   LceBconv2d → int8        the same rounding, once
    LceDequantize → QUANTIZE → int8       →   LceDequantize → int8     ±127 steps of 1/127

The first is exact: a number is negative when its integer is below the zero point.
"""

from typing import Any

from convert.tflite.filters import is_zero_padded
from convert.tflite.graph import Graph

_MAX_STEP_ERROR = 2.0**-23
"""1/127 as float32 is off by up to 2^-24, and 127 times that by a rounding more."""


def join_binary_layers(graph: Graph) -> list[str]:
    """Removes the conversions around LCE's operators; returns the names of the tensors between.

    It does not fire for an LceBconv2d that is padded with zeros, which LCE computes in float only,
    nor for one whose float numbers something else reads.
    """
    changed = []
    for op in list(graph.operators):
        if graph.op_name(op) == "LceQuantize":
            above = graph.producer(graph.inputs(op)[0])
            if above is not None and graph.op_name(above) == "DEQUANTIZE":
                changed.append(graph.tensor_name(graph.inputs(op)[0]))
                graph.set_inputs(op, graph.inputs(above))
        elif graph.op_name(op) in ("LceBconv2d", "LceDequantize"):
            name = _give_int8(graph, op)
            if name is not None:
                changed.append(name)
    if changed:
        graph.drop_unread_ops()
    return changed


def _give_int8(graph: Graph, op: Any) -> str | None:
    (output,) = graph.outputs(op)
    readers = graph.consumers(output)
    if not readers or output in map(int, graph.subgraph.outputs):
        return None
    if any(graph.op_name(reader) != "QUANTIZE" for reader in readers):
        return None
    targets = [graph.outputs(reader)[0] for reader in readers]
    first = graph.subgraph.tensors[targets[0]].quantization
    for target in targets[1:]:
        other = graph.subgraph.tensors[target].quantization
        if other.scale[0] != first.scale[0] or other.zeroPoint[0] != first.zeroPoint[0]:
            return None
    if graph.op_name(op) == "LceBconv2d":
        if is_zero_padded(graph, op):
            return None
    elif abs(127 * float(first.scale[0]) - 1) > _MAX_STEP_ERROR or first.zeroPoint[0] != 0:
        return None
    graph.set_outputs(op, [targets[0]])
    for reader in readers:
        graph.replace_op(reader, [])
    for target in targets[1:]:
        graph.redirect(target, targets[0])
    name = graph.tensor_name(output)
    graph.subgraph.tensors[targets[0]].name = name.encode()
    return name
