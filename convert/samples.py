"""Inputs to verify a file with."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.conversion import Samples
from convert.errors import SourceError
from onebit.keras import keras


def read_samples(path: Path, model: keras.Model) -> Samples:
    """Samples of an `.npz` file: float `inputs` `[N, …]` and, if it has them, `labels` `[N]`.

    Raises:
        SourceError: The file is missing, no `.npz`, or its arrays don't fit the model.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            content = dict(arrays)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise SourceError(
            f"{path} is not an .npz file of plain arrays: write it with numpy.savez(…, inputs=…, "
            "labels=…)"
        ) from error
    if "inputs" not in content:
        raise SourceError(f"{path} has no array named inputs; it has {', '.join(content)}")
    inputs, labels = content["inputs"], content.get("labels")
    if inputs.dtype.kind != "f":
        raise SourceError(f"{path}: inputs are {inputs.dtype}; preprocess them to float32 first")
    samples = Samples([inputs.astype(np.float32)], labels, path.name)
    check_samples(samples, model, str(path))
    return samples


def check_samples(samples: Samples, model: keras.Model, name: str) -> None:
    """Refuses samples that a model does not take.

    Raises:
        SourceError: Shapes or counts don't fit, there are none, or a number is not finite.
    """
    (inputs,), labels = samples.inputs, samples.labels
    expected = model.inputs[0].shape.as_list()[1:]
    if len(model.inputs) != 1 or list(inputs.shape[1:]) != expected:
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
    """Uniform random numbers in [-1, 1) of the shapes that a model takes."""
    generator = np.random.default_rng(seed)
    shapes = [tensor.shape.as_list()[1:] for tensor in model.inputs]
    inputs = [generator.uniform(-1, 1, (count, *s)).astype(np.float32) for s in shapes]
    return Samples(inputs, None, "random")
