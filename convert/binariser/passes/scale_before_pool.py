"""A normalisation behind a max-pooling → in front of it, where a binary convolution takes it in.

    LceBconv2d → MAX_POOL_2D → MUL → ADD   →   LceBconv2d → MUL → ADD → MAX_POOL_2D

LceBconv2d has a multiplier and a bias of its own, so that nothing is computed twice, and a sign
behind the pooling then gets bits to pool. Exact where the multiplier is positive: x·m + b is
non-decreasing in every rounded operation, and max(f(x)) = f(max(x)).
"""

from typing import Any

import numpy as np

from convert.binariser.per_channel import per_channel
from convert.tflite.graph import Graph


def scale_before_pool(graph: Graph) -> list[str]:
    """Moves scales and offsets to before their max-pooling; returns the poolings' outputs.

    It does not fire for negative multipliers, where anything else reads the numbers between, nor
    where no LceBconv2d is in front of the pooling.
    """
    changed = []
    for pool in [op for op in graph.operators if graph.op_name(op) == "MAX_POOL_2D"]:
        above = graph.producer(graph.inputs(pool)[0])
        if above is None or graph.op_name(above) != "LceBconv2d":
            continue
        if pool.builtinOptions.fusedActivationFunction or not _is_private(graph, pool):
            continue
        moved = False
        while (step := _next_step(graph, pool)) is not None:
            graph.move_behind(pool, step, "unpooled")
            moved = True
        if moved:
            changed.append(graph.tensor_name(graph.outputs(pool)[0]))
    return changed


def _is_private(graph: Graph, pool: Any) -> bool:
    """Whether only the pooling reads its input."""
    (source, *_) = graph.inputs(pool)
    return len(graph.consumers(source)) == 1 and source not in graph.subgraph.outputs


def _next_step(graph: Graph, pool: Any) -> Any | None:
    """The operator behind the pooling that may stand in front of it."""
    (output,) = graph.outputs(pool)
    readers = graph.consumers(output)
    if len(readers) != 1 or output in graph.subgraph.outputs:
        return None
    scaling = per_channel(graph, readers[0], output)
    if scaling is None or (scaling.multiplier <= 0).any() or scaling.activation:
        return None
    return readers[0] if np.isfinite(scaling.multiplier).all() else None
