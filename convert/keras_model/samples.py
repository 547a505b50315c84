"""Samples of what a Keras model takes: read, checked against its signature, or drawn at random."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.keras_model.input_ranges import id_limits, rescales_its_inputs, smallest_table
from convert.keras_model.signature import signature_of
from convert.samples import Arrays, Expected, Input, Samples, checked, class_output, read
from onebit.keras import keras


def expected_of(model: keras.Model) -> Expected:
    """The samples that a built Keras model takes, its inputs in Keras' order.

    Raises:
        ConversionError: The model has no signature that a file could have.
    """
    signature, limits = signature_of(model), id_limits(model)
    inputs = [
        Input(
            spec.name,
            alias,
            spec.shape.as_list()[1:],
            np.dtype(spec.dtype.as_numpy_dtype),
            limits.get(spec.name),
        )
        for spec, alias in zip(signature.specs, signature.aliases, strict=True)
    ]
    shapes = [output.shape for output in model.outputs or []]
    labelled = class_output(shapes)
    classes = None if labelled is None else shapes[labelled][-1]
    return Expected(tuple(inputs), rescales_its_inputs(model), classes)


def checked_samples(samples: Samples | Arrays, model: keras.Model, name: str) -> Samples:
    """Samples with one array per input in Keras' order, of the model's types, and labels `[N]`.

    Args:
        samples: The samples, or their inputs only.
        model: The model that shall take them.
        name: What error messages call them, such as the file.

    Raises:
        SourceError: Names, shapes, types, counts, labels or ranges don't fit the model, there are
            no samples, or a number is not finite.
    """
    return checked(samples, expected_of(model), name)


def read_samples(path: Path, model: keras.Model) -> Samples:
    """Samples of an `.npz` file, checked, as `convert.samples.read` gives them.

    Raises:
        SourceError: The file is missing, is not an `.npz` file, or its arrays don't fit the model.
    """
    return read(path, expected_of(model))


def random_samples(model: keras.Model, count: int, seed: int = 0) -> Samples:
    """Uniform random inputs of the shapes and types that a model takes.

    Floats are in [-1, 1), bytes from 0 to 255, token ids below the number of rows of the embedding
    that they go to, or of the smallest one. Other integers are 0 and 1, which any model takes.

    Raises:
        ConversionError: A shape has unknown sizes.
    """
    generator = np.random.default_rng(seed)
    inputs: list[NDArray[Any]] = []
    limits, tables = id_limits(model), smallest_table(model)
    for spec in signature_of(model).specs:
        shape = (count, *spec.shape.as_list()[1:])
        dtype = np.dtype(spec.dtype.as_numpy_dtype)
        if dtype.kind == "f":
            inputs.append(generator.uniform(-1, 1, shape).astype(dtype))
            continue
        one_byte = dtype.kind in "iu" and dtype.itemsize == 1
        least, end = (np.iinfo(dtype).min, np.iinfo(dtype).max + 1) if one_byte else (0, 2)
        limit = limits.get(spec.name) if dtype.kind in "iu" else None
        if limit is not None:
            least, end = 0, limit
        elif tables is not None and not one_byte:
            least, end = 0, max(2, tables)
        inputs.append(generator.integers(least, end, size=shape).astype(dtype))
    return Samples(inputs, None, "random")
