"""Numbers that are quantized and then not computed with stay float.

TensorFlow Lite's quantizer puts QUANTIZE and DEQUANTIZE around every operator that it leaves float.
Where one follows the other, the float number is still there:

    x → QUANTIZE → DEQUANTIZE → y              y is x
    x → QUANTIZE → RESHAPE → DEQUANTIZE → y    x → RESHAPE → y

The result is not rounded to 8 bits in between, and shorter.
"""

import copy
from typing import Any

from convert.int8.select_ops import MOVES
from convert.tflite.graph import Graph


def cancel_requantize_pairs(graph: Graph) -> list[str]:
    """Lets what reads quantized and dequantized numbers read the float ones; returns their names.

    It does not fire where any operator but those that move numbers stands between.
    """
    changed = []
    for op in [op for op in graph.operators if graph.op_name(op) == "DEQUANTIZE"]:
        (quantized,), (output,) = graph.inputs(op), graph.outputs(op)
        moves: list[Any] = []
        above = graph.producer(quantized)
        while above is not None and graph.op_name(above) in MOVES:
            moves.insert(0, above)
            above = graph.producer(graph.inputs(above)[0])
        if above is None or graph.op_name(above) != "QUANTIZE":
            continue
        (source,) = graph.inputs(above)
        changed.append(graph.tensor_name(output))
        if not moves:
            graph.redirect(output, source)
            graph.replace_op(op, [])
            continue
        floats = []
        for move in moves:
            step = copy.copy(move)
            shape = graph.shape(graph.outputs(move)[0])
            target = output
            if move is not moves[-1]:
                target = graph.add_tensor(f"{graph.tensor_name(output)}/moved", shape)
            graph.set_inputs(step, [source, *graph.inputs(move)[1:]])
            graph.set_outputs(step, [target])
            floats.append(step)
            source = target
        graph.replace_op(op, floats)
    if changed:
        graph.drop_unread_ops()
    return changed
