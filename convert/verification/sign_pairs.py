"""Signs that stand apart from any layer with a filter, such as those of attention's operands.

A layer's sign is known in the file by the layer's filter. One between two activations has none, and
the converter keeps neither its name nor, where it folds it away, its threshold. So both sides run a
few samples: a quantizer in Keras and bits that the file unpacks belong together if they agree best.
The pairing only decides what is compared with what: bits of a wrong pair differ far from the
threshold and end in a mismatch, never in a pass.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.keras_model.layer_graph import flat_layers
from convert.keras_model.two_levels import levels_of
from convert.runtimes.lce import LceInterpreter
from convert.tflite.graph import Graph
from convert.verification.probes import Tap, listening, with_outputs
from onebit import bits
from onebit.keras import keras, tf

PAIRING_SAMPLES = 4


def sign_taps(
    model: keras.Model,
    content: bytes,
    inputs: Sequence[NDArray[Any]],
    tapped: Sequence[Tap],
    kernel: str,
) -> list[Tap]:
    """Taps of the quantizers that tell their levels and are no layer's `input_quantizer`.

    Args:
        model: The Keras model.
        content: The file.
        inputs: Samples, `[N, …]` each, of which the first few are run.
        tapped: The taps that are known by filters.
        kernel: LCE's kernels to run the file with.

    Returns:
        One tap for each quantizer that Keras runs once, as far as the file has bits for them.
    """
    graph = Graph.from_bytes(content)
    quantizers = _separate_quantizers(model)
    taken = {tensor for tap in tapped for tensor in tap.tensors}
    unpacked = [
        graph.inputs(op)[0] for op in graph.operators if graph.op_name(op) == "LceDequantize"
    ]
    tensors = [
        tensor
        for tensor in dict.fromkeys(unpacked)
        if tensor not in taken and _is_computed(graph, tensor)
    ]
    if not quantizers or not tensors:
        return []
    few = [array[:PAIRING_SAMPLES] for array in inputs]
    candidates = [Tap(quantizer, [], 0, quantizer) for quantizer in quantizers]
    with listening(candidates):
        tensors_in = [tf.constant(array) for array in few]
        model(tensors_in if len(few) > 1 else tensors_in[0], training=False)
    # One tap with all tensors stands for the outputs to add.
    reader = LceInterpreter(
        with_outputs(content, [Tap(model.layers[-1], tensors, 0, lambda x: x)]), kernel
    )
    stored = dict(zip(tensors, reader.run(few)[-len(tensors) :], strict=True))
    return _paired([tap for tap in candidates if len(tap.seen) == 1], stored)


def _is_computed(graph: Graph, tensor: int) -> bool:
    """Whether bits are those of activations; packed weights and tables are constants."""
    op = graph.producer(tensor)
    return op is not None and graph.op_name(op) != "GATHER" and not graph.is_constant(tensor)


def _separate_quantizers(model: keras.Model) -> list[keras.layers.Layer]:
    """The quantizers with two levels that are parts of layers, but not their `input_quantizer`."""
    found = []
    for layer in flat_layers(model):
        inner = [
            layer,
            *(part for part in layer.submodules if isinstance(part, keras.layers.Layer)),
        ]
        own = getattr(layer, "input_quantizer", None)
        found += [part for part in inner if part is not own and levels_of(part) is not None]
    return found


def _paired(taps: list[Tap], stored: dict[int, NDArray[Any]]) -> list[Tap]:
    """The taps with the tensors whose bits agree best, the clearest pair first."""
    agreements = []
    for tap in taps:
        (values,) = tap.seen
        tap.channels = values.shape[-1]
        for tensor, words in stored.items():
            # Reshapes may stand on either side, but words are packed along the same channels.
            if words.shape[-1] != bits.packed_length(tap.channels):
                continue
            if words[..., 0].size != values[..., 0].size:
                continue
            same = tap.keras_levels(values) == tap.file_levels(words, values.shape)
            agreements.append((float(np.mean(same)), tap, tensor))
    paired: dict[int, Tap] = {}
    used: set[int] = set()
    for _, tap, tensor in sorted(agreements, key=lambda entry: -entry[0]):
        if tensor not in used and id(tap) not in paired:
            used.add(tensor)
            tap.tensors = [tensor]
            paired[id(tap)] = tap
    return list(paired.values())
