"""The statistics behind the figures; none of it assumes a distribution of latencies."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from onebit.interrupts import importing

CONFIDENCE = 0.95
RESAMPLINGS = 1000

ROUNDING = 1e-12
"""Absorbs the rounding of summed probabilities where one equals its limit exactly."""


def quantile_interval_ranks(
    count: int, quantile: float = 0.5, confidence: float = CONFIDENCE
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
    """The probability of `successes` or fewer among `count` throws of a fair coin."""
    return float(min(1.0, _binomial_cumulative(count, 0.5)[successes]))


def drift(samples: Sequence[int]) -> float:
    """The median of the last third over that of the first third, minus 1; 0 under 9 samples."""
    third = len(samples) // 3
    if third < 3:
        return 0.0
    first, last = np.median(samples[:third]), np.median(samples[-third:])
    return float(last / first - 1.0) if first > 0 else 0.0


def wilson_interval(successes: float, count: int) -> tuple[float, float]:
    """The 95% interval of a fraction `successes / count` (Wilson's, which stays within 0 to 1)."""
    z = 1.96
    p = successes / count
    centre = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return centre - half, centre + half


def ratio_of_medians(
    old: Sequence[Sequence[int]], new: Sequence[Sequence[int]], seed: int = 0
) -> tuple[float, float, float]:
    """The ratio of medians, new over old, and the ends of its 95% interval.

    With one measurement on a side, its samples are resampled; with two or more on both, each one is
    an observation and the interval of the difference of logarithms is Welch's.

    Args:
        old: The samples of one or more measurements.
        new: The same.
        seed: Of the resampling.
    """
    logs = [np.log([np.median(samples) for samples in side]) for side in (old, new)]
    difference = float(logs[1].mean() - logs[0].mean())
    if min(len(side) for side in logs) >= 2:
        half = welch_half_width(*logs)
        low, high = difference - half, difference + half
    else:
        rng = np.random.default_rng(seed)
        resampled = [
            np.mean([np.log(resampled_medians(samples, rng)) for samples in side], axis=0)
            for side in (old, new)
        ]
        tails = [100 * (1 - CONFIDENCE) / 2, 100 * (1 + CONFIDENCE) / 2]
        low, high = np.percentile(resampled[1] - resampled[0], tails)
    return math.exp(difference), math.exp(low), math.exp(high)


def paired_ratio_of_medians(
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
) -> tuple[float, float, float]:
    """The ratio of medians, new over old, and its 95% interval, of measurements made in pairs.

    What disturbs both of a pair drops out of its ratio. The logarithms of the ratios have Student's
    interval.

    Args:
        pairs: The samples of the old and of the new measurement; two pairs or more.
    """
    logs = np.log([np.median(new) / np.median(old) for old, new in pairs])
    with importing():
        from scipy import stats

    error = logs.std(ddof=1) / math.sqrt(len(logs))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(logs) - 1) * error)
    middle = float(logs.mean())
    return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


def welch_half_width(old: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    """Half of the 95% interval of the difference of two means of unequal variance.

    Welch's, with Satterthwaite's degrees of freedom (Biometrika 34, 1947).
    """
    with importing():  # half a second that no other command needs
        from scipy import stats

    variances = [side.var(ddof=1) / len(side) for side in (old, new)]
    total = sum(variances)
    if total == 0:
        return 0.0
    freedom = total**2 / sum(
        v**2 / (len(side) - 1) for v, side in zip(variances, (old, new), strict=True)
    )
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * math.sqrt(total))


def resampled_medians(samples: Sequence[int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Medians of `RESAMPLINGS` circular-block resamplings.

    The blocks of √n samples keep what neighbours share (Politis and Romano, "A circular
    block-resampling procedure for stationary data", 1992).
    """
    values = np.asarray(samples, dtype=np.float64)
    length = math.ceil(math.sqrt(len(values)))
    blocks = math.ceil(len(values) / length)
    medians = np.empty(RESAMPLINGS)
    for i in range(RESAMPLINGS):
        starts = rng.integers(0, len(values), blocks)
        taken = (starts[:, np.newaxis] + np.arange(length)).ravel()[: len(values)] % len(values)
        medians[i] = np.median(values[taken])
    return medians
