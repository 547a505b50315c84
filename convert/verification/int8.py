"""Whether an int8 file is what 8 bits make of a Keras model.

It cannot be equal to Keras, so the verdict has two parts: the float file of which the int8 file was
made, against Keras (`convert.verification`, bit by bit); and the int8 file against the float file,
tensor by tensor (`convert.verification.int8_tensors`). A fault in either is a mismatch.
"""

import dataclasses

import numpy as np

from convert.int8.values import from_file, scale_of, to_file
from convert.keras_model.signature import keras_batch, run_keras, signature_of
from convert.report import Quantization, Verification
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.samples import Samples
from convert.tflite.graph import Graph
from convert.verification.comparison import accuracy, agreement
from convert.verification.file_order import input_order, output_order
from convert.verification.int8_bit_flips import flipped_bits
from convert.verification.int8_tensors import compare_tensors, foreign_layers
from convert.verification.verify_file import verify
from onebit.keras import keras

TENSOR_SAMPLES = 64
"""The most samples on which the tensors are compared."""

_BATCH = 64


def verify_int8(
    model: keras.Model, reference: Graph, graph: Graph, samples: Samples
) -> Verification:
    """Compares an int8 file with its Keras model.

    Args:
        model: The original Keras model.
        reference: The float file that LCE made of it, its tensors named.
        graph: The int8 file.
        samples: Checked samples.

    Raises:
        ConversionError: LCE's interpreter refuses a file, or it was made from another model.
    """
    base = verify(model, reference, samples, with_delegate=False)
    signature = signature_of(model)
    arrays = samples.arrays
    order = input_order(graph, signature)
    stored = to_file(graph, [arrays[i] for i in order])
    computed = from_file(graph, LceInterpreter(graph.to_bytes()).run(stored))
    size = keras_batch(model, signature, arrays)
    expected = _keras_outputs(model, samples, size)
    names, shapes = expected[0], [output.shape[1:] for output in expected[1]]
    ends = output_order(graph, names, shapes)
    outputs = [computed[ends.index(number)] for number in range(len(computed))]
    differences = [np.abs(k - f).max() for k, f in zip(expected[1], outputs, strict=True)]
    difference = float(max(differences))
    few = [array[:TENSOR_SAMPLES] for array in arrays]
    float_few = [few[i] for i in input_order(reference, signature)]
    int8_few = [few[i] for i in order]
    tensors = compare_tensors(reference, graph, float_few, int8_few)
    faults = [
        f"{name}: its weights are not the model's" for name in foreign_layers(reference, graph)
    ]
    faults += [f"{tensor.name}: {tensor.fault}" for tensor in tensors if tensor.fault is not None]
    scale = _output_scale(graph, ends.index(0))
    quantization = Quantization(
        float_file=base.summary(),
        difference_in_scales=None if scale is None else difference / scale,
        flipped_bits=flipped_bits(reference, graph, float_few, int8_few),
        tensors=tensors,
        faults=faults,
    )
    wrong = bool(faults) or base.verdict == "mismatch"
    return dataclasses.replace(
        base,
        verdict="mismatch" if wrong else "quantised",
        agreement=agreement(expected[1][0], outputs[0]),
        accuracy_file=accuracy(outputs[0], samples.labels),
        max_abs_difference=difference if np.isfinite(difference) else None,
        quantization=quantization,
        delegate_skipped="the file is int8",
    )


def _keras_outputs(
    model: keras.Model, samples: Samples, size: int | None
) -> tuple[list[str], list[np.ndarray]]:
    """The names of Keras' outputs, and the outputs for all samples, a batch at a time."""
    signature = signature_of(model)
    names: list[str] = []
    rows = []
    for start in range(0, len(samples), size or _BATCH):
        window = [array[start : start + (size or _BATCH)] for array in samples.arrays]
        names, outputs = run_keras(model, signature, window, size)
        rows.append(outputs)
    return names, [np.concatenate(column) for column in zip(*rows, strict=True)]


def _output_scale(graph: Graph, position: int) -> float | None:
    """The scale of an output, or of the integers that it is computed from."""
    index = int(graph.subgraph.outputs[position])
    while scale_of(graph, index) is None:
        op = graph.producer(index)
        if op is None or graph.op_name(op) not in ("DEQUANTIZE", "RESHAPE"):
            return None
        index = graph.inputs(op)[0]
    return scale_of(graph, index)
