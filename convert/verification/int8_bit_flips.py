"""How many input bits of binary layers the int8 layers flip."""

from collections import defaultdict
from collections.abc import Callable, Sequence
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
    label: Callable[[str], str] = str,
) -> dict[str, float]:
    """The share of each binary layer's input bits that differ from the float file's.

    Both files run as they are: what flips in one layer makes bits flip in the next. That of a layer
    that is used several times is over all uses.

    Args:
        reference: The float file.
        graph: The int8 file.
        float_inputs: One array per input, float32 `[N, …]`, in the float file's order.
        int8_inputs: The same in the int8 file's order.
        label: A tensor's name → its layer.
    """
    layers = _pairs(reference, graph)
    if not layers:
        return {}
    old = TensorReader(reference, [reference.inputs(op)[0] for op, _ in layers])
    new = TensorReader(graph, [graph.inputs(op)[0] for _, op in layers])
    flipped: dict[str, int] = defaultdict(int)
    compared: dict[str, int] = defaultdict(int)
    for left, right in zip(
        old.each(float_inputs), new.each(to_file(graph, int8_inputs)), strict=True
    ):
        for before, after in layers:
            words = left[reference.inputs(before)[0]], right[graph.inputs(after)[0]]
            differs = np.bitwise_xor(*words).astype("<i4").view(np.uint8)
            name = label(graph.tensor_name(graph.outputs(after)[0]))
            filter_channels = binary_filter_shape(graph, after)[-1]
            channels = int(graph.custom_options(after).get("channels_in", filter_channels))
            flipped[name] += int(np.unpackbits(differs).sum())
            compared[name] += words[0].size // words[0].shape[-1] * channels
    return {name: count / compared[name] for name, count in flipped.items()}


def _pairs(reference: Graph, graph: Graph) -> list[tuple[Any, Any]]:
    """The binary layers of both files in pairs, (float, int8); each use of a layer is one."""
    left = defaultdict(list)
    for op in _binary_layers(reference):
        left[_key(reference, op)].append(op)
    return [(left[key].pop(0), op) for op in _binary_layers(graph) if left[key := _key(graph, op)]]


def _binary_layers(graph: Graph) -> list[Any]:
    return [op for op in graph.operators if graph.op_name(op) == "LceBconv2d"]


def _key(graph: Graph, op: Any) -> tuple[Any, ...]:
    """The constants and the input's shape, by which a layer is the same in both files."""
    return binary_constants(graph, op), *graph.shape(graph.inputs(op)[0])
