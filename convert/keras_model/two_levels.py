"""Quantizers with two levels other than ±1, whose threshold a sign in the file has.

A quantizer with a threshold t gives low below t and high from t on. With the half-distance
h = (high − low)/2 and the middle m = (high + low)/2 it is m + h·sign(x − t), which is how the
binariser finds a sign in it, whose scale and offset go into the layer behind.

The method `two_levels()` of such a quantizer returns (t, low, high), t `[C]` or `[]`, or None when
it has more than two levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onebit.keras import keras


@dataclass(frozen=True)
class Levels:
    """The outputs of a quantizer with two levels: `low` where x < `threshold`, else `high`."""

    threshold: NDArray[np.float32]
    low: float
    high: float

    @property
    def middle(self) -> float:
        """Midpoint m = (high + low)/2."""
        return (self.high + self.low) / 2


def levels_of(quantizer: keras.layers.Layer | None) -> Levels | None:
    """The levels that the quantizer's `two_levels()` returns.

    None if it has no such method, returns None or is not built.
    """
    two_levels = getattr(quantizer, "two_levels", None)
    if two_levels is None or not getattr(quantizer, "built", False):
        return None
    levels = two_levels()
    if levels is None:
        return None
    threshold, low, high = levels
    return Levels(np.asarray(threshold, np.float32), float(low), float(high))
