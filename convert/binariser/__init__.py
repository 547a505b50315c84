"""Binary layers found in a float `.tflite` file, whoever wrote it.

What Larq Compute Engine's converter does with a Keras model, these steps do with a file. Each
changes a `Graph` in place and returns the names of the tensors whose operators it changed, as
`convert/passes` do. They need NumPy and flatbuffers only. LCE's own interpreter runs the result.
"""

from collections.abc import Callable

from convert.binariser.binarise_layers import binarise_layers
from convert.binariser.cancel_straight_through import cancel_straight_through
from convert.binariser.find_signs import find_signs
from convert.binariser.fold_constants import fold_constants
from convert.binariser.fuse_scales import fuse_scales
from convert.binariser.matmul_to_dense import matmul_to_dense
from convert.binariser.move_reshapes import move_reshapes
from convert.binariser.pool_bits import pool_bits
from convert.binariser.scale_before_pool import scale_before_pool
from convert.binariser.sink_transposes import sink_transposes
from convert.binariser.write_thresholds import write_thresholds
from convert.passes.cancel_quantize_pairs import cancel_quantize_pairs
from convert.tflite.graph import Graph

STEPS: list[Callable[[Graph], list[str]]] = [
    # First: quantizers of filters become filters, thresholds constants.
    fold_constants,
    # Only now the operands of products are constants.
    matmul_to_dense,
    # Signs then are in one piece.
    sink_transposes,
    # Before signs become LCE's operators, which have no levels.
    cancel_straight_through,
    find_signs,
    # Knows ±1 by the LceDequantize that the step before has put there.
    binarise_layers,
    # While what follows a layer still is float.
    scale_before_pool,
    fuse_scales,
    # Each layer has a sign of its own by now; those that repeat one are cancelled.
    cancel_quantize_pairs,
    # Then what is left between a layer and the next sign moves behind it, so that
    move_reshapes,
    pool_bits,
    # the sign stands right behind the layer.
    write_thresholds,
]


def binarise(graph: Graph) -> dict[str, list[str]]:
    """Runs `STEPS` on a float file; returns step → what it changed, without those that did nothing.

    The file is changed.
    """
    fired = {step.__name__: step(graph) for step in STEPS}
    return {name: changed for name, changed in fired.items() if changed}


__all__ = ["STEPS", "binarise"]
