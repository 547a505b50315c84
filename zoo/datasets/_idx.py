"""Reads data sets in MNIST's file format, IDX, from a local folder or else from the network.

An IDX file is big-endian: two zero bytes, a type (8 is uint8), the number of dimensions, one
32-bit size per dimension, then the values in row-major order.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from onebit.errors import OnebitError
from zoo.datasets import Dataset, Split
from zoo.datasets._download import RemoteFile, fetch
from zoo.datasets._packed_files import read_unpacked

TRAIN_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST_FILES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
UINT8 = 8
VALIDATION_IMAGES = 10_000


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The uint8 array in an IDX file, plain or, by its suffix `.gz`, compressed.

    Raises:
        OnebitError: The file cannot be read, is no IDX file of uint8, has another number of
            dimensions, or is longer or shorter than its header says.
    """
    content = read_unpacked(path)
    if len(content) < 4 or content[:3] != bytes([0, 0, UINT8]):
        raise OnebitError(f"{path} is no IDX file of bytes: it starts with {content[:4].hex(' ')}")
    if content[3] != dimensions:
        raise OnebitError(f"{path} has {content[3]} dimensions, not {dimensions}: is it misnamed?")
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise OnebitError(f"{path} ends within its header; download it again")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) - header != math.prod(shape):
        raise OnebitError(
            f"{path} holds {len(content) - header} values where its header says "
            f"{' × '.join(map(str, shape))}; download it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def load_idx_dataset(
    name: str,
    classes: Sequence[str],
    folders: Sequence[Path],
    url: str,
    sha256: Mapping[str, str],
) -> Dataset:
    """The data set in the first of `folders` that holds any of its files.

    What the first folder lacks is downloaded into it. The last 10,000 training images are for
    validation, as in the BinaryConnect and BNN papers.

    Args:
        name: Registry name.
        classes: Class names in the order of the labels.
        folders: Where to look for the four files; messages name the first.
        url: The address below which the compressed files are published.
        sha256: File name without `.gz` → SHA-256 of the published compressed file.

    Raises:
        OnebitError: A file is damaged, or missing and cannot be downloaded.
    """
    names = (*TRAIN_FILES, *TEST_FILES)
    found = (folder for folder in folders if any(_find(folder, file) for file in names))
    folder = next(found, folders[0])
    if folder == folders[0]:
        missing = [file for file in names if _find(folder, file) is None]
        remote = [RemoteFile(f"{url}/{file}.gz", sha256[file]) for file in missing]
        fetch(name, remote, folder)
    train, test = (_read_split(folder, pair, classes) for pair in (TRAIN_FILES, TEST_FILES))
    held_out = min(VALIDATION_IMAGES, len(train) // 6)
    return Dataset(
        name=name,
        classes=tuple(classes),
        train=train[: len(train) - held_out],
        validation=train[len(train) - held_out :],
        test=test,
    )


def _find(folder: Path, name: str) -> Path | None:
    """The file of that name, plain or compressed."""
    candidates = (folder / name, folder / f"{name}.gz")
    return next((path for path in candidates if path.is_file()), None)


def _read_split(folder: Path, names: tuple[str, str], classes: Sequence[str]) -> Split:
    images, labels = (_find(folder, name) for name in names)
    if images is None or labels is None:
        missing = names[0] if images is None else names[1]
        raise OnebitError(f"{folder} lacks {missing} (or {missing}.gz); put it there")
    return _split(str(folder), read_idx(images, 3), read_idx(labels, 1), classes)


def _split(
    source: str, images: NDArray[np.uint8], labels: NDArray[np.uint8], classes: Sequence[str]
) -> Split:
    if len(images) != len(labels) or len(images) == 0:
        raise OnebitError(f"{source} has {len(images)} images but {len(labels)} labels")
    if labels.max() >= len(classes):
        raise OnebitError(f"{source} has a label {labels.max()} but {len(classes)} classes")
    return Split(images[..., np.newaxis], labels.astype(np.int64))
