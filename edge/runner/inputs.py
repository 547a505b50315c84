"""What models are fed with, and what came out."""

# ruff: noqa: B905 - zip() takes `strict` from Python 3.10 on, and boards have older ones
import hashlib

import numpy as np


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


def data_inputs(samples, inputs, quantization):
    """Yields what the model takes for each of the samples `[N, ...]`.

    Where the samples are float and the model takes integers, they are quantized as the file says:
    round(x / scale) + zero point, saturated. Integers, such as tokens, stay as they are.

    Raises:
        ValueError: The samples do not fit the model.
    """
    if len(inputs) != 1:
        raise ValueError(f"the model has {len(inputs)} inputs and the data one")
    (shape, dtype), (scale, zero_point) = inputs[0], quantization[0]
    if tuple(shape) != (1, *samples.shape[1:]):
        raise ValueError(
            f"the model takes {list(shape)}, a sample of the data is {[1, *samples.shape[1:]]}"
        )
    if dtype.kind == "f" and samples.dtype.kind != "f":
        raise ValueError(f"the model takes {dtype}, the data are {samples.dtype}: preprocess them")
    quantized = dtype.kind != "f" and samples.dtype.kind == "f"
    if quantized and not scale:
        raise ValueError(f"the model takes {dtype} without a scale, the data is float")
    for sample in samples:
        array = sample[np.newaxis]
        if quantized:
            limits = np.iinfo(dtype)
            array = np.clip(np.round(array / scale) + zero_point, limits.min, limits.max)
        yield [np.ascontiguousarray(array, dtype=dtype)]


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
