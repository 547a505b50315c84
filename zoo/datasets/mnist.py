"""MNIST's 70,000 handwritten digits."""

from pathlib import Path
from typing import Any

from zoo.datasets import Dataset, register_dataset
from zoo.datasets.idx import load_idx_dataset


@register_dataset(input_shape=(28, 28, 1), classes=10)
def mnist(folder: Path) -> Dataset:
    """Handwritten digits, 28×28 grey: 50,000 to train on, 10,000 to validate, 10,000 to test."""

    def download() -> Any:
        from onebit.keras import keras

        return keras.datasets.mnist.load_data()

    return load_idx_dataset("mnist", [str(digit) for digit in range(10)], [folder], download)
