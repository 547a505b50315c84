"""What happens to raw pixels before a model sees them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Preprocessing:
    """The affine map from raw pixels to the model's input: x·scale + offset, in float32.

    Both are one number, or one for each of the C channels.

    The model card records both numbers, so that every stage feeds a model the same values.
    """

    scale: float | tuple[float, ...]
    offset: float | tuple[float, ...]

    def __call__(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """float32 of the images' shape `[N, H, W, C]`."""
        scale, offset = np.asarray(self.scale, np.float32), np.asarray(self.offset, np.float32)
        return images.astype(np.float32) * scale + offset


MINUS_ONE_TO_ONE = Preprocessing(1 / 127.5, -1.0)
"""0…255 → [-1, 1]."""

_IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_DEVIATION = (58.395, 57.12, 57.375)
IMAGENET = Preprocessing(
    tuple(1 / deviation for deviation in _IMAGENET_DEVIATION),
    tuple(-m / d for m, d in zip(_IMAGENET_MEAN, _IMAGENET_DEVIATION, strict=True)),
)
"""0…255 → mean 0 and variance 1 in each of ImageNet's channels."""
