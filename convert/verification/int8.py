"""Whether an int8 file is what 8 bits make of a Keras model.

It cannot be equal to Keras, so the verdict has two parts: the float file of which the int8 file was
made, against Keras (`convert.verification`, bit by bit); and the int8 file against the float file,
piece by piece (`convert.verification.int8_tensors`). A fault in either is a mismatch.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convert.int8.values import from_file, step_of, to_file
from convert.report import Quantization, Verification
from convert.runtimes.lce import LceInterpreter
from convert.tflite.graph import Graph
from convert.verification.comparison import accuracy, agreement
from convert.verification.int8_bit_flips import flipped_bits
from convert.verification.int8_tensors import compare_pieces, foreign_layers
from convert.verification.verify_file import run_keras, verify
from onebit.keras import keras

PIECE_SAMPLES = 64
"""On how many samples at most the pieces are compared."""

_BATCH = 64


def verify_int8(
    model: keras.Model,
    reference: bytes,
    content: bytes,
    inputs: Sequence[NDArray[np.float32]],
    labels: NDArray[np.integer] | None = None,
    split: str = "given",
) -> Verification:
    """Compares an int8 file with its Keras model.

    Args:
        model: The original Keras model.
        reference: The float file that LCE made of it, its tensors named.
        content: The int8 file.
        inputs: One array per input, float32 `[N, …]`, as the model takes them.
        labels: Class indices `[N]`, for the accuracies.
        split: What the samples are called in the report.

    Raises:
        ConversionError: LCE's interpreter refuses a file, or it is of another model.
    """
    base = verify(model, reference, inputs, labels, split, with_delegate=False)
    graph, float_graph = Graph.from_bytes(content), Graph.from_bytes(reference)
    outputs = from_file(graph, LceInterpreter(content).run(to_file(graph, inputs)))
    keras_rows = [
        run_keras(model, [array[start : start + _BATCH] for array in inputs])
        for start in range(0, len(inputs[0]), _BATCH)
    ]
    keras_outputs = [np.concatenate(column) for column in zip(*keras_rows, strict=True)]
    difference = max(
        float(np.abs(k - f).max()) for k, f in zip(keras_outputs, outputs, strict=True)
    )
    few = [array[:PIECE_SAMPLES] for array in inputs]
    pieces = compare_pieces(float_graph, graph, few)
    foreign = foreign_layers(float_graph, graph)
    faults = [f"{name}: its weights are none of the model's" for name in foreign]
    faults += [f"{piece.name}: {piece.fault}" for piece in pieces if piece.fault is not None]
    step = _output_step(graph)
    quantization = Quantization(
        float_file=base.summary(),
        difference_in_steps=None if step is None else difference / step,
        flipped_bits=flipped_bits(float_graph, graph, few),
        pieces=pieces,
        faults=faults,
    )
    wrong = bool(faults) or base.verdict == "mismatch"
    return dataclasses.replace(
        base,
        verdict="mismatch" if wrong else "quantised",
        agreement=agreement(keras_outputs[0], outputs[0]),
        accuracy_file=accuracy(outputs[0], labels),
        max_abs_difference=difference if np.isfinite(difference) else None,
        quantization=quantization,
        delegate_skipped="the file is int8",
    )


def _output_step(graph: Graph) -> float | None:
    """The step of the first output, or of the int8 numbers that it is computed from."""
    index = int(graph.subgraph.outputs[0])
    while step_of(graph, index) is None:
        op = graph.producer(index)
        if op is None or graph.op_name(op) not in ("DEQUANTIZE", "RESHAPE"):
            return None
        index = graph.inputs(op)[0]
    return step_of(graph, index)
