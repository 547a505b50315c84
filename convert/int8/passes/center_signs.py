"""A sign that follows an int8 layer turns where the layer's sum does.

A layer stores round(m·a) + z of its integer sum a, with m = s_in·s_w/s_out, and the sign behind it
tests whether that is below z. So every sum with −1/2 < m·a < 0 comes out as +1, though it is
negative: always the same way, which moves the threshold by half a step. Where nothing but the sign
reads the layer, its integer bias is lowered by

    h = ⌈1/(2m)⌉ − 1:     a ≥ 0 → m·(a − h) > −1/2 → +1,     a ≤ −1 → m·(a − h) ≤ −1/2 → −1

and the sign is that of the sum itself, whatever the step: 8 bits cost it nothing here. Picking the
largest of several numbers in between changes nothing.
"""

from typing import Any

import numpy as np

from convert.int8.select_ops import MOVES
from convert.tflite.graph import INT8, Graph, schema

_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def center_signs(graph: Graph) -> list[str]:
    """Lowers the biases of int8 layers that feed only signs; returns the layers' outputs.

    It does not fire behind a fused activation, nor where anything else reads the layer: that would
    be off by half a step.
    """
    changed = []
    for op in graph.operators:
        if graph.op_name(op) not in _LAYERS or not _feeds_only_signs(graph, op):
            continue
        weights, bias = graph.constant(graph.inputs(op)[1]), _bias(graph, op)
        activation = op.builtinOptions.fusedActivationFunction
        if weights is None or bias is None or activation != schema.ActivationFunctionType.NONE:
            continue
        (output,) = graph.outputs(op)
        factor = _sum_step(graph, op) / _scale(graph, output)
        lowered = bias - (np.ceil(0.5 / factor) - 1)
        # Beyond 32 bits a bias is so far from the threshold that half a step is nothing.
        lowered = np.clip(lowered, -(2**31), 2**31 - 1).astype("<i4")
        name = f"{graph.tensor_name(output)}/centered_bias"
        constant = graph.add_constant(name, lowered)
        old = graph.subgraph.tensors[graph.inputs(op)[2]].quantization
        graph.subgraph.tensors[constant].quantization = old
        graph.set_inputs(op, [*graph.inputs(op)[:2], constant])
        changed.append(graph.tensor_name(output))
    return changed


def _bias(graph: Graph, op: Any) -> Any:
    inputs = graph.inputs(op)
    return graph.constant(inputs[2]) if len(inputs) > 2 and inputs[2] >= 0 else None


def _scale(graph: Graph, index: int) -> float:
    return float(graph.subgraph.tensors[index].quantization.scale[0])


def _sum_step(graph: Graph, op: Any) -> Any:
    """s_in·s_w, the real number that 1 in a layer's integer sum stands for; one, or `[O]`."""
    data, filter_ = graph.inputs(op)[:2]
    scales = np.asarray(graph.subgraph.tensors[filter_].quantization.scale, np.float64)
    return _scale(graph, data) * scales


def _feeds_only_signs(graph: Graph, op: Any) -> bool:
    pending = graph.outputs(op)
    if graph.subgraph.tensors[pending[0]].type != INT8:
        return False
    outputs = {int(i) for i in graph.subgraph.outputs}
    found = False
    while pending:
        index = pending.pop()
        if index in outputs:
            return False
        for reader in graph.consumers(index):
            if graph.op_name(reader) in (*MOVES, "MAX_POOL_2D"):
                pending += graph.outputs(reader)
            elif graph.op_name(reader) == "LceQuantize":
                found = True
            else:
                return False
    return found
