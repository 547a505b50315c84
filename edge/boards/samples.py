"""Labelled samples for a network in C: its input structures in a row, and what its outputs say."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bench.samples import EvalSamples, feed
from edge.bench.signature import Input, Signature
from edge.boards.answers import Answers
from edge.boards.exports import ExportedNetwork, Field
from edge.results.row import Evaluation
from onebit import bits

_TYPES: dict[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "int8": np.dtype("i1"),
    "uint8": np.dtype("u1"),
    "bool": np.dtype("?"),
    "int32": np.dtype("<i4"),
    "bits": np.dtype("<i4"),
}


def packed_samples(network: ExportedNetwork, samples: EvalSamples) -> bytes:
    """The bytes of the network's input structure for each sample, one behind the other.

    Raises:
        OnebitError: An input is missing or left over, or a shape, a type, a value or a label does
            not fit.
    """
    columns, offset, largest = [], 0, 1
    arrays = feed(samples, network.name, _signature(network))
    for field, array in zip(network.inputs, arrays, strict=True):
        data = _stored(array, field)
        size = _TYPES[field.dtype].itemsize
        largest = max(largest, size)
        columns += [np.zeros((len(samples), -offset % size), np.uint8), data]
        offset += -offset % size + data.shape[1]
    columns.append(np.zeros((len(samples), -offset % largest), np.uint8))
    return np.concatenate(columns, axis=1).tobytes()


def input_bytes(network: ExportedNetwork) -> int:
    """The size of the network's input structure."""
    size = largest = 0
    for field in network.inputs:
        item = _TYPES[field.dtype].itemsize
        largest = max(largest, item)
        *shape, channels = field.shape or (1,)
        count = bits.packed_length(channels) if field.dtype == "bits" else channels
        size += -size % item + item * count * int(np.prod(shape))
    return size + -size % largest


def _signature(network: ExportedNetwork) -> Signature:
    """The network's; bits are given as the numbers whose signs they are."""
    inputs = tuple(
        Input(
            name,
            field.shape,
            np.dtype(np.float32) if field.dtype == "bits" else _TYPES[field.dtype],
            None if field.scale is None else float(np.mean(field.scale)),
        )
        for name, field in zip(network.input_names, network.inputs, strict=True)
    )
    output = network.outputs[0]
    has_classes = len(network.outputs) == 1 and len(output.shape) == 2 and output.dtype != "bits"
    classes = output.shape[1] if has_classes and output.shape[1] >= 2 else None
    return Signature(inputs, classes)


def _stored(array: NDArray[Any], field: Field) -> NDArray[np.uint8]:
    """Samples `[N, …]` as a field stores them: bytes `[N, size]`."""
    count = len(array)
    if field.dtype == "bits":
        array = bits.pack(array)
    elif field.scale is not None and array.dtype.kind == "f":
        limits = np.iinfo(_TYPES[field.dtype])
        whole = np.floor(field.zero_point)
        steps = np.round(array / np.array(field.scale) + (field.zero_point - whole)) + whole
        array = np.clip(steps, limits.min, limits.max)
    data = np.ascontiguousarray(array.astype(_TYPES[field.dtype])).reshape(count, -1)
    return data.view(np.uint8)


def evaluate(
    network: ExportedNetwork, samples: EvalSamples, board: Answers, host: Answers
) -> Evaluation:
    """Accuracies on the board and here, and how often both chose the same class.

    All are None unless the network has one output of classes.
    """
    chosen, reference = (_classes(network, answers) for answers in (board, host))

    def accuracy(classes: NDArray[np.int64] | None) -> float | None:
        if samples.labels is None or classes is None or len(classes) != len(samples.labels):
            return None
        return float((classes == samples.labels).mean())

    return Evaluation(
        data=samples.name,
        sha256=samples.sha256,
        samples=len(samples),
        split=samples.split,
        accuracy=accuracy(chosen),
        reference="this machine",
        reference_accuracy=accuracy(reference),
        argmax_agreement=None if chosen is None else float((chosen == reference).mean()),
    )


def _classes(network: ExportedNetwork, answers: Answers) -> NDArray[np.int64] | None:
    """The largest class of each sample; None where the network has no classes."""
    count = _signature(network).classes
    if count is None:
        return None
    dtype = _TYPES[network.outputs[0].dtype]
    outputs = [i.output for i in answers.inferences if i.kind == "sample"]
    return np.array([np.frombuffer(o, dtype, count).argmax() for o in outputs], np.int64)
