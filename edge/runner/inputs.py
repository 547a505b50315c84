"""Inputs of models, and their outputs."""

# ruff: noqa: B905 - zip() takes `strict` from Python 3.10 on, and boards have older ones
import hashlib

import numpy as np

from .errors import RequestError


def random_inputs(rng, inputs):
    """One random array per input `(shape, dtype)`.

    Floats are uniform in [-1, 1), 8-bit integers cover their range, other integers are 0 or 1 (so
    that they are valid indices), booleans are fair coins.
    """
    arrays = []
    for shape, dtype in inputs:
        if dtype.kind == "f":
            array = rng.uniform(-1.0, 1.0, shape)
        elif dtype.itemsize == 1 and dtype.kind in "iu":
            limits = np.iinfo(dtype)
            array = rng.integers(limits.min, limits.max, shape, endpoint=True)
        else:
            array = rng.integers(0, 2, shape)
        arrays.append(np.ascontiguousarray(array, dtype=dtype))
    return arrays


def load_samples(path):
    """The arrays `[N, ...]` of `input_0`, `input_1`, … of an `.npz` file."""
    with np.load(path, allow_pickle=False) as archive:
        return [archive[f"input_{index}"] for index in range(len(archive.files))]


def data_inputs(samples, inputs, quantization):
    """Yields the model's inputs for each sample; the harness has checked that they fit.

    Where samples are float and the model takes integers, they are quantized by the file's scale:
    round(x / scale) + zero point, saturated. Integers, such as tokens, stay as they are.

    Args:
        samples: An array `[N, ...]` for each input of the model.
        inputs: `(shape, dtype)` of each.
        quantization: `(scale, zero point)` of each.

    Raises:
        RequestError: The samples do not fit the model.
    """
    if len(inputs) != len(samples):
        raise RequestError(
            f"the model has {len(inputs)} inputs, the data have {len(samples)} arrays"
        )
    for (shape, _), array in zip(inputs, samples):
        if tuple(shape) != (1, *array.shape[1:]):
            raise RequestError(
                f"the model takes {list(shape)}, a sample of the data is {[1, *array.shape[1:]]}"
            )
    for sample in zip(*samples):
        yield [
            _fitted(array[np.newaxis], dtype, *parameters)
            for array, (_, dtype), parameters in zip(sample, inputs, quantization)
        ]


def _fitted(array, dtype, scale, zero_point):
    """A sample of an input in the model's type."""
    if dtype.kind in "iu" and array.dtype.kind == "f":
        if not scale:
            raise RequestError(f"the model takes {dtype} without a scale, the data are floats")
        limits = np.iinfo(dtype)
        array = np.clip(np.round(array / scale) + zero_point, limits.min, limits.max)
    return np.ascontiguousarray(array, dtype=dtype)


def stack_outputs(outputs):
    """The outputs of several runs, one array `[runs, ...]` for each output of the model."""
    return [np.stack(arrays) for arrays in zip(*outputs)]


def save_outputs(path, stacked):
    """Writes stacked outputs as `output_0`, `output_1`, … of an `.npz` file."""
    np.savez(path, **{f"output_{i}": array for i, array in enumerate(stacked)})


def output_digest(outputs):
    """The SHA-256 of a list of outputs: of each array's dtype, shape and bytes."""
    digest = hashlib.sha256()
    for array in outputs:
        digest.update(f"{array.dtype.str} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
