"""Which range of real numbers the 256 steps of an int8 tensor stand for.

A number x is stored as round(x/s) + z, with s = (high − low)/255. Numbers inside the range are off
by up to s/2, and by s²/12 in the mean square; numbers outside are cut off to its ends. A narrow
range has fine steps and cuts more off.

    minmax      nothing is cut off: one outlier makes every step coarse
    percentile  cuts off 0.01 % of the numbers, whatever that costs
    mse         the range with the least mean square error of the two together

`benchmarks/int8.py` measures all three.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.int8.settings import RangeMethod

BINS = 2048
LEVELS = 256
PERCENT_CUT = 0.01
_SHRINKS = np.linspace(0.1, 1, 37)


@dataclass
class Histogram:
    """How often a tensor's numbers fall into `BINS` equal parts of [low, high], 0 included.

    Attributes:
        low: The least number, or 0 when all are above.
        high: The largest number, or 0 when all are below.
        counts: `[BINS]`.
    """

    low: float
    high: float
    counts: NDArray[np.int64]

    @property
    def centers(self) -> NDArray[np.float64]:
        """The middle of each part, `[BINS]`."""
        width = (self.high - self.low) / BINS
        return self.low + width * (np.arange(BINS) + 0.5)


def choose_range(histogram: Histogram, method: RangeMethod) -> tuple[float, float]:
    """The range [low, high] for a tensor; it contains 0, which paddings need to be exact."""
    low, high = histogram.low, histogram.high
    if method == "minmax":
        return low, high
    if method == "percentile":
        share = np.cumsum(histogram.counts) / histogram.counts.sum()
        cut = PERCENT_CUT / 100 / 2
        centers = histogram.centers
        lower = centers[np.searchsorted(share, cut)]
        upper = centers[min(int(np.searchsorted(share, 1 - cut)), BINS - 1)]
        return min(0.0, float(lower)) if low < 0 else 0.0, max(0.0, float(upper))
    return best_range(histogram)[0]


def best_range(histogram: Histogram) -> tuple[tuple[float, float], float]:
    """The range with the least mean square error among shrunk ones, and that error."""
    lows = histogram.low * _SHRINKS if histogram.low < 0 else np.zeros(1)
    highs = histogram.high * _SHRINKS if histogram.high > 0 else np.zeros(1)
    candidates = [(float(low), float(high)) for low in lows for high in highs]
    errors = [mean_square_error(histogram, *candidate) for candidate in candidates]
    best = int(np.argmin(errors))
    return candidates[best], errors[best]


def mean_square_error(histogram: Histogram, low: float, high: float) -> float:
    """The error of quantizing to [low, high]: rounding inside, cutting off outside."""
    step = (high - low) / (LEVELS - 1)
    centers = histogram.centers
    cut = np.maximum(low - centers, 0) + np.maximum(centers - high, 0)
    square = np.where(cut > 0, cut**2, step**2 / 12)
    return float((square * histogram.counts).sum() / histogram.counts.sum())
