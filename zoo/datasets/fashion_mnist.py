"""Fashion-MNIST's 70,000 pictures of clothes: MNIST's format, a harder task.

Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms,
arXiv 1708.07747, table 2 for the classes.
"""

from pathlib import Path
from typing import Any

from zoo.datasets import Dataset, register_dataset
from zoo.datasets.idx import load_idx_dataset

CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""


@register_dataset(input_shape=(28, 28, 1), classes=10)
def fashion_mnist(folder: Path) -> Dataset:
    """Pictures of clothes, 28×28 grey: 50,000 to train on, 10,000 to validate, 10,000 to test."""

    def download() -> Any:
        from onebit.keras import keras

        return keras.datasets.fashion_mnist.load_data()

    return load_idx_dataset("fashion_mnist", CLASSES, [folder, DEBIAN_FOLDER], download)
