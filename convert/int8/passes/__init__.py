"""Passes over a file that TensorFlow Lite's quantizer wrote: binary layers read and write int8."""

from collections.abc import Callable

from convert.int8.passes.cancel_requantize_pairs import cancel_requantize_pairs
from convert.int8.passes.center_signs import center_signs
from convert.int8.passes.join_binary_layers import join_binary_layers
from convert.int8.passes.pack_int8_weights import pack_int8_weights
from convert.tflite.graph import Graph

INT8_PASSES: list[Callable[[Graph], list[str]]] = [
    # First, so that needless QUANTIZE → DEQUANTIZE pairs are gone before layers are joined.
    cancel_requantize_pairs,
    # LCE's operators take and give int8 themselves.
    join_binary_layers,
    # Looks for signs that read int8, which the pass above made.
    center_signs,
    # Last: the filters are not touched by the others.
    pack_int8_weights,
]
"""In the order in which they run."""
