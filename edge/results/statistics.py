"""The statistics behind the figures; none of it assumes a distribution of latencies."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-12
"""Absorbs the rounding of summed probabilities where one equals its limit exactly."""


def quantile_interval_ranks(
    count: int, quantile: float = 0.5, confidence: float = 0.95
) -> tuple[int, int] | None:
    """Zero-based ranks of the sorted samples that enclose a quantile with `confidence`.

    The number B of samples below the true quantile q is binomial(count, q) whatever the
    distribution (ties only widen the interval). The interval from rank l to rank u misses it below
    if B ≤ l, and above if B ≥ u + 1, so l is the largest rank with P(B ≤ l) ≤ α/2 and u the
    smallest with P(B ≥ u + 1) ≤ α/2, α = 1 - confidence (David and Nagaraja, "Order Statistics",
    3rd edition, section 7.1). Consecutive latencies are not quite independent: read it as a lower
    bound of the uncertainty.

    Returns:
        The two ranks; None where even the smallest and the largest sample do not suffice, which for
        95% is below 6 samples for the median and below 36 for p90.
    """
    cumulative = _binomial_cumulative(count, quantile)
    tail = (1.0 - confidence) / 2 + ROUNDING
    low = int(np.searchsorted(cumulative, tail, side="right")) - 1
    # P(B ≥ u + 1) = 1 - P(B ≤ u), whose small values are summed from above to keep their digits.
    upper = _binomial_cumulative(count, 1.0 - quantile)
    high = count - int(np.searchsorted(upper, tail, side="right"))
    return None if low < 0 or high > count - 1 else (low, high)


def _binomial_cumulative(count: int, probability: float) -> NDArray[np.float64]:
    """P(B ≤ k) of binomial(count, probability) for k = 0…count."""
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    log_choose = log_factorials[-1] - log_factorials - log_factorials[::-1]
    k = np.arange(count + 1)
    logs = log_choose + k * math.log(probability) + (count - k) * math.log1p(-probability)
    return np.cumsum(np.exp(logs))


def sign_test(successes: int, count: int) -> float:
    """The probability of at most so many successes among `count` throws of a fair coin."""
    return float(min(1.0, _binomial_cumulative(count, 0.5)[successes]))


def drift(samples: Sequence[int]) -> float:
    """The median of the last third over that of the first third, minus 1; 0 under 9 samples."""
    third = len(samples) // 3
    if third < 3:
        return 0.0
    first, last = np.median(samples[:third]), np.median(samples[-third:])
    return float(last / first - 1.0) if first > 0 else 0.0
