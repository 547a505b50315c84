"""The order in which a folded design reads its memories, and how much of it at once."""

import math
from dataclasses import dataclass

from convert.targets.network import Window
from convert.targets.thresholds.network import Layer, MaxPool
from convert.targets.verilog import text

PE, SIMD = 4, 32
"""Outputs that a layer computes at once, and bits that it takes in a cycle, at most.

Each is rounded down to a divisor of the layer's outputs and channels.
"""


@dataclass(frozen=True)
class Folding:
    """How much of a layer is computed at once.

    Attributes:
        pe: Outputs, at most.
        simd: Bits of the input, at most.
    """

    pe: int = PE
    simd: int = SIMD


@dataclass(frozen=True)
class Words:
    """An image in a memory.

    Attributes:
        count: Its words.
        numbers: Numbers in a word: the channels of a pixel, or a part of a vector.
        bits: Of a number.
    """

    count: int
    numbers: int
    bits: int

    @property
    def width(self) -> int:
        """Bits of a word."""
        return self.numbers * self.bits

    @property
    def address_width(self) -> int:
        """Bits of an address."""
        return text.width_of(self.count - 1)


def divisor(count: int, most: int) -> int:
    """The largest divisor of a count that is at most `most`."""
    return max(d for d in range(1, most + 1) if count % d == 0)


class Walk:
    """The order in which a stage reads words: pixels, taps, and parts of a word.

    A dense layer reads every word for its one output: a window over an image of one column.
    """

    def __init__(self, stage: Layer | MaxPool, source: Words, folding: Folding) -> None:
        self.source = source
        if isinstance(stage, Layer) and stage.is_dense:
            self.image = (source.count, 1)
            self.window = Window((source.count, 1), (1, 1))
            self.outputs = (1, 1)
        else:
            self.image = (stage.input_shape[0], stage.input_shape[1])
            self.window = stage.window
            self.outputs = (stage.output_shape[0], stage.output_shape[1])
        whole = isinstance(stage, MaxPool) or source.bits > 1
        self.part = source.numbers if whole else divisor(source.numbers, folding.simd)
        self.parts = source.numbers // self.part
        self.taps = math.prod(self.window.size)
        channels = stage.output_shape[2]
        self.pe = channels if isinstance(stage, MaxPool) else divisor(channels, folding.pe)
        self.groups = channels // self.pe
        self.steps = math.prod(self.outputs) * self.groups * self.taps * self.parts

    def counters(self) -> list[tuple[str, int]]:
        """The nested counters, the fastest first, and how far each goes."""
        (rows, columns), (height, width) = self.outputs, self.window.size
        every = [
            ("part", self.parts),
            ("tap_x", width),
            ("tap_y", height),
            ("group", self.groups),
            ("column", columns),
            ("row", rows),
        ]
        return [(name, count) for name, count in every if count > 1]
