"""What happens to raw pixels before a model sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from zoo.datasets import Split


@dataclass(frozen=True)
class Preprocessing:
    """The affine map from raw pixels to the model's input: x·scale + offset, in float32.

    The model card records both numbers, so that every stage feeds a model the same values.
    """

    scale: float
    offset: float

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """float32 of the images' shape."""
        return images.astype(np.float32) * np.float32(self.scale) + np.float32(self.offset)


def preprocessed(split: Split, preprocessing: Preprocessing | None) -> NDArray[Any]:
    """What a model takes: pixels mapped, token ids (whose preprocessing is None) as they are."""
    return split.images if preprocessing is None else preprocessing(split.images)


MINUS_ONE_TO_ONE = Preprocessing(1 / 127.5, -1.0)
"""0…255 → [-1, 1]."""
