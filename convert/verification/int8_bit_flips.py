"""How many input bits of binary layers the int8 layers flip."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.int8.layer_matching import binary_constants
from convert.int8.observers import TensorReader
from convert.int8.values import to_file
from convert.tflite.filters import binary_filter_shape
from convert.tflite.graph import Graph


def flipped_bits(
    reference: Graph,
    graph: Graph,
    float_inputs: Sequence[NDArray[Any]],
    int8_inputs: Sequence[NDArray[Any]],
) -> dict[str, float]:
    """The share of each binary layer's input bits that differ from the float file's.

    Both files run as they are: what flips in one layer makes bits flip in the next.

    Args:
        reference: The float file.
        graph: The int8 file.
        float_inputs: One array per input, float32 `[N, …]`, in the float file's order.
        int8_inputs: The same in the int8 file's order.
    """
    known = {
        binary_constants(reference, op): reference.inputs(op)[0]
        for op in reference.operators
        if reference.op_name(op) == "LceBconv2d"
    }
    layers = [
        (op, known[key])
        for op in graph.operators
        if (key := binary_constants(graph, op)) is not None and key in known
    ]
    if not layers:
        return {}
    old = TensorReader(reference, [index for _, index in layers])
    new = TensorReader(graph, [graph.inputs(op)[0] for op, _ in layers])
    flipped = np.zeros(len(layers))
    pixels = np.zeros(len(layers))
    for left, right in zip(
        old.each(float_inputs), new.each(to_file(graph, int8_inputs)), strict=True
    ):
        for number, (op, index) in enumerate(layers):
            words = left[index], right[graph.inputs(op)[0]]
            differs = np.bitwise_xor(*words).astype("<i4").view(np.uint8)
            flipped[number] += np.unpackbits(differs).sum()
            pixels[number] += words[0].size / words[0].shape[-1]
    shares = {}
    for (op, _), count, places in zip(layers, flipped, pixels, strict=True):
        filter_channels = binary_filter_shape(graph, op)[-1]
        channels = int(graph.custom_options(op).get("channels_in", filter_channels))
        shares[graph.tensor_name(graph.outputs(op)[0])] = float(count / (places * channels))
    return shares
