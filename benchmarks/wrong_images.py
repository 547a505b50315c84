"""Which test images a network has wrong, and what follows for the difference of two networks.

Two networks that see the same test images are compared image by image: the standard error of their
difference is then that of other images, without what makes an image hard for both.
"""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray


def wrong_images(run: Any, test: Any) -> NDArray[np.bool_]:
    """Whether a run's model classifies each image of a split wrongly, `[N]`."""
    from zoo.training.evaluation import classified_right

    return ~classified_right(run.model, test, run.preprocessing)


def packed(wrong: NDArray[np.bool_]) -> str:
    """A bit an image, the first image's in the highest bit of the first byte, as base64."""
    return base64.b64encode(np.packbits(wrong).tobytes()).decode()


def unpacked(text: str, images: int) -> NDArray[np.bool_]:
    """The array that `packed` was made of."""
    bits = np.frombuffer(base64.b64decode(text), np.uint8)
    return np.unpackbits(bits, count=images).astype(bool)


def standard_error(values: NDArray[np.float64]) -> float:
    """The standard error of the mean of independent values."""
    return float(values.std(ddof=1) / len(values) ** 0.5)
