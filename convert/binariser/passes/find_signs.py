"""Signs → LceQuantize, whatever they are made of.

    x → … → ±1   →   x → LceQuantize → bits → LceDequantize → ±1

Exact for all numbers but NaN, which LCE takes for +1 and a comparison for -1. A threshold c other
than 0 is subtracted first: x ≥ c exactly where fl(x − c) ≥ 0, since a difference rounds to zero
only if it is zero.

The bits are called after the ±1 that they stand for (`convert/tflite/names.py`).
"""

import math

from convert.binariser.steps import SIGN, Steps, find_steps
from convert.tflite.graph import FLOAT32, Graph, schema
from convert.tflite.make_ops import make_reshape
from convert.tflite.names import bits_name
from onebit import bits


def find_signs(graph: Graph) -> list[str]:
    """Replaces every sign that gives +1 for 0; returns the names of the ±1 tensors.

    It does not fire for signs that give 0 or -1 for 0, nor for other levels than -1 and +1.
    """
    changed: list[str] = []
    packed: dict[tuple[int, int | None], int] = {}
    for index, steps in find_steps(graph).items():
        if not is_sign(graph, index, steps):
            continue
        op, key = graph.producer(index), (steps.source, steps.threshold)
        new = []
        if key not in packed:
            source = steps.source
            if steps.threshold is not None:
                source = graph.add_tensor(
                    f"{graph.tensor_name(index)}/moved", graph.shape(steps.source)
                )
                operands = [steps.source, steps.threshold]
                new.append(graph.make_op("SUB", operands, [source], schema.SubOptionsT()))
            *outer, channels = graph.shape(steps.source)
            packed[key] = graph.add_words(
                bits_name(graph.tensor_name(index)), [*outer, bits.packed_length(channels)]
            )
            new.append(graph.make_op("LceQuantize", [source], [packed[key]]))
        signs = index
        if graph.shape(index) != graph.shape(steps.source):
            signs = graph.add_tensor(
                f"{graph.tensor_name(index)}/unshaped", graph.shape(steps.source)
            )
        new.append(graph.make_op("LceDequantize", [packed[key]], [signs]))
        if signs != index:
            new.append(make_reshape(graph, signs, index))
        graph.replace_op(op, new)
        changed.append(graph.tensor_name(index))
    if changed:
        graph.drop_unread_ops()
    return changed


def is_sign(graph: Graph, index: int, steps: Steps) -> bool:
    """Whether a tensor is the ±1 of another one, +1 for 0, perhaps in another shape."""
    return (
        graph.subgraph.tensors[index].type == FLOAT32
        and steps.levels == SIGN
        and math.prod(graph.shape(index)) == math.prod(graph.shape(steps.source))
        and len(graph.shape(steps.source)) > 0
    )
