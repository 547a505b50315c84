"""Which constants are weights."""

import math

from convert.auditing.diagnosis import INTEGERS
from convert.tflite.graph import DTYPES, Graph

FLOATS = ("FLOAT16", "FLOAT32", "FLOAT64", "BFLOAT16")


def is_weight(graph: Graph, index: int) -> bool:
    """Whether a constant holds learned numbers rather than a shape, an index or a single number."""
    kind = graph.type_name(index)
    quantization = graph.subgraph.tensors[index].quantization
    quantized = quantization is not None and quantization.scale is not None
    quantized = quantized and len(quantization.scale) > 0
    return math.prod(graph.shape(index)) > 1 and (
        kind in FLOATS or (kind in INTEGERS and quantized) or _unknown_type(graph, index)
    )


def _unknown_type(graph: Graph, index: int) -> bool:
    """Whether NumPy does not know a constant's type, so that its numbers may be weights."""
    kind = graph.type_name(index)
    return graph.subgraph.tensors[index].type not in DTYPES and kind != "STRING"
