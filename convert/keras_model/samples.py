"""Inputs to verify a file with."""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import SourceError
from convert.keras_model.layer_graph import flat_layers
from convert.keras_model.signature import input_specs
from onebit.keras import keras


@dataclass(frozen=True)
class Samples:
    """Inputs to verify with.

    Attributes:
        inputs: One array per input of the model, `[N, …]`, preprocessed.
        labels: Class indices `[N]`, or None.
        split: What they are called in the report, such as `test`.
    """

    inputs: Sequence[NDArray[Any]]
    labels: NDArray[np.integer[Any]] | None = None
    split: str = "given"


def read_samples(path: Path, model: keras.Model) -> Samples:
    """Samples of an `.npz` file: `inputs` `[N, …]` and, if it has them, `labels` `[N]`.

    Inputs are floats, or integers for a model that takes token ids.

    Raises:
        SourceError: The file is missing, no `.npz`, or its arrays don't fit the model.
    """
    if not path.exists():
        raise SourceError(
            f"{path} does not exist: give an .npz file, a run folder or its card.json"
        )
    try:
        loaded = np.load(path, allow_pickle=False)
        # A single array, as numpy.save writes it, has no names.
        content = dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else None
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise _not_samples(path) from error
    if content is None:
        raise _not_samples(path)
    if "inputs" not in content:
        known = ", ".join(content) or "none"
        raise SourceError(f"{path} has no array named inputs; its arrays: {known}")
    inputs, labels = content["inputs"], content.get("labels")
    dtype = np.dtype(input_specs(model)[0].dtype.as_numpy_dtype)
    if dtype.kind == "i" and inputs.dtype.kind not in "iu":
        raise SourceError(f"{path}: inputs are {inputs.dtype}; the model takes token ids ({dtype})")
    if dtype.kind == "f" and inputs.dtype.kind != "f":
        raise SourceError(f"{path}: inputs are {inputs.dtype}; preprocess them to float32 first")
    samples = Samples([inputs.astype(dtype)], labels, path.name)
    check_samples(samples, model, str(path))
    return samples


def _not_samples(path: Path) -> SourceError:
    if path.is_dir():
        return SourceError(f"{path} is no run folder: it has neither card.json nor config.json")
    return SourceError(
        f"{path} is not an .npz file of plain arrays: write it with numpy.savez(…, inputs=…, "
        "labels=…)"
    )


def check_samples(samples: Samples, model: keras.Model, name: str) -> None:
    """Refuses samples that a model does not take.

    Raises:
        SourceError: Shapes, counts or labels don't fit, there are none, or a number is not finite.
    """
    (inputs,), labels = samples.inputs, samples.labels
    specs = input_specs(model)
    expected = specs[0].shape.as_list()[1:]
    if len(specs) != 1 or list(inputs.shape[1:]) != expected:
        raise SourceError(
            f"{name}: inputs have the shape {list(inputs.shape)}, the model takes [N, "
            f"{', '.join(map(str, expected))}]"
        )
    if not len(inputs):
        raise SourceError(f"{name} has no samples")
    if not np.isfinite(inputs).all():
        raise SourceError(f"{name}: inputs hold NaN or infinity")
    if labels is not None and labels.shape != inputs.shape[:1]:
        raise SourceError(f"{name}: {len(inputs)} inputs, but {list(labels.shape)} labels")
    if labels is not None:
        if labels.dtype.kind not in "iu":
            raise SourceError(f"{name}: labels are {labels.dtype}; give class numbers")
        # A subclassed model does not tell its outputs; one output is a probability of two classes.
        outputs = model.outputs[0].shape[-1] if model.outputs else None
        if outputs and not 0 <= labels.min() <= labels.max() < max(2, outputs):
            raise SourceError(f"{name}: labels must be from 0 to {max(2, outputs) - 1}")


def first_samples(samples: Samples, most: int) -> Samples:
    """At most so many samples, from the beginning."""
    labels = None if samples.labels is None else samples.labels[:most]
    return Samples([array[:most] for array in samples.inputs], labels, samples.split)


def spread_samples(samples: Samples, most: int) -> list[NDArray[np.float32]]:
    """The inputs of at most so many samples, evenly spread: data sets may be ordered by class."""
    count = len(samples.inputs[0])
    chosen = np.linspace(0, count - 1, min(most, count)).round().astype(int)
    return [array[chosen] for array in samples.inputs]


def random_samples(model: keras.Model, count: int, seed: int = 0) -> Samples:
    """Uniform random inputs of the shapes that a model takes: in [-1, 1), or token ids.

    Raises:
        ConversionError: A shape has unknown sizes.
        SourceError: The model takes integers, and which is not known.
    """
    generator = np.random.default_rng(seed)
    inputs: list[NDArray[Any]] = []
    for spec in input_specs(model):
        shape, dtype = (count, *spec.shape.as_list()[1:]), spec.dtype.as_numpy_dtype
        if np.issubdtype(dtype, np.integer):
            inputs.append(generator.integers(_rows(model), size=shape).astype(dtype))
        else:
            inputs.append(generator.uniform(-1, 1, shape).astype(np.float32))
    return Samples(inputs, None, "random")


def _rows(model: keras.Model) -> int:
    """How many ids the smallest embedding of a model knows.

    Raises:
        SourceError: It has none, and what its integers mean is not known.
    """
    names = ("vocabulary", "input_dim")
    sizes = [
        getattr(layer, name)
        for layer in flat_layers(model)
        for name in names
        if isinstance(getattr(layer, name, None), int)
    ]
    if not sizes:
        raise SourceError(
            f"{model.name} takes integers, and no embedding tells which: give samples with "
            "--verify-data"
        )
    return min(sizes)
