"""A float file → int8 where TensorFlow Lite can, binary where LCE can.

float file, ranges noted in its tensors
→ TensorFlow Lite's quantizer: weights per output channel, activations per tensor, QUANTIZE and
DEQUANTIZE at the borders of what it does not know, LCE's operators among it
→ `convert.int8.passes`: the binary layers read and write int8 themselves, and keep their thresholds
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.errors import ConversionError
from convert.int8.layer_matching import matched_layers
from convert.int8.observers import observe
from convert.int8.passes import INT8_PASSES
from convert.int8.ranges import Histogram, choose_range
from convert.int8.select_ops import select
from convert.int8.settings import Int8, check_choice, check_inputs
from convert.int8.values import is_quantized
from convert.passes.pack_binary_weights import pack_binary_weights
from convert.report import Layer, Reason
from convert.tflite.graph import Graph, schema
from convert.tflite.signature import (
    KEY,
    input_names,
    order_ends,
    output_names,
    unique_names,
    write_signature,
)
from onebit.errors import first_line
from onebit.interrupts import importing
from onebit.streams import held_stderr

_MARK = "#"
"""Ends the names of tensors while the quantizer works, which appends numbers to them."""

OUTPUT_MARGIN = 0.25
"""How much wider than the samples' an output's range is on each side that is not 0, of its width.

