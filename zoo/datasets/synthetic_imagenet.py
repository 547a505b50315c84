"""Noise in the form of ImageNet's files, so that its recipes can be tried without ImageNet."""

import atexit
import shutil
import tempfile
from pathlib import Path

import numpy as np

from zoo.datasets import Dataset, register_dataset
from zoo.datasets._tfrecords import read_records

IMAGE_SIZE = 72
CLASSES = 4
FILES = 2
IMAGES_PER_FILE = {"train": 32, "validation": 8}


@register_dataset(input_shape=(IMAGE_SIZE, IMAGE_SIZE, 3), classes=CLASSES)
def noise_records(folder: Path) -> Dataset:
    """Random pixels in 4 classes, 72×72: what --smoke trains ImageNet recipes on; not ImageNet.

    64 images to train on, 16 to test, as JPEGs in TFRecords that are made in a temporary folder and
    read like ImageNet's. There is nothing to learn; `folder` is not looked at.
    """
    made = Path(tempfile.mkdtemp(prefix="onebit-noise-records-"))
    # They are read as long as the process trains.
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    splits = {
        split: read_records(
            write_noise(made, split, count), image_size=IMAGE_SIZE, augment=split == "train"
        )
        for split, count in IMAGES_PER_FILE.items()
    }
    return Dataset(
        name="noise_records",
        classes=tuple(str(number) for number in range(CLASSES)),
        train=splits["train"],
        validation=None,
        test=splits["validation"],
    )


def write_noise(folder: Path, split: str, count: int, files: int = FILES) -> list[Path]:
    """Writes files of `count` images of 80 to 120 pixels each, in TensorFlow Datasets' form."""
    from onebit.keras import tf

    generator = np.random.default_rng([len(split), count])
    paths = []
    for number in range(files):
        path = folder / f"noise-{split}.tfrecord-{number:05d}-of-{files:05d}"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for index in range(count):
                height, width = generator.integers(80, 121, size=2)
                image = generator.integers(256, size=(height, width, 3), dtype=np.uint8)
                jpeg = tf.io.encode_jpeg(image).numpy()
                label = (number * count + index) % CLASSES
                features = {
                    "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[jpeg])),
                    "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())
        paths.append(path)
    return paths
