"""Labelled samples for a network in C: its input structures in a row, and what its outputs say."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bench.samples import INPUTS, EvalSamples
from edge.boards.answers import Answers
from edge.boards.exports import ExportedNetwork, Field
from edge.results.row import Evaluation
from onebit import bits
from onebit.errors import OnebitError

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
        OnebitError: An input is missing, or its samples have another size.
    """
    columns, offset, largest = [], 0, 1
    for name, field in zip(network.input_names, network.inputs, strict=True):
        key = INPUTS if len(network.inputs) == 1 and INPUTS in samples.inputs else name
        if key not in samples.inputs:
            raise OnebitError(f"{samples.source} has no input {name} of {network.name}")
        data = _stored(samples.inputs[key], field, str(samples.source))
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


def _stored(values: NDArray[np.generic], field: Field, source: str) -> NDArray[np.uint8]:
    """Samples `[N, …]` as a field stores them: bytes `[N, size]`."""
    count = len(values)
    if values[0].size != int(np.prod(field.shape)):
        raise OnebitError(
            f"{source}: samples have shape {list(values.shape[1:])}, the network takes "
            f"{list(field.shape)}"
        )
    array: NDArray[Any] = np.asarray(values).reshape(count, *field.shape)
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
    """Accuracies on the board and here, and how often both chose the same class."""
    chosen, reference = (_classes(network, answers) for answers in (board, host))

    def accuracy(classes: NDArray[np.int64]) -> float | None:
        if samples.labels is None or len(classes) != len(samples.labels):
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
        argmax_agreement=float((chosen == reference).mean()),
    )


def _classes(network: ExportedNetwork, answers: Answers) -> NDArray[np.int64]:
    """The largest element of the first output of each sample."""
    dtype = _TYPES[network.outputs[0].dtype]
    count = int(np.prod(network.outputs[0].shape))
    outputs = [i.output for i in answers.inferences if i.kind == "sample"]
    return np.array([np.frombuffer(o, dtype, count).argmax() for o in outputs], np.int64)
