"""The binariser's steps over a float file, in order.

Each changes a `Graph` in place and returns the names of the tensors whose operators it changed.
"""

from collections.abc import Callable

from convert.binariser.passes.binarise_layers import binarise_layers
from convert.binariser.passes.cancel_quantize_pairs import cancel_quantize_pairs
from convert.binariser.passes.cancel_straight_through import cancel_straight_through
from convert.binariser.passes.find_signs import find_signs
from convert.binariser.passes.fold_constants import fold_constants
from convert.binariser.passes.fuse_scales import fuse_scales
from convert.binariser.passes.matmul_to_dense import matmul_to_dense
from convert.binariser.passes.move_reshapes import move_reshapes
from convert.binariser.passes.pool_bits import pool_bits
from convert.binariser.passes.scale_before_pool import scale_before_pool
from convert.binariser.passes.sink_transposes import sink_transposes
from convert.binariser.passes.write_thresholds import write_thresholds
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

__all__ = ["STEPS"]
