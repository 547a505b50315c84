"""Samples of what a model or file takes: read, checked, chosen.

All samples pass `checked`, whether a program or the command line brings them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import SourceError
from onebit.files import read_arrays

LABELS = "labels"
"""The name of the labels among the arrays of an `.npz` file."""

Arrays = NDArray[Any] | Sequence[NDArray[Any]] | Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Samples:
    """Inputs to verify with.

    Attributes:
        inputs: The inputs `[N, …]`, preprocessed: one array per input of the model in Keras' order,
            a dict by their names, or the array of an only input.
        labels: Class indices `[N]`, also as `[N, 1]` or one-hot `[N, classes]`; or None.
        split: The name of the samples in the report, such as `test`.
    """

    inputs: Arrays
    labels: NDArray[Any] | None = None
    split: str = "given"

    def __len__(self) -> int:
        return len(self.arrays[0])

    @property
    def arrays(self) -> list[NDArray[Any]]:
        """The inputs as a list; in Keras' order once they have been checked."""
        if isinstance(self.inputs, Mapping):
            return list(self.inputs.values())
        return list(self.inputs) if isinstance(self.inputs, list | tuple) else [self.inputs]  # type: ignore[list-item]


@dataclass(frozen=True)
class Input:
    """One input of a model or file.

    Attributes:
        name: Its name.
        alias: Another name for it, such as its layer's.
        shape: Without the batch.
        dtype: Its type.
        limit: The number of rows of the embedding that its ids look up; None for other inputs.
    """

    name: str
    alias: str
    shape: list[int]
    dtype: np.dtype[Any]
    limit: int | None = None


@dataclass(frozen=True)
class Expected:
    """The samples that a model or file takes.

    Attributes:
        inputs: The inputs in order.
        rescales: Whether it brings numbers to their range itself, so that it takes bytes.
        classes: The number of classes that labels may name; None where that is not known.
    """

    inputs: tuple[Input, ...]
    rescales: bool = False
    classes: int | None = None

    @property
    def names(self) -> list[str]:
        """The names of the inputs."""
        return [each.name for each in self.inputs]


def checked(samples: "Samples | Arrays", expected: Expected, name: str) -> Samples:
    """Samples with one array per input in order, of the inputs' types, and labels `[N]`.

    Args:
        samples: The samples, or their inputs only.
        expected: The inputs that they are for.
        name: What error messages call them, such as the file.

    Raises:
        SourceError: Names, shapes, types, counts, labels or ranges don't fit, there are no samples,
            or a number is not finite.
    """
    if not isinstance(samples, Samples):
        samples = Samples(samples)
    given = _in_order(samples.inputs, expected, name)
    inputs = []
    for each, array in zip(expected.inputs, given, strict=True):
        array = np.asarray(array)
        what = f"{name}: {_label(each.name, expected)}"
        _check_shape(array, each.shape, what)
        if len(array) != len(np.asarray(given[0])):
            raise SourceError(
                f"{what} {_verb(expected)} {len(array)} samples, {expected.names[0]} has "
                f"{len(np.asarray(given[0]))}"
            )
        if not len(array):
            raise SourceError(f"{name} has no samples")
        inputs.append(_converted(array, each.dtype, what, expected.rescales))
        _check_ids(inputs[-1], each.limit, what)
    labels = None
    if samples.labels is not None:
        labels = class_numbers(samples.labels, len(inputs[0]), expected.classes, name)
    return Samples(inputs, labels, samples.split)


def _in_order(inputs: Arrays, expected: Expected, name: str) -> list[NDArray[Any]]:
    """The arrays in order, found by name if they have names."""
    names = expected.names
    if isinstance(inputs, Mapping):
        found = {key: np.asarray(value) for key, value in inputs.items()}
        if len(names) == 1 and len(found) == 1:
            return list(found.values())
        by_name = [
            next((found[key] for key in keys if key in found), None)
            for keys in ((each.name, each.alias) for each in expected.inputs)
        ]
        missing = [key for key, array in zip(names, by_name, strict=True) if array is None]
        if missing:
            raise SourceError(
                f"{name} has no array named {missing[0]}",
                hint=f"the model's inputs are {', '.join(names)}; its arrays: "
                f"{', '.join(found) or 'none'}",
            )
        return [array for array in by_name if array is not None]
    arrays = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    if len(arrays) != len(names):
        raise SourceError(
            f"{name} has {len(arrays)} arrays, the model takes {len(names)} "
            f"input{'s' * (len(names) > 1)}: {', '.join(names)}"
        )
    return arrays  # type: ignore[return-value]


