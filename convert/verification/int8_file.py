"""Whether an int8 file is what 8 bits make of a model.

It cannot be equal to the model, so the verdict has two parts: the float file of which the int8 file
was made, against the model, bit by bit (`verify_file.py`, `float_file.py`); and the int8 file
against the float file, tensor by tensor (`int8_tensors.py`). A fault in either is a mismatch.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.int8.values import from_file, scale_of, to_file
from convert.report import Quantization, Verification
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.samples import Samples
from convert.tflite.graph import Graph
from convert.tflite.names import known_layer, layer_part
from convert.verification.comparison import accuracy, agreement
from convert.verification.float_file import FloatFile, Reference, verify_float_file
from convert.verification.int8_bit_flips import flipped_bits
from convert.verification.int8_tensors import compare_tensors, foreign_layers

TENSOR_SAMPLES = 64
"""The most samples on which the tensors are compared."""

_BATCH = 16
"""The number of samples that the model runs at once."""


@dataclasses.dataclass(frozen=True)
class Original:
    """The model that an int8 file is compared with, run on the samples.

    Attributes:
        outputs: The model's outputs for all samples, one array `[N, …]` each.
        float_inputs: The samples in the float file's order, one array per input.
        int8_inputs: The same in the int8 file's order, not yet quantized.
        ends: For each output of the int8 file, which of the model's it is.
        labels: The samples' labels, if known.
    """

    outputs: Sequence[NDArray[Any]]
    float_inputs: Sequence[NDArray[Any]]
    int8_inputs: Sequence[NDArray[Any]]
    ends: Sequence[int]
    labels: NDArray[Any] | None


def compare_int8(
    base: Verification,
    reference: Graph,
    graph: Graph,
    original: Original,
    label: Callable[[str], str] = str,
) -> Verification:
    """Compares an int8 file with the float file that it was made of, and with the model's outputs.

    Args:
        base: The float file against the model.
        reference: The float file, its tensors named.
        graph: The int8 file.
        original: The samples, and what the model makes of them.
        label: A tensor's name → what to call it.

    Raises:
        ConversionError: LCE's interpreter refuses a file.
    """
    stored = to_file(graph, original.int8_inputs)
    computed = from_file(graph, LceInterpreter(graph.to_bytes()).run(stored))
    ends = list(original.ends)
    outputs = [computed[ends.index(number)] for number in range(len(computed))]
    differences = [np.abs(k - f).max() for k, f in zip(original.outputs, outputs, strict=True)]
    difference = float(max(differences))
    float_few = [array[:TENSOR_SAMPLES] for array in original.float_inputs]
    int8_few = [array[:TENSOR_SAMPLES] for array in original.int8_inputs]
    tensors = [
        dataclasses.replace(tensor, name=label(tensor.name))
        for tensor in compare_tensors(reference, graph, float_few, int8_few)
    ]
    faults = [
        f"{label(name)}: its weights are not the model's"
        for name in foreign_layers(reference, graph)
    ]
    faults += [f"{tensor.name}: {tensor.fault}" for tensor in tensors if tensor.fault is not None]
    scales = [_output_scale(graph, ends.index(number)) for number in range(len(computed))]
    in_scales = [d / s for d, s in zip(differences, scales, strict=True) if s is not None]
    quantization = Quantization(
        float_file=base.summary(),
        difference_in_scales=float(max(in_scales)) if in_scales else None,
        flipped_bits=flipped_bits(reference, graph, float_few, int8_few, label),
        tensors=tensors,
        faults=faults,
    )
    wrong = bool(faults) or base.verdict == "mismatch"
    return dataclasses.replace(
        base,
        verdict="mismatch" if wrong else "quantised",
        agreement=agreement(original.outputs[0], outputs[0]),
        accuracy_file=accuracy(outputs, original.labels),
        max_abs_difference=difference if np.isfinite(difference) else None,
        quantization=quantization,
        delegate_skipped="the file is int8",
    )


def verify_int8_file(
    original: Graph,
    reference: Graph,
    graph: Graph,
    samples: Samples,
    model: Reference | None = None,
    layer_names: Sequence[str] = (),
) -> Verification | str:
    """Compares an int8 file with the float file of others that it was made of.

    Args:
        original: The float file, as it was given.
        reference: That file with its binary layers found, before it was quantized.
        graph: The int8 file.
        samples: The samples, checked.
        model: The model behind the float file; the float file itself when absent.
        layer_names: The names of that model's layers that multiply.

    Returns:
        The comparison, or why there is none.

    Raises:
        ConversionError: A runtime refuses a file.
    """
    model = model or FloatFile(original)
    base = verify_float_file(original, reference, samples, with_delegate=False, reference=model)
    if isinstance(base, str):
        return base
    count = len(original.subgraph.outputs)
    arrays = samples.arrays
    with model.reading([]) as (reader, _):
        rows = [
            reader.run([array[start : start + _BATCH] for array in arrays])[:count]
            for start in range(0, len(samples), _BATCH)
        ]
    outputs = [np.concatenate(column) for column in zip(*rows, strict=True)]
    # The quantizer's file has the order of inputs and outputs of the file that it was given.
    given = Original(outputs, arrays, arrays, list(range(count)), samples.labels)
    return compare_int8(
        base,
        reference,
        graph,
        given,
        lambda name: known_layer(name, layer_names) or layer_part(name),
    )


def _output_scale(graph: Graph, position: int) -> float | None:
    """The scale of an output, or of the integers that it is computed from."""
    index = int(graph.subgraph.outputs[position])
    while scale_of(graph, index) is None:
        op = graph.producer(index)
        if op is None or graph.op_name(op) not in ("DEQUANTIZE", "RESHAPE"):
            return None
        index = graph.inputs(op)[0]
    return scale_of(graph, index)
