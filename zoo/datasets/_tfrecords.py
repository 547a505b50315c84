"""Labelled JPEG images in TFRecord files, decoded while they are trained on.

Two sets of keys are known: `image`, `label` (0…; TensorFlow Datasets) and `image/encoded`,
`image/class/label` (1…; TensorFlow's build_imagenet_data). Files are named
NAME-SPLIT.tfrecord-N-of-M or SPLIT-N-of-M.

A record is its length (uint64, little-endian), a checksum of that (4 bytes), the content and a
checksum of the content (4 bytes).
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onebit.errors import OnebitError, unreadable
from zoo.datasets._split import Split

if TYPE_CHECKING:
    from onebit.keras import tf

SHUFFLE_BUFFER = 10_000
FILES_AT_ONCE = 16
_HEADER, _FOOTER = 12, 4
_FILE_NAME = re.compile(r"(?:.*-)?(train|validation)(?:\.tfrecord)?-(\d{5})-of-(\d{5})")


@dataclass(frozen=True)
class RecordSplit:
    """A split whose images lie in TFRecord files; the counterpart of `Split`.

    Attributes:
        files: The files, in the order of their numbers.
        counts: How many records each holds.
        image_size: Height and width that images are brought to.
        first_label: The smallest label in the files, 0 or 1.
        augment: Whether a shuffled pass takes random crops and mirrors.
        limit: How many records are used at most; None for all.
    """

    files: tuple[Path, ...]
    counts: tuple[int, ...]
    image_size: int
    first_label: int
    augment: bool
    limit: int | None = None

    def __len__(self) -> int:
        total = sum(self.counts)
        return total if self.limit is None else min(total, self.limit)

    def __getitem__(self, index: slice) -> RecordSplit:
        """The first records; nothing else can be cut from files in order."""
        if index.start not in (None, 0) or index.step is not None or (index.stop or 0) < 0:
            raise ValueError(f"records are cut from the beginning only, not by {index}")
        if index.stop is None:
            return self
        return dataclasses.replace(self, limit=min(index.stop, len(self)))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`[H, W, C]` of an image."""
        return self.image_size, self.image_size, 3

    def update(self, digest: Any) -> None:
        """Feeds a hash with the files' names, sizes and counts: ImageNet has 140 GB of content."""
        for file, count in zip(self.files, self.counts, strict=True):
            digest.update(f"{file.name} {file.stat().st_size} {count}\n".encode())

    def batches(self, batch_size: int, order: tuple[int, int] | None = None) -> tf.data.Dataset:
        """Batches of (images `[n, H, W, 3]`, labels int64 `[n]`).

        Args:
            batch_size: Images a batch; the last may have fewer.
            order: Seed and epoch, which fully determine order, crops and mirrors: then images are
                float32, 0 to 255. With None they are uint8, cropped in the middle, in the files'
                order.
        """
        from onebit.keras import tf
        from zoo.datasets import _imagenet_crops

        records = self._records(order)
        seed = None if order is None else [order[0], order[1]]

        def decode(index: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            jpeg, label = _parse(record)
            if seed is None or not self.augment:
                image = _imagenet_crops.central(jpeg, self.image_size)
                image = image if seed is None else tf.cast(image, tf.float32)
            else:
                mixed = tf.random.experimental.stateless_fold_in(tf.constant(seed), index)
                image = _imagenet_crops.random(jpeg, self.image_size, mixed)
            return image, label - self.first_label

        return (
            records.enumerate()
            .map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .batch(batch_size)
        )

    def _records(self, order: tuple[int, int] | None) -> tf.data.Dataset:
        """The serialised records, in the files' order or in that of (seed, epoch)."""
        from onebit.keras import tf

        names = [str(file) for file in self.files]
        if order is None or self.limit is not None:
            # A cut split holds the same records in every epoch.
            records = tf.data.TFRecordDataset(names).take(len(self))
        else:
            generator = np.random.default_rng(order)
            files = tf.data.Dataset.from_tensor_slices(generator.permutation(names))
            records = files.interleave(
                tf.data.TFRecordDataset,
                cycle_length=FILES_AT_ONCE,
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
        if order is not None:
            seed = int(np.random.default_rng([*order, 1]).integers(2**31))
            records = records.shuffle(min(SHUFFLE_BUFFER, len(self)), seed=seed)
        return records

    def first(self, count: int) -> Split:
        """The first images as they are tested: uint8, cropped in the middle.

        Raises:
            OnebitError: A file is damaged.
        """
        batches = self[:count].batches(min(count, len(self)))
        with naming_damage(self):
            images, labels = next(iter(batches.as_numpy_iterator()))
        return Split(images, labels)

    def require_whole(self) -> None:
        """Reads every record, which takes as long as an epoch without the network.

        Raises:
            OnebitError: One is damaged, or its image cannot be decoded.
        """
        from onebit.keras import tf

        for file in self.files:
            records = tf.data.TFRecordDataset(str(file))
            images = records.map(
                lambda record: tf.io.decode_jpeg(_parse(record)[0], channels=3),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
            try:
                for _ in images:
                    pass
            except _damage() as error:
                raise OnebitError(f"{file} is damaged; write or copy it again") from error


def _damage() -> tuple[type[Exception], ...]:
    """Errors that TensorFlow raises on damaged records, and on some other occasions."""
    from onebit.keras import tf

    return tf.errors.DataLossError, tf.errors.InvalidArgumentError


@contextlib.contextmanager
def naming_damage(*splits: Split | RecordSplit | None) -> Iterator[None]:
    """Has the error about a damaged record that is read in the block name the file.

    Records are checked where they are read only, since ImageNet's take minutes; TensorFlow's errors
    then name no file.

    Args:
        splits: What is read in the block; those without files are passed over.

    Raises:
        OnebitError: A file is damaged.
    """
    try:
        yield
    except _damage():
        for split in splits:
            if isinstance(split, RecordSplit):
                split.require_whole()
        raise


def find_records(folders: Sequence[Path], split: str) -> tuple[Path, ...]:
    """The complete files of a split, "train" or "validation", in the first folder that has any.

    Raises:
        OnebitError: Files of the sequence are missing.
    """
    for folder in folders:
        found: dict[int, Path] = {}
        total = 0
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            match = _FILE_NAME.fullmatch(path.name)
            if match and match[1] == split:
                found[int(match[2])], total = path, int(match[3])
        if found:
            missing = [number for number in range(total) if number not in found]
            if missing:
                raise OnebitError(
                    f"{folder} lacks {len(missing)} of {total} {split} files, first number "
                    f"{missing[0]:05d}; put them there"
                )
            return tuple(found[number] for number in range(total))
    return ()


def read_records(files: Sequence[Path], *, image_size: int, augment: bool) -> RecordSplit:
    """The split in TFRecord files.

    Raises:
        OnebitError: A file is damaged or empty, or its records have other keys.
    """
    counts = tuple(count_records(file) for file in files)
    first_label = _first_label(files[0])
    return RecordSplit(tuple(files), counts, image_size, first_label, augment)


def count_records(path: Path) -> int:
    """Number of records in a file, from their lengths only.

    Raises:
        OnebitError: The file cannot be read, ends within a record, or holds none.
    """
    count = 0
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            position = 0
            while position < size:
                header = file.read(_HEADER)
                position += _HEADER + _FOOTER
                position += struct.unpack("<Q", header[:8])[0] if len(header) == _HEADER else size
                file.seek(position)
                count += 1
    except OSError as error:
        raise OnebitError(unreadable(path, error)) from error
    if position != size or not count:
        raise OnebitError(f"{path} is not a complete TFRecord file; write or copy it again")
    return count


def _parse(record: Any) -> tuple[Any, Any]:
    """JPEG bytes and label of a serialised example, in either set of keys; "" and -1 if absent."""
    from onebit.keras import tf

    def field(kind: Any, default: Any) -> Any:
        return tf.io.FixedLenFeature([], kind, default)

    keys = {
        "image": field(tf.string, ""),
        "label": field(tf.int64, -1),
        "image/encoded": field(tf.string, ""),
        "image/class/label": field(tf.int64, -1),
    }
    found = tf.io.parse_single_example(record, keys)
    jpeg = tf.strings.join([found["image"], found["image/encoded"]])
    return jpeg, tf.maximum(found["label"], found["image/class/label"])


def _first_label(path: Path) -> int:
    """First label of a file (0 or 1), from the keys of its first record."""
    from onebit.keras import tf

    try:
        record = next(iter(tf.data.TFRecordDataset(str(path))))
        jpeg, label = _parse(record)
    except (tf.errors.OpError, StopIteration) as error:
        raise OnebitError(f"{path} is damaged; write or copy it again") from error
    if not len(jpeg.numpy()) or label < 0:
        raise OnebitError(
            f"{path} has records without image and label, or image/encoded and image/class/label; "
            "write it with TensorFlow Datasets or TensorFlow's build_imagenet_data"
        )
    features = tf.train.Example.FromString(record.numpy()).features.feature
    return 1 if "image/class/label" in features else 0