def _label(name: str, expected: Expected) -> str:
    return "inputs" if len(expected.inputs) == 1 else f"input {name}"


def _verb(expected: Expected) -> str:
    return "have" if len(expected.inputs) == 1 else "has"


def _check_shape(array: NDArray[Any], expected: list[int], what: str) -> None:
    if array.ndim and list(array.shape[1:]) == expected:
        return
    verb = "have" if what.endswith("inputs") else "has"
    takes = f"[N, {', '.join(map(str, expected))}]" if expected else "[N]"
    raise SourceError(f"{what} {verb} the shape {list(array.shape)}, the model takes {takes}")


def _converted(
    array: NDArray[Any], dtype: np.dtype[Any], what: str, rescales: bool
) -> NDArray[Any]:
    """An array in the type of the model's input, if it can hold it."""
    given = array.dtype.kind
    if given not in "biuf":
        raise SourceError(f"{what}: {array.dtype} is not a numeric type", hint="give numbers")
    if dtype.kind == "f":
        if given != "f" and not rescales:
            raise SourceError(
                f"{what} are {array.dtype}, the model takes {dtype}",
                hint="preprocess them as in training, to float32",
            )
        # float64 that float32 cannot hold becomes infinite, and is refused.
        with np.errstate(over="ignore"):
            converted = array.astype(dtype)
        if not np.isfinite(converted).all():
            raise SourceError(f"NaN or infinity in {what}")
        return converted
    if given == "f":
        raise SourceError(f"{what} are {array.dtype}, the model takes integers ({dtype})")
    converted = array.astype(dtype)
    if not np.array_equal(converted, array):
        raise SourceError(
            f"{what} hold numbers that {dtype} cannot: {array.min()} to {array.max()}"
        )
    return converted


def _check_ids(array: NDArray[Any], limit: int | None, what: str) -> None:
    if limit is not None and not 0 <= array.min() <= array.max() < limit:
        raise SourceError(
            f"{what} hold ids from {array.min()} to {array.max()}, its embedding has the rows 0 "
            f"to {limit - 1}"
        )


def class_numbers(labels: Any, samples: int, classes: int | None, name: str) -> NDArray[np.int64]:
    """Labels as class numbers `[N]`.

    Args:
        labels: Class numbers `[N]` or `[N, 1]`, or one-hot rows `[N, classes]`.
        samples: How many inputs there are.
        classes: How many outputs the model has; None when that is not known. A single output is a
            probability of two classes.
        name: What error messages call them.

    Raises:
        SourceError: They are something else.
    """
    array = np.asarray(labels)
    if array.shape[:1] != (samples,):
        raise SourceError(f"{name}: {samples} inputs, but labels of the shape {list(array.shape)}")
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise SourceError(f"{name}: labels are {array.dtype}", hint="give class numbers")
    if array.ndim == 2 and array.shape[1] > 1:
        if not (np.isin(array, (0, 1)).all() and (array.sum(1) == 1).all()):
            raise SourceError(
                f"{name}: labels of the shape {list(array.shape)} are not one-hot",
                hint="give class numbers, one per sample",
            )
        if classes is not None and array.shape[1] != max(2, classes):
            raise SourceError(
                f"{name}: one-hot labels of {array.shape[1]} classes, the model has {classes}"
            )
        return array.argmax(1).astype(np.int64)
    if array.ndim > 2 or (array.ndim == 2 and array.shape[1] != 1):
        raise SourceError(
            f"{name}: labels have the shape {list(array.shape)}",
            hint="give class numbers, one per sample",
        )
    array = array.reshape(samples)
    if (array != np.round(array)).any():
        raise SourceError(f"{name}: labels are {array.dtype}", hint="give class numbers")
    most = None if classes is None else max(2, classes)
    if array.min() < 0 or (most is not None and array.max() >= most):
        raise SourceError(
            f"{name}: labels go from {array.min():g} to {array.max():g}",
            hint="class numbers begin at 0"
            + ("" if most is None else f", and the model's last is {most - 1}"),
        )
    return array.astype(np.int64)


