"""Inputs to verify a file with."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.conversion import Samples
from convert.errors import SourceError
from convert.rewrites.topology import flat_layers
from onebit.keras import keras


def read_samples(path: Path, model: keras.Model) -> Samples:
    """Samples of an `.npz` file: `inputs` `[N, …]` and, if it has them, `labels` `[N]`.

    Inputs are floats, or integers for a model that takes token ids.

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
    dtype = np.dtype(model.inputs[0].dtype.as_numpy_dtype)
    if dtype.kind == "i" and inputs.dtype.kind not in "iu":
        raise SourceError(f"{path}: inputs are {inputs.dtype}; the model takes token ids ({dtype})")
    if dtype.kind == "f" and inputs.dtype.kind != "f":
        raise SourceError(f"{path}: inputs are {inputs.dtype}; preprocess them to float32 first")
    samples = Samples([inputs.astype(dtype)], labels, path.name)
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


def random_samples(model: keras.Model, count: int, seed: int = 0) -> Samples:
    """Uniform random inputs of the shapes that a model takes: in [-1, 1), or token ids."""
    generator = np.random.default_rng(seed)
    inputs: list[NDArray[Any]] = []
    for tensor in model.inputs:
        shape, dtype = (count, *tensor.shape.as_list()[1:]), tensor.dtype.as_numpy_dtype
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
