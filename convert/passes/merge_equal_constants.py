"""Constants with the same bytes are stored once.

Layers that share a kernel give two of its size in the file, and shapes, scales and zero biases come
up again and again. Tensors refer to buffers by number, so that several may refer to one.
"""

from collections import Counter

from convert.tflite.graph import Graph


def merge_equal_constants(graph: Graph) -> list[str]:
    """Lets tensors with equal contents share a buffer; returns the names of those that now do.

    It does not touch variables, which are written to, nor metadata. The buffers that are left over
    stay for `drop_unused`.
    """
    first: dict[bytes, int] = {}
    changed = []
    tensors = [t for subgraph in graph.model.subgraphs for t in subgraph.tensors]
    shared_with_variables = {t.buffer for t in tensors if t.isVariable}
    sizes = Counter(len(buffer.data) for buffer in graph.model.buffers if buffer.data is not None)
    for tensor in tensors:
        data = graph.model.buffers[tensor.buffer].data
        # A size that comes up once has no equal: large kernels are not copied to be compared.
        if data is None or not len(data) or sizes[len(data)] == 1:
            continue
        if tensor.buffer in shared_with_variables:
            continue
        buffer = first.setdefault(bytes(data), tensor.buffer)
        if buffer != tensor.buffer:
            tensor.buffer = buffer
            changed.append((tensor.name or b"").decode("utf-8", "replace"))
    return changed
