"""Labelled samples with which models are evaluated on a device."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bench.signature import Input, Signature
from onebit.errors import OnebitError, UsageError
from onebit.files import read_arrays

CARD, SAMPLES = "card.json", "samples.npz"
INPUTS, LABELS = "inputs", "labels"

MOST_SATURATED = 0.01
"""Share of the values that may lie outside of a quantized input's range without a warning."""


@dataclass(frozen=True)
class EvalSamples:
    """Samples as a model takes them.

    Attributes:
        name: Their name in rows.
        split: Of the data set, such as `test`; None where it is unknown.
        inputs: Name of the model's input → `[N, ...]`, float32 or integers. The only input of a
            model may be called `inputs`.
        labels: Class numbers `[N]`, or None.
        sha256: Of the inputs' types, shapes and bytes.
        source: The file, for messages.
    """

    name: str
    split: str | None
    inputs: Mapping[str, NDArray[Any]]
    labels: NDArray[np.integer] | None
    sha256: str
    source: Path

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


def read_samples(path: str | Path) -> EvalSamples:
    """The samples of a run folder or of an `.npz` file.

    A run folder, or its `card.json` or `samples.npz`, gives the test split, preprocessed as the
    card says. Another `.npz` file holds `inputs` `[N, ...]` as the model takes them, or an array
    for each of several inputs under its name, and optionally `labels`: class numbers `[N]` or
    `[N, 1]`, or one-hot `[N, classes]`.

    Raises:
        UsageError: The path is none of these.
        OnebitError: A file is damaged, belongs to another run, or its arrays do not fit each other.
    """
    path = Path(path)
    if path.is_dir() or path.name in (CARD, SAMPLES):
        return _of_run(path if path.is_dir() else path.parent)
    if path.suffix != ".npz":
        raise UsageError(f"the data {path} are neither a run folder, a {CARD} nor an .npz file")
    arrays = _arrays(path)
    labels = arrays.pop(LABELS, None)
    return _checked(path, path.stem, None, arrays, labels)


def array_samples(source: Path, arrays: Mapping[str, NDArray[Any]]) -> EvalSamples:
    """Samples without labels: an array `[N, ...]` for each input.

    Raises:
        OnebitError: An array holds none, is of no number's type, or holds NaN or infinity.
    """
    return _checked(source, source.stem, None, dict(arrays), None)


def _of_run(folder: Path) -> EvalSamples:
    # A folder is read by the stage that wrote it: only that knows all kinds of preprocessing.
    from zoo.runs.run import load_card, load_preprocessor, load_samples, preprocessed

    card = load_card(folder)
    samples = load_samples(folder / SAMPLES, card["samples_sha256"])
    inputs = {INPUTS: preprocessed(samples, load_preprocessor(folder, card))}
    return _checked(folder / SAMPLES, card["dataset"]["name"], "test", inputs, samples.labels)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    if not path.exists():
        raise UsageError(f"there is no file {path}")
    try:
        return read_arrays(path)
    except ValueError as error:
        raise OnebitError(
            f"{path} is not an .npz file of plain arrays",
            hint="write it with numpy.savez(…, inputs=…, labels=…)",
        ) from error


