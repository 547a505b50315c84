"""CIFAR-10's 60,000 small photographs, in its binary version, which no pickle is needed for.

Learning Multiple Layers of Features from Tiny Images, A. Krizhevsky, 2009. A record is one byte of
the label and 3072 of the pixels, channel by channel, row by row.
"""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path

import numpy as np

from onebit.errors import OnebitError, first_line
from zoo.datasets import Dataset, Split, register_dataset
from zoo.datasets._download import RemoteFile, fetch

ARCHIVE = RemoteFile(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
UNPACKED = "cifar-10-batches-bin"
TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILES = ("test_batch.bin",)
RECORD_BYTES = 1 + 32 * 32 * 3
VALIDATION_IMAGES = 5_000

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


@register_dataset(input_shape=(32, 32, 3), classes=10)
def cifar10(folder: Path) -> Dataset:
    """Photographs, 32×32 RGB: 45,000 to train on, 5,000 to validate, 10,000 to test.

    The last 5,000 training images are for validation, as in the BinaryConnect paper.
    """
    contents = _contents(folder)
    train = Split.joined([parse_records(contents[name], name) for name in TRAIN_FILES])
    held_out = min(VALIDATION_IMAGES, len(train) // 10)
    return Dataset(
        name="cifar10",
        classes=CLASSES,
        train=train[: len(train) - held_out],
        validation=train[len(train) - held_out :],
        test=Split.joined([parse_records(contents[name], name) for name in TEST_FILES]),
    )


def parse_records(content: bytes, name: str) -> Split:
    """The labelled images in the bytes of a batch file.

    Raises:
        OnebitError: The records are incomplete, or a label is above 9.
    """
    if not content or len(content) % RECORD_BYTES:
        raise OnebitError(
            f"{name} has {len(content)} bytes, which is not a multiple of {RECORD_BYTES}; download "
            "it again"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD_BYTES)
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= len(CLASSES):
        raise OnebitError(f"{name} has a label {labels.max()} but there are {len(CLASSES)} classes")
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Split(np.ascontiguousarray(images), labels)


def _contents(folder: Path) -> dict[str, bytes]:
    """The batch files' bytes: as they lie in the folder, unpacked, or else in the archive."""
    names = (*TRAIN_FILES, *TEST_FILES)
    found = {}
    for name in names:
        for path in (folder / name, folder / UNPACKED / name):
            if name not in found and path.is_file():
                found[name] = path.read_bytes()
    packed = [name for name in names if name not in found]
    if not packed:
        return found
    (archive,) = fetch("cifar10", [ARCHIVE], folder)
    try:
        with tarfile.open(archive) as members:
            for name in packed:
                member = members.extractfile(f"{UNPACKED}/{name}")
                if member is None:
                    raise KeyError(f"{name} is not a file")
                found[name] = member.read()
    except (tarfile.TarError, zlib.error, OSError, EOFError, KeyError) as error:
        reason = first_line(error)
        raise OnebitError(f"cannot read {archive}: {reason}; download it again") from error
    return found
