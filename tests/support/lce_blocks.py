"""Blocks of binary convolutions for graphs that are built by hand."""

from typing import Any

import numpy as np

from .lce_graphs import Graph


class Builder:
    """A graph with a float input `[1, H, W, C]` whose convolutions keep its size."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.g = Graph()
        self.channels = int(self.rng.choice([32, 40, 64, 96]))
        self.shape = [1, *map(int, self.rng.integers(3, 9, 2)), self.channels]
        self.x = self.g.tensor(self.shape)

    def conv(self, bits: int, channels_in: int, outputs: int, out_type: Any = np.float32) -> int:
        """A binary convolution 3×3 with random weights, scales and biases, or thresholds."""
        rng = self.rng
        filters = rng.choice([-1, 1], (outputs, 3, 3, channels_in))
        if out_type == np.int32:
            middle = 9 * channels_in // 2
            limits = rng.integers(middle - 20, middle + 20, outputs)
            constants = {"thresholds": limits}
        else:
            # Powers of two: sums are exact, so that any order of rounding gives the same signs.
            scale = 2.0 ** rng.integers(-4, 1, outputs) * rng.choice([-1, 1], outputs)
            constants = {"scale": scale, "bias": rng.integers(-8, 9, outputs) / 4}
        return self.g.bconv(bits, filters, channels_in=channels_in, out_type=out_type, **constants)


def residual_model(layers: int = 3) -> tuple[bytes, list[int]]:
    """A chain of residual blocks, and the shape of its input."""
    builder = Builder(5)
    value = builder.x
    for _ in range(layers):
        bits = builder.g.quantize(value)
        value = builder.g.add(builder.conv(bits, builder.channels, builder.channels), value)
    return builder.g.build([builder.x], [value]), builder.shape