The samples are those that a network was trained on, whose outputs lie nearer to their targets than
those of others do. Two steps become three, which costs 0.6 bits.
"""

# The bits ±1 need both ends in int8: ±127 times this scale, and no offset.
_BIT_SCALE = 1 / 127


@dataclass(frozen=True)
class Quantized:
    """An int8 file.

    Attributes:
        graph: The file.
        fired: Pass → the tensors that it changed.
        warnings: What makes the samples poor ones.
    """

    graph: Graph
    fired: dict[str, list[str]]
    warnings: list[str]


def quantize(graph: Graph, settings: Int8) -> Quantized:
    """The int8 form of a float file that LCE or the binariser wrote.

    Args:
        graph: The float file, before filters are packed; it is changed.
        settings: The samples, checked, and how to calibrate on them.

    Raises:
        ConversionError: The samples are all equal, a tensor becomes infinite on them, or TensorFlow
            Lite's quantizer fails.
    """
    for name in settings.without_passes:
        check_choice("without_passes", name, [step.__name__ for step in INT8_PASSES])
    warnings = check_inputs(settings.inputs)
    batch = graph.shape(int(graph.subgraph.inputs[0]))[0]
    if batch != 1:
        raise ConversionError(
            f"the model computes with its batch size of {batch}, and int8 takes one sample at a "
            "time",
            hint="build it so that it takes any batch size",
        )
    # To the quantizer, weights that are packed before are not constants, and it leaves them.
    packed = pack_binary_weights(
        graph, only_if=None if settings.scope == "layers" else lambda s: not s.fits_int8
    )
    fired = {"pack_binary_weights": packed}
    selection = select(graph, settings)
    groups = selection.groups
    if groups:
        reference = Graph.from_bytes(graph.to_bytes())
        histograms = observe(graph, [group[0] for group in groups], settings.inputs)
        warnings += _dead_tensors(graph, histograms)
        for group in groups:
            _note_range(graph, group, _range_of(graph, group, histograms[group[0]], settings))
        graph = _run_quantizer(graph, settings, selection.kept)
        for step in INT8_PASSES:
            if step.__name__ in settings.without_passes:
                continue
            fired[step.__name__] = step(graph)
        _name_layers(reference, graph)
    return Quantized(graph, {name: changed for name, changed in fired.items() if changed}, warnings)


def left_float(graph: Graph, layers: Sequence[Layer]) -> list[str]:
    """Notes on what int8 left float in a file, and why."""
    packed = [
        layer.name
        for layer in layers
        if layer.kind == "binary_weights"
        and layer.reason_code not in (Reason.INT8_INPUTS, Reason.LOOKED_UP)
    ]
    rest = [layer.name for layer in layers if layer.kind == "float"]
    notes = [] if is_quantized(graph) else ["nothing became int8"]
    if packed:
        notes.append(
            f"float, with packed weights: {', '.join(packed)}; the delegate computes them from "
            "their bits (scope all makes them int8 where that keeps the bits)"
        )
    if rest:
        names = ", ".join(dict.fromkeys(rest))
        notes.append(f"float: {names}; TensorFlow Lite's quantizer does not take them")
    return notes


def _name_layers(reference: Graph, graph: Graph) -> None:
    for old, new in matched_layers(reference, graph):
        name = reference.tensor_name(reference.outputs(old)[0])
        graph.subgraph.tensors[graph.outputs(new)[0]].name = name.encode()


def _dead_tensors(graph: Graph, histograms: dict[int, Histogram]) -> list[str]:
    dead = [graph.tensor_name(i) for i, h in histograms.items() if h.low == h.high]
    if not dead:
        return []
    return [f"always zero on the representative samples: {', '.join(dead)}"]


def _range_of(
    graph: Graph, group: Sequence[int], histogram: Histogram, settings: Int8
) -> tuple[float, float]:
    op = graph.producer(group[0])
    if op is not None and graph.op_name(op) == "LceDequantize":
        return -128 * _BIT_SCALE, 127 * _BIT_SCALE
    # Outputs are compared with each other: of two that are cut off, none is the larger.
    leaves = set(group) & {int(i) for i in graph.subgraph.outputs}
    low, high = choose_range(histogram, "minmax" if leaves else settings.ranges)
    if leaves:
        margin = OUTPUT_MARGIN * (high - low)
        low, high = (end + np.sign(end) * margin for end in (low, high))
    # A tensor that is always zero still needs a scale.
    return (low, high) if high > low else (-1.0, 1.0)


def _note_range(graph: Graph, group: Sequence[int], ends: tuple[float, float]) -> None:
    for index in group:
        quantization = schema.QuantizationParametersT()
        quantization.min = np.array([ends[0]], np.float32)
        quantization.max = np.array([ends[1]], np.float32)
        graph.subgraph.tensors[index].quantization = quantization


def _mlir_quantizer() -> tuple[Callable[..., bytes], dict[str, Any]]:
    """TensorFlow Lite's quantizer, and the types of a file's inputs and outputs by `Int8.io`.

    It works beside either Keras. Where TensorFlow is not loaded, Larq's is chosen, for what the
    process may do later.
    """
    with importing():
        if "tensorflow" not in sys.modules:
            import onebit.keras  # noqa: F401
        import tensorflow as tf
        from tensorflow.lite.python.convert import mlir_quantize

    return mlir_quantize, {"int8": tf.int8, "float": tf.float32}


def _run_quantizer(graph: Graph, settings: Int8, kept: Sequence[Any]) -> Graph:
    # The quantizer keeps a signature, but not always the order, which its names restore.
    ends = unique_names(input_names(graph)), unique_names(output_names(graph))
    key = next((signature.signatureKey for signature in graph.signatures()), KEY)
    write_signature(graph, *ends)
    for tensor in graph.subgraph.tensors:
        tensor.name = (tensor.name or b"") + _MARK.encode()
    mlir_quantize, types = _mlir_quantizer()
    kept_float = {graph.tensor_name(graph.outputs(op)[0]) for op in kept}
    with held_stderr() as held:
        try:
            content = mlir_quantize(
                graph.to_bytes(),
                input_data_type=types[settings.io],
                output_data_type=types[settings.io],
                denylisted_nodes=kept_float,
            )
        except Exception as error:  # MLIR raises whatever comes up
            lines = held().strip().splitlines()
            raise ConversionError(
                "TensorFlow Lite's quantizer fails: " + (lines[-1] if lines else first_line(error))
            ) from error
    result = Graph.from_bytes(content)
    for tensor in result.subgraph.tensors:
        name = (tensor.name or b"").decode("utf-8", "replace")
        tensor.name = name.partition(_MARK)[0].encode()
    order_ends(result, *ends)
    write_signature(result, *ends, key)
    return result
