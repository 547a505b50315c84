"""1,797 real 8×8 digits that the package scikit-learn ships: small enough for small FPGAs."""

from pathlib import Path

import numpy as np

from zoo.datasets import Dataset, Split, register_dataset

SPLIT_SEED = 1797
TEST_SAMPLES = 360
STEP = 15
"""Pixels are 0 to 16; times 15 they span 0 to 240."""


@register_dataset(input_shape=(8, 8, 1), classes=10)
def digits_8x8(folder: Path) -> Dataset:
    """Handwritten digits, 8×8 grey: 1,437 to train on, 360 to test; from scikit-learn, offline.

    Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, 1998, its test set, which
    other people wrote than its training set; here all digits are mixed. `folder` is not looked at.
    """
    from sklearn.datasets import load_digits  # it brings SciPy along: a second

    digits = load_digits()
    images = (digits.images * STEP).astype(np.uint8)[..., np.newaxis]
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    whole = Split(images, digits.target.astype(np.int64))
    return Dataset(
        name="digits_8x8",
        classes=tuple(str(digit) for digit in range(10)),
        train=whole[order[TEST_SAMPLES:]],
        validation=None,
        test=whole[order[:TEST_SAMPLES]],
    )
