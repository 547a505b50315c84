"""Float steps and a sign behind integer sums → the sums from which on a bit is set."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convert.targets.network import Operator
from convert.targets.refusals import refusal
from convert.targets.thresholds.network import FloatStep, InputGrid, Layer


def with_thresholds(
    operator: Operator, layer: Layer, steps: Sequence[FloatStep], grid: InputGrid
) -> Layer:
    """The layer with the thresholds at which the sign of its float steps changes.

    All steps are monotone in the sum, in float32 too, so bisection finds the one change.
    """
    least, largest, step = _sum_range(layer, grid)
    channels = len(layer.weights)

    def is_positive(sums: NDArray[np.int64]) -> NDArray[np.bool_]:
        values = sums.astype(np.float32)
        for each in steps:
            values = each(values)
        if np.isnan(values).any():
            raise refusal(operator, "its numbers are not finite")
        return ~(values < 0)

    counts = (largest - least) // step
    low, high = np.zeros(channels, np.int64), np.full(channels, counts)
    at_low, at_high = is_positive(_full(least, channels)), is_positive(_full(largest, channels))
    while (high - low > 1).any():
        middle = (low + high) // 2
        same = is_positive(least + step * middle) == at_low
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    first = least + step * high  # the first sum whose sign is that of the largest
    rises = ~at_low & at_high
    falls = at_low & ~at_high
    limits = np.where(at_low & at_high, least, np.where(rises, first, largest + step))
    # Falling channels: +1 where s ≤ first − step, that is −s ≥ step − first.
    limits = np.where(falls, step - first, limits)
    weights = np.where(falls[:, np.newaxis, np.newaxis, np.newaxis], -layer.weights, layer.weights)
    return dataclasses.replace(layer, weights=weights.astype(np.int8), thresholds=limits)


def _full(value: int, channels: int) -> NDArray[np.int64]:
    return np.full(channels, value, np.int64)


def _sum_range(layer: Layer, grid: InputGrid) -> tuple[int, int, int]:
    """The least and the largest sum, and the step between sums."""
    if layer.reads == "bits":
        return -layer.fan_in, layer.fan_in, 2
    # −least·K is one more than any sum reaches: falling channels need no other range.
    most = -grid.least * layer.fan_in
    return -most, most, 1


def limited(layer: Layer, limits: NDArray[np.int64], beyond: int) -> NDArray[np.int64]:
    """Thresholds no further out than sums reach, where they would decide the same."""
    return np.clip(limits, -layer.fan_in, layer.fan_in + beyond)
