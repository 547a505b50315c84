"""The Street View House Numbers: photographs of single digits.

Reading Digits in Natural Images with Unsupervised Feature Learning, Y. Netzer et al., 2011.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from onebit.errors import OnebitError, first_line
from zoo.datasets import Dataset, Split, register_dataset
from zoo.datasets._download import RemoteFile, fetch

_ADDRESS = "http://ufldl.stanford.edu/housenumbers"
TRAIN = RemoteFile(
    f"{_ADDRESS}/train_32x32.mat",
    "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
)
EXTRA = RemoteFile(
    f"{_ADDRESS}/extra_32x32.mat",
    "a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3",
)
TEST = RemoteFile(
    f"{_ADDRESS}/test_32x32.mat",
    "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
)
VALIDATION_PER_CLASS = {TRAIN: 400, EXTRA: 200}


@register_dataset(input_shape=(32, 32, 3), classes=10)
def svhn(folder: Path) -> Dataset:
    """House number digits, 32×32 RGB: 598,388 to train on, 6,000 to validate, 26,032 to test.

    Training takes the parts "train" and "extra", as the BinaryConnect and BNN papers do. The first
    400 images of each digit of "train" and 200 of "extra" are for validation, in the numbers of
    Convolutional Neural Networks Applied to House Numbers Digit Classification, arXiv 1204.3968,
    section 3, which draws them at random. Needs 6 GB of memory.
    """
    paths = fetch("svhn", [TRAIN, EXTRA, TEST], folder)
    splits = [read_mat(path) for path in paths]
    train, validation = [], []
    for split, count in zip(splits[:2], VALIDATION_PER_CLASS.values(), strict=True):
        held_out = np.zeros(len(split), bool)
        for digit in range(10):
            held_out[np.flatnonzero(split.labels == digit)[:count]] = True
        train.append(split[np.flatnonzero(~held_out)])
        validation.append(split[np.flatnonzero(held_out)])
    return Dataset(
        name="svhn",
        classes=tuple(str(digit) for digit in range(10)),
        train=Split.joined(train),
        validation=Split.joined(validation),
        test=splits[2],
    )


def read_mat(path: Path) -> Split:
    """The labelled images of a MATLAB file: `X` `[32, 32, 3, N]` and `y` `[N, 1]`, 10 for a zero.

    Raises:
        OnebitError: The file is of another kind.
    """
    from scipy.io import loadmat  # half a second

    try:
        content = loadmat(path, variable_names=["X", "y"])
        images, labels = content["X"], content["y"].reshape(-1).astype(np.int64) % 10
        return Split(np.ascontiguousarray(np.moveaxis(images, -1, 0)), labels)
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise OnebitError(f"cannot read {path}: {first_line(error)}; download it again") from error
