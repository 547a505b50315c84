"""Matrix products with a constant of ±r → dense layers.

A converter that meets a filter which is still computed, such as sign(W), writes BATCH_MATMUL. Once
the filter is folded, it is a dense layer:

    BATCH_MATMUL(x, W)   →   FULLY_CONNECTED(x, Wᵀ)              W `[D, M]`

Exact: the products and what is added up are the same.
"""

import numpy as np

from convert.tflite.graph import Graph, schema
from convert.tflite.scales import has_binary_rows


def matmul_to_dense(graph: Graph) -> list[str]:
    """Makes products with binary matrices dense layers; returns the names of their outputs.

    It does not fire for real matrices, batches of them, or a transposed left operand.
    """
    changed = []
    for op in [op for op in graph.operators if graph.op_name(op) == "BATCH_MATMUL"]:
        data, matrix = graph.inputs(op)
        weights, options = graph.constant(matrix), op.builtinOptions
        if weights is None or weights.ndim != 2 or weights.dtype != np.float32 or options.adjX:
            continue
        rows = np.ascontiguousarray(weights if options.adjY else weights.T)
        if len(graph.shape(data)) < 2 or not has_binary_rows(rows):
            continue
        filter_index = graph.add_constant(f"{graph.tensor_name(matrix)}/rows", rows)
        dense = schema.FullyConnectedOptionsT()
        dense.keepNumDims = len(graph.shape(data)) > 2
        inputs = [data, filter_index, -1]
        graph.replace_op(op, [graph.make_op("FULLY_CONNECTED", inputs, graph.outputs(op), dense)])
        changed.append(graph.tensor_name(graph.outputs(op)[0]))
    return changed
