"""Max-pooling in front of a sign → LceBMaxPool2d behind it.

    MAX_POOL_2D → LceQuantize   →   LceQuantize → LceBMaxPool2d

Exact: a sign does not decrease, so the sign of the largest is the largest of the signs.
"""

from convert.tflite.graph import Graph
from convert.tflite.make_ops import make_custom_op
from onebit import bits


def pool_bits(graph: Graph) -> list[str]:
    """Pools bits where only a sign reads what is pooled; returns the names of the pooled bits.

    It does not fire for a pooling with an activation, nor where anything else reads it.
    """
    changed = []
    for op in [op for op in graph.operators if graph.op_name(op) == "LceQuantize"]:
        pooled, (words,) = graph.inputs(op)[0], graph.outputs(op)
        pool = graph.producer(pooled)
        if pool is None or graph.op_name(pool) != "MAX_POOL_2D":
            continue
        options = pool.builtinOptions
        if options.fusedActivationFunction or len(graph.consumers(pooled)) > 1:
            continue
        if pooled in graph.subgraph.outputs:
            continue
        source = graph.inputs(pool)[0]
        *outer, channels = graph.shape(source)
        unpooled = graph.add_words(
            f"{graph.tensor_name(words)}/unpooled", [*outer, bits.packed_length(channels)]
        )
        settings = {
            "filter_height": options.filterHeight,
            "filter_width": options.filterWidth,
            "stride_height": options.strideH,
            "stride_width": options.strideW,
            "padding": options.padding,
        }
        graph.set_inputs(op, [source])
        graph.set_outputs(op, [unpooled])
        pooling = make_custom_op(graph, "LceBMaxPool2d", [unpooled], [words], settings)
        graph.replace_op(pool, [])
        graph.replace_op(op, [op, pooling])
        changed.append(graph.tensor_name(words))
    return changed
