"""Scales and offsets behind a binary convolution → its own multiplier and bias.

    LceBconv2d·m + b → ·g + β   →   LceBconv2d·(m·g) + (b·g + β)

LceBconv2d computes `clamp(x)·m + b` of its integer x. So a ReLU moves in too while there is no bias
and m ≥ 0, since then Relu(x·m) = Relu(x)·m. A reshape between that leaves the channels alone, as
behind a dense layer, is moved to the end. Each product is rounded once more or once less than
before, 2^-24 relatively.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.binariser.elementwise import ACTIVATION_OPS
from convert.binariser.per_channel import PerChannel, per_channel
from convert.tflite.filters import is_zero_padded
from convert.tflite.graph import Graph, schema
from convert.tflite.make_ops import set_custom_options
from convert.tflite.names import joined_name

_RELU = schema.ActivationFunctionType.RELU


def fuse_scales(graph: Graph) -> list[str]:
    """Moves scales, offsets and ReLUs into the binary convolutions in front; returns their outputs.

    It does not fire where anything else reads the numbers between, nor for a ReLU behind a bias or
    a border of zeros.
    """
    changed = []
    for op in [op for op in graph.operators if graph.op_name(op) == "LceBconv2d"]:
        last, fused = op, False
        while (reader := _only_reader(graph, last)) is not None:
            if last is op and _keeps_channels(graph, reader):
                last = reader
                continue
            if not _fuse(graph, op, last, reader):
                break
            fused = True
        if fused:
            changed.append(graph.tensor_name(graph.outputs(last)[0]))
    return changed


def _only_reader(graph: Graph, op: Any) -> Any | None:
    (output,) = graph.outputs(op)
    readers = graph.consumers(output)
    return None if len(readers) != 1 or output in graph.subgraph.outputs else readers[0]


def _keeps_channels(graph: Graph, op: Any) -> bool:
    return graph.op_name(op) == "RESHAPE" and (
        graph.shape(graph.inputs(op)[0])[-1:] == graph.shape(graph.outputs(op)[0])[-1:]
    )


def _fuse(graph: Graph, op: Any, last: Any, reader: Any) -> bool:
    """Moves what an operator does into a convolution; gives whether it could.

    Args:
        graph: The file.
        op: The LceBconv2d.
        last: The operator whose output is read: the convolution, or a reshape behind it.
        reader: What reads it.
    """
    (data,) = graph.outputs(last)
    scaling = per_channel(graph, reader, data)
    rest: list[Any] = []
    if scaling is not None:
        _apply(graph, op, scaling)
        if scaling.activation:
            (output,) = graph.outputs(reader)
            rest = [graph.make_op(ACTIVATION_OPS[scaling.activation], [data], [output])]
    elif graph.op_name(reader) == "RELU" and _takes_relu(graph, op):
        options = graph.custom_options(op)
        set_custom_options(op, {**options, "fused_activation_function": _RELU})
    else:
        return False
    if not rest:
        (output,) = graph.outputs(reader)
        if last is op and output not in graph.subgraph.outputs:
            name = joined_name(graph.tensor_name(data), graph.tensor_name(output))
            graph.subgraph.tensors[output].name = name.encode()
        graph.set_outputs(last, [output])
    graph.replace_op(reader, rest)
    return True


def _constants(graph: Graph, op: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The multiplier and the bias of an LceBconv2d."""
    found = [graph.constant(i) for i in graph.inputs(op)[2:4]]
    return found[0], found[1]  # type: ignore[return-value]


def _apply(graph: Graph, op: Any, scaling: PerChannel) -> None:
    multiplier, bias = _constants(graph, op)
    name, inputs = graph.tensor_name(graph.outputs(op)[0]), graph.inputs(op)
    values = multiplier * scaling.multiplier, bias * scaling.multiplier + scaling.offset
    new = [
        graph.add_constant(f"{name}/{kind}", value.astype("<f4"))
        for kind, value in zip(("multiplier", "bias"), values, strict=True)
    ]
    graph.set_inputs(op, [*inputs[:2], *new, *inputs[4:]])


def _takes_relu(graph: Graph, op: Any) -> bool:
    multiplier, bias = _constants(graph, op)
    return not (
        graph.custom_options(op)["fused_activation_function"]
        or bias.any()
        or (multiplier < 0).any()
        or is_zero_padded(graph, op)
    )
