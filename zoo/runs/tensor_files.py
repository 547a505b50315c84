"""Named arrays in files of other frameworks: `.safetensors` and `.npz`.

The format of safetensors is a little-endian 64-bit length, a JSON header of that length that maps
each name to `dtype`, `shape` and `data_offsets`, and the data, row by row
(https://huggingface.co/docs/safetensors, "Format"). Neither format holds code.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit.errors import OnebitError, UsageError
from onebit.files import read_arrays

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
    "I8": "i1", "U8": "u1", "BOOL": "?", "BF16": "<u2",
}  # fmt: skip

Arrays = dict[str, NDArray[Any]]


def read_tensors(path: Path) -> Arrays:
    """The arrays in a `.safetensors` or `.npz` file by name; bfloat16 becomes float32.

    Raises:
        UsageError: The file has another suffix.
        OnebitError: It is missing or damaged.
    """
    if path.suffix not in (".safetensors", ".npz"):
        raise UsageError(
            f"{path} is neither .safetensors nor .npz",
            hint='in PyTorch: safetensors.torch.save_file(model.state_dict(), "x.safetensors"), or '
            'numpy.savez("x.npz", **{k: v.numpy() for k, v in model.state_dict().items()})',
        )
    if not path.is_file():
        raise OnebitError(f"{path} does not exist")
    try:
        return read_arrays(path) if path.suffix == ".npz" else _safetensors(path.read_bytes())
    except (OSError, KeyError, TypeError, ValueError, RecursionError, struct.error) as error:
        raise OnebitError(f"{path} is damaged: it cannot be read as {path.suffix}") from error


def _safetensors(content: bytes) -> Arrays:
    (length,) = struct.unpack_from("<Q", content)
    if 8 + length > len(content):
        raise ValueError("the header ends behind the file")
    header = json.loads(content[8 : 8 + length])
    if not isinstance(header, dict):
        raise TypeError("the header is not a mapping")
    data = memoryview(content)[8 + length :]
    arrays = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        kind = np.dtype(DTYPES[entry["dtype"]])
        if not 0 <= begin <= end <= len(data):
            raise ValueError(f"{name} lies outside the file")
        if end - begin != math.prod(entry["shape"]) * kind.itemsize:
            raise ValueError(f"{name} has another size than its shape")
        array = np.frombuffer(data[begin:end], kind).reshape(entry["shape"])
        if entry["dtype"] == "BF16":  # the upper half of a float32
            array = (array.astype("<u4") << 16).view("<f4")
        arrays[name] = array
    return arrays
