"""Passes that make a file smaller once its binary layers are found, by LCE or the binariser.

A pass changes a `Graph` in place and returns the names of the tensors whose operators it changed.
The file stays within LCE's op set: its own interpreter runs the result of every pass.
"""

from collections.abc import Callable

from convert.passes.drop_unused import drop_unused
from convert.passes.merge_equal_constants import merge_equal_constants
from convert.passes.pack_binary_tables import pack_binary_tables
from convert.passes.pack_binary_weights import pack_binary_weights
from convert.tflite.graph import Graph

Pass = Callable[[Graph], list[str]]

PASSES: list[Pass] = [
    # Works on what LCE folded (batch normalisation into the filter), so it comes after LCE.
    pack_binary_weights,
    pack_binary_tables,
    # After packing, whose bits, scales and shapes are constants too.
    merge_equal_constants,
    # Last: the passes before it leave the filters and tensors that they replaced behind.
    drop_unused,
]


def run_passes(graph: Graph) -> dict[str, list[str]]:
    """Runs `PASSES` on a graph; returns pass → what it changed, without those that did nothing."""
    fired = {step.__name__: step(graph) for step in PASSES}
    return {name: changed for name, changed in fired.items() if changed}


__all__ = ["PASSES", "run_passes"]
