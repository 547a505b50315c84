"""Bits that are unpacked only to be packed again stay packed.

Larq Compute Engine unpacks bits wherever an operator other than its own stands between a sign and a
layer. Where that operator only moves numbers about, nothing needs to be unpacked:

    LceDequantize → LceQuantize                →   nothing
    LceDequantize → RESHAPE → LceQuantize      →   RESHAPE of the words      (whole words move)
    LceQuantize → LceDequantize → RESHAPE → LceQuantize   →   RESHAPE → LceQuantize   (they don't)

The words keep their order if the last dimension, along which bits are packed, stays as it is or is
a multiple of 32 before and after. Exact in every case: bits are moved, or the sign is taken once
instead of twice.
"""

from convert.tflite.graph import FLOAT32, Graph
from convert.tflite.make_ops import make_reshape
from convert.tflite.names import hand_on
from onebit import bits


def cancel_quantize_pairs(graph: Graph) -> list[str]:
    """Removes needless pairs of LceDequantize and LceQuantize; returns the packed tensors' names.

    It does not fire for int8 tensors, where anything but a reshape stands between, nor where words
    would have to be split and no sign in front can move.
    """
    changed = []
    for op in [op for op in graph.operators if graph.op_name(op) == "LceQuantize"]:
        top, reshaped = graph.inputs(op)[0], False
        above = graph.producer(top)
        while above is not None and graph.op_name(above) == "RESHAPE":
            top, reshaped = graph.inputs(above)[0], True
            above = graph.producer(top)
        if above is None or graph.op_name(above) != "LceDequantize":
            continue
        words = graph.inputs(above)[0]
        if graph.subgraph.tensors[top].type != FLOAT32 or graph.is_constant(words):
            continue
        (packed,) = graph.outputs(op)
        name, target = graph.tensor_name(packed), graph.shape(graph.inputs(op)[0])
        if not reshaped:
            graph.redirect(packed, words)
            graph.replace_op(op, [])
        elif words_move_whole(graph.shape(top)[-1], target[-1]):
            graph.replace_op(op, [make_reshape(graph, words, packed)])
        else:
            sign = graph.producer(words)
            if sign is None or graph.op_name(sign) != "LceQuantize":
                continue
            (source,) = graph.inputs(sign)
            if graph.subgraph.tensors[source].type != FLOAT32:
                continue
            hand_on(graph, words, packed)
            moved = graph.add_tensor(f"{name}/moved", target)
            graph.set_inputs(op, [moved])
            graph.replace_op(op, [make_reshape(graph, source, moved), op])
        changed.append(name)
    if changed:
        graph.drop_unread_ops()
    return changed


def words_move_whole(before: int, after: int) -> bool:
    """Whether a reshape of a last dimension to another one keeps every word of bits whole."""
    return before == after or (before % bits.WORD_BITS == 0 and after % bits.WORD_BITS == 0)