def read(path: Path, expected: Expected) -> Samples:
    """Samples of an `.npz` file, checked.

    The array of an only input is called `inputs` or by the input's name, those of several inputs by
    their names. `labels` are optional.

    Raises:
        SourceError: The file is missing, is not an `.npz` file, or its arrays don't fit the model.
    """
    if not path.exists():
        raise SourceError(
            f"{path} does not exist", hint="give an .npz file, a run folder or its card.json"
        )
    try:
        content = read_arrays(path)
    except ValueError as error:
        raise _not_samples(path) from error
    names = expected.names
    labels = content.pop(LABELS, None) if LABELS not in names else None
    if len(names) == 1:
        known = [key for key in ("inputs", names[0]) if key in content]
        if not known:
            raise SourceError(
                f"{path} has no array named inputs",
                hint=f"name the inputs so, and labels labels; its arrays: "
                f"{', '.join(content) or 'none'}",
            )
        return checked(Samples([content[known[0]]], labels, path.name), expected, str(path))
    unknown = [key for key in content if key not in names]
    if "inputs" in unknown:
        raise SourceError(
            f"{path} has one array named inputs, the model has {len(names)} inputs",
            hint=f"name an array after each of them: {', '.join(names)}",
        )
    return checked(Samples(content, labels, path.name), expected, str(path))


def _not_samples(path: Path) -> SourceError:
    if path.is_dir():
        return SourceError(f"{path} is not a run folder: it has neither card.json nor config.json")
    return SourceError(
        f"{path} is not an .npz file of plain arrays",
        hint="write it with numpy.savez(…, inputs=…, labels=…)",
    )


def require_same_range(samples: Samples, known: Samples, name: str) -> None:
    """Refuses inputs that were not preprocessed as others of the same model were.

    Args:
        samples: The inputs, checked.
        known: Inputs in the right range, such as the test split of the model's run.
        name: What the error calls the inputs.

    Raises:
        SourceError: They reach further beyond the known ones than these span.
    """
    for array, other in zip(samples.arrays, known.arrays, strict=True):
        low, high = float(other.min()), float(other.max())
        span = high - low
        if array.dtype.kind == "f" and (array.min() < low - span or array.max() > high + span):
            raise SourceError(
                f"{name}: inputs go from {array.min():.3g} to {array.max():.3g}, those that the "
                f"model was trained for from {low:.3g} to {high:.3g}",
                hint="preprocess them as in training",
            )


def first_samples(samples: Samples, most: int) -> Samples:
    """The first samples, at most the given number."""
    labels = None if samples.labels is None else samples.labels[:most]
    return Samples([array[:most] for array in samples.arrays], labels, samples.split)


def spread_samples(samples: Samples, most: int) -> list[NDArray[Any]]:
    """The inputs of at most the given number of samples, evenly spread over all.

    Data sets may be ordered by class.
    """
    count = len(samples)
    chosen = np.linspace(0, count - 1, min(most, count)).round().astype(int)
    return [array[chosen] for array in samples.arrays]


def class_output(shapes: Sequence[Sequence[int | None]]) -> int | None:
    """The number of the output `[N, classes]` that labels are about; None for none or several.

    Args:
        shapes: Those of all outputs, the batch in front.
    """
    alone = len(shapes) == 1
    found = [i for i, s in enumerate(shapes) if len(s) == 2 and (alone or s[1] != 1)]
    return found[0] if len(found) == 1 else None


def filled(batch: NDArray[Any], size: int) -> NDArray[Any]:
    """A batch of `size` samples: `[n, …]` → `[size, …]`, its last sample repeated."""
    missing = size - len(batch)
    return batch if missing <= 0 else np.concatenate([batch, np.repeat(batch[-1:], missing, 0)])


def joined(batches: Sequence[NDArray[Any]], fed: int, count: int) -> NDArray[Any]:
    """Outputs of batches, without those of samples that filled the last: `[count·k, …]`.

    Most outputs have k = 1 row for each sample.

    Args:
        batches: The outputs, in order.
        fed: How many samples all batches had, those that filled the last included.
        count: How many there were to run.
    """
    values = np.concatenate([np.atleast_1d(batch) for batch in batches])
    return values[: count * len(values) // fed]
