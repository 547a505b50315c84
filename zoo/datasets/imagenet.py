"""ImageNet's 1.28 million photographs, from TFRecord files that the user has.

ImageNet Large Scale Visual Recognition Challenge, arXiv 1409.0575. It cannot be downloaded without
an account, so nothing here tries to.
"""

from pathlib import Path

from onebit.errors import OnebitError
from zoo.datasets import Dataset, register_dataset
from zoo.datasets._tfrecords import find_records, read_records

CLASSES = 1000
IMAGE_SIZE = 224
LABELS = "label.labels.txt"
"""The class names, one a line, that TensorFlow Datasets writes beside the records."""

TENSORFLOW_DATASETS = Path("~/tensorflow_datasets/imagenet2012")


@register_dataset(input_shape=(IMAGE_SIZE, IMAGE_SIZE, 3), classes=CLASSES)
def imagenet(folder: Path) -> Dataset:
    """Photographs in 1000 classes, 224×224: 1.28 million to train on, 50,000 to test; local files.

    The challenge keeps its test labels secret: as in all papers the test is its validation set, and
    nothing is chosen by it. The hash is that of the files' names, sizes and numbers of records.
    """
    homes = (folder, folder / "imagenet2012", TENSORFLOW_DATASETS.expanduser())
    folders = [folder, *(version for home in homes for version in _versions(home))]
    files = {split: find_records(folders, split) for split in ("train", "validation")}
    for split, found in files.items():
        if not found:
            raise OnebitError(
                f"imagenet's {split} files are not here; put TFRecords into {folder}, named "
                f"{split}-00000-of-01024 (TensorFlow's build_imagenet_data) or imagenet2012-{split}"
                ".tfrecord-00000-of-01024 (TensorFlow Datasets) and so on"
            )
    names = files["train"][0].parent / LABELS
    classes = names.read_text().split() if names.is_file() else [str(i) for i in range(CLASSES)]
    if len(classes) != CLASSES:
        raise OnebitError(
            f"{names} has {len(classes)} names, not {CLASSES}; remove it or correct it"
        )
    return Dataset(
        name="imagenet",
        classes=tuple(classes),
        train=read_records(files["train"], image_size=IMAGE_SIZE, augment=True),
        validation=None,
        test=read_records(files["validation"], image_size=IMAGE_SIZE, augment=False),
    )


def _versions(folder: Path) -> list[Path]:
    """The folders in a folder, the newest version of TensorFlow Datasets first."""
    return sorted((path for path in folder.glob("*") if path.is_dir()), reverse=True)
