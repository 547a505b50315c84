"""Quantizers with two levels other than ±1, as a sign.

A quantizer with a threshold t and two levels gives low below t and high from t on. With the
half-distance h = (high − low)/2 and the middle m = (high + low)/2 it is m + h·sign(x − t), so that
a dense layer behind it is one behind a sign:

    Σ_d q(x_d)·w[d, o] + b[o]   =   Σ_d sign(x_d − t_d)·(h·w[d, o]) + (b[o] + m·Σ_d w[d, o])

{−α, α} leaves the bias as it is; {0, α}, for numbers that cannot be negative, adds α/2 times the
kernel's column sums to it. Both sides are equal but for rounding: on the left the K products are
summed as they are, on the right exactly, as K equal magnitudes with signs.

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

    @property
    def half_distance(self) -> float:
        """Half distance h = (high − low)/2."""
        return (self.high - self.low) / 2


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


def fold_levels(
    levels: Levels, kernel: NDArray[np.float32], bias: NDArray[np.float32] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Kernel `[D, O]` and bias `[O]` behind the sign that takes the quantizer's place.

    The bias is None when it was and need not be.
    """
    wide = kernel.astype(np.float64)
    folded = (levels.half_distance * wide).astype(np.float32)
    if levels.middle == 0:
        return folded, bias
    moved = (0.0 if bias is None else bias.astype(np.float64)) + levels.middle * wide.sum(0)
    return folded, moved.astype(np.float32)
