"""Quantizers with several evenly spaced levels, which round to the nearest.

Their output follows from clip(round(z), L, H), where z counts the pre-activation in steps. That is
Larq's DoReFa, and every quantizer whose `step_range` is (L, H), not None, and whose `steps(x)`
returns (z, size): the pre-activation changes by `size`, a number or an array that broadcasts to the
shape of z, as z changes by 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit.keras import lq, tf


@dataclass(frozen=True)
class QuantizerSteps:
    """Pre-activations in units of a quantizer's step.

    Attributes:
        position: z, `[n, …]`, in the precision in which Keras rounds it.
        lowest: L, the number of the lowest step.
        highest: H, that of the highest.
        size: Of a step, in units of the pre-activations.
    """

    position: NDArray[np.float32]
    lowest: int
    highest: int
    size: NDArray[np.float32]

    @property
    def numbers(self) -> NDArray[np.float32]:
        """The number of each pre-activation's step, L to H."""
        return np.clip(np.rint(self.position), self.lowest, self.highest)

    @property
    def distance(self) -> NDArray[np.float64]:
        """How far each pre-activation is from where its step changes."""
        z = self.position.astype(np.float64)
        edges = np.clip(np.floor(z) + 0.5, self.lowest + 0.5, self.highest - 0.5)
        return np.abs(z - edges) * self.size


def step_range(quantizer: Any) -> tuple[int, int] | None:
    """The numbers (L, H) of a quantizer's lowest and highest step; None where it has no steps.

    DoReFa's k bits have 2^k − 1 steps above 0 (DoReFa-Net, arXiv 1606.06160, equation 5).
    """
    if isinstance(quantizer, lq.quantizers.DoReFa):
        return 0, 2**quantizer.precision - 1
    return getattr(quantizer, "step_range", None)


def steps_of(quantizer: Any, values: NDArray[np.float32]) -> QuantizerSteps:
    """The steps of pre-activations `[n, …]` of a quantizer that has a `step_range`."""
    limits = step_range(quantizer)
    if limits is None:
        raise ValueError(f"{quantizer} has no steps")
    lowest, highest = limits
    x = tf.constant(values)
    if isinstance(quantizer, lq.quantizers.DoReFa):
        position, size = tf.clip_by_value(x, 0.0, 1.0) * highest, 1 / highest
    else:
        position, size = quantizer.steps(x)
    return QuantizerSteps(np.asarray(position), lowest, highest, np.asarray(size, np.float32))
