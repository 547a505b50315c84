"""A chain of ±1 layers in integers only: the sums, thresholds and bits that an FPGA computes.

A layer `sign(act(m·Σ a·w + b) …)` of a file computes with floats after its integer sum s. Each of
these float steps is monotone, so their sign is a threshold of s per output channel:

    a[o] = +1  where  Σ w[o, …]·a ≥ t[o],  else −1

The threshold is found by evaluating the file's own float32 steps, not by algebra: the chain gives
LCE's bits even where rounding decides. Channels that fall with their sum have their weights
negated (`s ≤ t` is `−s ≥ −t`). Inputs are integers q of a few bits that stand for `q·scale`; where
scale is a power of two and sums stay below 2^24, LCE's floats are exact and the chain equals it
bit for bit.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convert.targets.network import Window

Shape = tuple[int, int, int]
PadValue = Literal[-1, 0, 1]


@dataclass(frozen=True)
class InputGrid:
    """The numbers that the network's input can take: `q·scale`, q being signed.

    Attributes:
        bits: Of q; 8 stands for −128 … 127.
        scale: The step.
    """

    bits: int = 8
    scale: float = 1 / 128

    @property
    def least(self) -> int:
        """The smallest q."""
        return -(2 ** (self.bits - 1))

    @property
    def largest(self) -> int:
        """The largest q."""
        return 2 ** (self.bits - 1) - 1

    def integers(self, values: NDArray[np.float32]) -> NDArray[np.int64]:
        """The q nearest to each value, ties to even, saturated."""
        steps = np.rint(np.asarray(values, np.float32) / np.float32(self.scale))
        return np.clip(steps, self.least, self.largest).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of the chain, `[H, W, C]` → `[H, W, C]`; where shapes differ, numbers are flattened.

    Attributes:
        name: The layer that it is, as an audit calls it.
        input_shape: What it reads.
        output_shape: What it gives.
    """

    name: str
    input_shape: Shape
    output_shape: Shape


@dataclass(frozen=True, kw_only=True)
class InputSigns(Stage):
    """+1 where the input is at least 0, else −1."""


@dataclass(frozen=True, kw_only=True)
class Layer(Stage):
    """A convolution, or a dense layer where input and output have one pixel.

    Attributes:
        weights: int8 ±1 `[O, KH, KW, I]`.
        window: Where it computes.
        pad_value: What stands outside the image: ±1 for bits, 0 for integers.
        reads: Whether its inputs are bits or the network's integers.
        thresholds: int64 `[O]`: +1 where the sum is at least that; None where sums are the output.
    """

    weights: NDArray[np.int8]
    window: Window
    pad_value: PadValue
    reads: Literal["bits", "integers"]
    thresholds: NDArray[np.int64] | None

    @property
    def is_dense(self) -> bool:
        """Whether it multiplies a vector with a matrix."""
        one_pixel = self.input_shape[:2] == self.output_shape[:2] == (1, 1)
        return one_pixel and self.window.size == (1, 1)

    @property
    def fan_in(self) -> int:
        """The products of one sum."""
        return math.prod(self.weights.shape[1:])


@dataclass(frozen=True, kw_only=True)
class MaxPool(Stage):
    """The maximum of bits: +1 where any is."""

    window: Window


@dataclass(frozen=True)
class FloatStep:
    """One float32 operation on the last layer's sums.

    Attributes:
        op: What it does.
        operand: float32 `[O]`; of `clamp`: `[2]`.
    """

    op: Literal["mul", "add", "sub", "clamp", "prelu"]
    operand: NDArray[np.float32]

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The results for `[…, O]`."""
        match self.op:
            case "mul":
                return values * self.operand
            case "add":
                return values + self.operand
            case "sub":
                return values - self.operand
            case "prelu":
                return np.where(values >= 0, values, values * self.operand)
        return np.clip(values, *self.operand)


@dataclass(frozen=True)
class ThresholdNetwork:
    """The chain.

    Attributes:
        input_name: Of the file's signature.
        input_shape: Of the file's input, batch 1 included.
        output_name: Of the file's signature.
        output_shape: Of the file's output, batch 1 included.
        grid: The input's numbers.
        stages: In execution order.
        float_steps: What follows the last layer's sums; nothing where the output is bits.
    """

    input_name: str
    input_shape: tuple[int, ...]
    output_name: str
    output_shape: tuple[int, ...]
    grid: InputGrid
    stages: tuple[Stage, ...]
    float_steps: tuple[FloatStep, ...]

    @property
    def layers(self) -> list[Layer]:
        """The stages with weights."""
        return [stage for stage in self.stages if isinstance(stage, Layer)]

    @property
    def has_one_scale(self) -> bool:
        """Whether the largest of the last sums is the largest output: one scale > 0, one offset."""
        factor = math.prod(
            float(step.operand.flat[0]) for step in self.float_steps if step.op == "mul"
        )
        return factor > 0 and all(
            step.op in ("mul", "add", "sub") and bool((step.operand == step.operand.flat[0]).all())
            for step in self.float_steps
        )
