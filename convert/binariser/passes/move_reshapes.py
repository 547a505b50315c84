"""Reshapes behind a sign instead of in front, and one instead of several.

    RESHAPE → LceQuantize   →   LceQuantize → RESHAPE of the words      (where whole words move)
    RESHAPE → RESHAPE       →   RESHAPE

A binary dense layer gives an image and is reshaped to rows, of which the next one makes an image
again: without reshapes between its sign and it, a convolution can write bits itself.
"""

from convert.binariser.passes.cancel_quantize_pairs import words_move_whole
from convert.tflite.graph import FLOAT32, Graph
from convert.tflite.make_ops import make_reshape
from convert.tflite.names import hand_on
from onebit import bits


def move_reshapes(graph: Graph) -> list[str]:
    """Moves reshapes of floats to behind the sign and joins them; returns the tensors behind.

    It does not fire where the words of bits would have to be split.
    """
    changed = []
    for op in [op for op in graph.operators if graph.op_name(op) == "LceQuantize"]:
        source, (words,) = graph.inputs(op)[0], graph.outputs(op)
        above = graph.producer(source)
        if above is None or graph.op_name(above) != "RESHAPE":
            continue
        before = graph.inputs(above)[0]
        shape = graph.shape(before)
        if graph.subgraph.tensors[before].type != FLOAT32 or not shape:
            continue
        *outer, channels = shape
        if not words_move_whole(channels, graph.shape(source)[-1]):
            continue
        moved = graph.add_words(
            f"{graph.tensor_name(words)}/unshaped", [*outer, bits.packed_length(channels)]
        )
        graph.set_inputs(op, [before])
        graph.set_outputs(op, [moved])
        graph.replace_op(op, [op, make_reshape(graph, moved, words)])
        changed.append(graph.tensor_name(words))
    changed += _join(graph)
    if changed:
        graph.drop_unread_ops()
    return changed


def _join(graph: Graph) -> list[str]:
    """Has a reshape of a reshape read what that one reads, and drops those that change nothing."""
    changed = []
    for op in [op for op in graph.operators if graph.op_name(op) == "RESHAPE"]:
        data, (output,) = graph.inputs(op)[0], graph.outputs(op)
        above = graph.producer(data)
        if above is not None and graph.op_name(above) == "RESHAPE":
            source = graph.inputs(above)[0]
            graph.set_inputs(op, [source, *graph.inputs(op)[1:]])
            hand_on(graph, data, source)
            changed.append(graph.tensor_name(output))
        source = graph.inputs(op)[0]
        if graph.shape(source) == graph.shape(output) and output not in graph.subgraph.outputs:
            hand_on(graph, output, source)
            graph.redirect(output, source)
            graph.replace_op(op, [])
            changed.append(graph.tensor_name(source))
    return changed