def _checked(
    path: Path,
    name: str,
    split: str | None,
    arrays: dict[str, NDArray[Any]],
    labels: NDArray[Any] | None,
) -> EvalSamples:
    if not arrays:
        raise OnebitError(f"{path} has no array named {INPUTS}")
    inputs = {key: _checked_input(path, key, array) for key, array in arrays.items()}
    counts = {key: len(array) for key, array in inputs.items()}
    if len(set(counts.values())) > 1:
        held = ", ".join(f"{count} in {key}" for key, count in counts.items())
        raise OnebitError(f"{path}: the inputs differ in their number of samples: {held}")
    count = next(iter(counts.values()))
    if labels is not None:
        labels = _class_numbers(path, labels, count)
    digest = hashlib.sha256()
    for key, array in sorted(inputs.items()):
        called = "" if key == INPUTS else f"{key} "
        digest.update(f"{called}{array.dtype.str} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return EvalSamples(name, split, inputs, labels, digest.hexdigest(), path)


def _checked_input(path: Path, key: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind not in "fiub" or array.ndim < 1:
        raise OnebitError(f"{path}: {key} are {array.dtype} of shape {list(array.shape)}")
    if not array.size:
        raise OnebitError(f"{path}: {key} hold no samples: their shape is {list(array.shape)}")
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise OnebitError(f"{path}: NaN or infinity in {key}")
    return array


def _class_numbers(path: Path, labels: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Labels `[N]` from `[N]`, `[N, 1]` or one-hot `[N, classes]`."""
    shape = list(labels.shape)
    if labels.dtype.kind not in "fiub" or labels.ndim not in (1, 2) or not labels.size:
        raise OnebitError(
            f"{path}: labels are {labels.dtype} of shape {shape}",
            hint="give class numbers [N] or one-hot labels [N, classes]",
        )
    if len(labels) != count:
        raise OnebitError(f"{path}: {count} inputs, but {len(labels)} labels")
    if labels.ndim == 2 and labels.shape[1] > 1:
        one_hot = np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
        if not one_hot:
            raise OnebitError(
                f"{path}: labels of shape {shape} are not one-hot", hint="give class numbers [N]"
            )
        labels = labels.argmax(axis=1)
    labels = labels.reshape(-1)
    numbers = labels.astype(np.int64) if np.isfinite(labels).all() else labels
    if (numbers != labels).any() or numbers.dtype.kind != "i" or numbers.min() < 0:
        raise OnebitError(f"{path}: labels must be class numbers from 0")
    return numbers


def feed(samples: EvalSamples, model: str, signature: Signature) -> list[NDArray[Any]]:
    """The arrays of a file's inputs in its order, checked against the file.

    Args:
        samples: Their inputs are found by name.
        model: The file, for messages.
        signature: The file's.

    Raises:
        OnebitError: An input is missing or left over, or a shape, a type or a label does not fit.
    """
    given = samples.inputs
    names = [entry.name for entry in signature.inputs]
    if len(names) == 1 and set(given) == {INPUTS}:
        given = {names[0]: given[INPUTS]}
    if set(given) != set(names):
        raise OnebitError(
            f"{model} takes {', '.join(names)}, but {samples.source} has {', '.join(given)}",
            hint="name the arrays as the model's inputs"
            + (f", or the only one {INPUTS}" if len(names) == 1 else ""),
        )
    if samples.labels is not None and signature.classes is not None:
        highest = int(samples.labels.max())
        if highest >= signature.classes:
            raise OnebitError(
                f"{samples.source} has the label {highest}, but {model} has {signature.classes} "
                f"classes, numbered from 0"
            )
    for entry in signature.inputs:
        _check_fit(samples.source, model, entry, given[entry.name])
    return [given[name] for name in names]


def _check_fit(source: Path, model: str, entry: Input, array: NDArray[Any]) -> None:
    wanted, shape = entry.shape, (1, *array.shape[1:])
    if wanted != shape:
        raise OnebitError(
            f"{model} takes {list(wanted)} for {entry.name}, a sample in {source} is {list(shape)}"
        )
    kind, given = entry.dtype.kind, array.dtype.kind
    if kind == "f" and given != "f":
        raise OnebitError(
            f"{model} takes {entry.dtype} for {entry.name}, {source} has {array.dtype}",
            hint="store the samples preprocessed, as in training",
        )
    if kind != "f" and given == "f" and entry.scale is None:
        raise OnebitError(
            f"{model} takes {entry.dtype} without a scale for {entry.name}, {source} has floats"
        )
    if kind in "iu" and given in "iu":
        limits = np.iinfo(entry.dtype)
        low, high = int(array.min()), int(array.max())
        if low < limits.min or high > limits.max:
            raise OnebitError(
                f"{model} takes {entry.dtype} for {entry.name}, {source} has values from {low} to "
                f"{high}"
            )
    if kind == "b" and not np.isin(array, (0, 1)).all():
        raise OnebitError(f"{model} takes bool for {entry.name}, {source} has other values")


def doubts(samples: EvalSamples, model: str, signature: Signature) -> list[str]:
    """Sentences about samples that fit a file, but do not look like what it was trained on."""
    sentences = []
    for entry, array in zip(signature.inputs, feed(samples, model, signature), strict=True):
        if array.dtype.kind != "f":
            continue
        low, high = float(array.min()), float(array.max())
        if low == high:
            sentences.append(f"all values of {entry.name} in {samples.source} are {low:g}")
        elif low >= 0 and 16 <= high <= 255 and (array == np.round(array)).all():
            sentences.append(
                f"{entry.name} in {samples.source} holds whole numbers up to {high:g}, like raw "
                "pixels: give them as the model takes them, preprocessed as in training"
            )
        elif entry.dtype.kind in "iu" and entry.scale is not None:
            limits = np.iinfo(entry.dtype)
            ends = [(end - entry.zero_point) * entry.scale for end in (limits.min, limits.max)]
            outside = float(
                ((array < ends[0] - entry.scale) | (array > ends[1] + entry.scale)).mean()
            )
            if outside > MOST_SATURATED:
                sentences.append(
                    f"{outside:.0%} of {entry.name} in {samples.source} is outside of the range "
                    f"of {model}, {ends[0]:.3g} to {ends[1]:.3g}"
                )
    return sentences
