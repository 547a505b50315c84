"""One LceBconv2d with random data, its file, and NumPy's result."""

import zlib

import numpy as np

from onebit.bits import pack

from .lce_graphs import ABSENT, Graph, bconv_options
from .lce_oracle import activate, convolve

DEFAULTS = {
    "batch": 1,
    "size": (5, 6),
    "channels_in": 64,
    "channels_out": 32,
    "kernel": (3, 3),
    "stride": (1, 1),
    "dilation": (1, 1),
    "groups": 1,
    "same": True,
    "pad_values": 1,
    "activation": 0,
    "output": "float",
}


def seed_of(params):
    """The same numbers for the same case, whatever its place in the list."""
    return zlib.crc32(repr(sorted(params.items())).encode())


class Problem:
    """Random data for one case; scales are negative, zero and positive."""

    def __init__(self, c):
        self.case = c
        rng = np.random.default_rng(seed_of(c))
        o, depth = c["channels_out"], c["channels_in"] // c["groups"]
        self.x = rng.standard_normal((c["batch"], *c["size"], c["channels_in"])).astype(np.float32)
        self.x.flat[:: max(1, self.x.size // 5)] = [0.0]
        self.filters = rng.choice([-1, 1], (o, *c["kernel"], depth))
        self.multiplier = rng.standard_normal(o).astype(np.float32)
        self.multiplier[:: max(1, o // 3)] = 0
        self.bias = rng.standard_normal(o).astype(np.float32)
        self.products = depth * c["kernel"][0] * c["kernel"][1]
        spread = int(2 * self.products**0.5) + 2
        middle = self.products // 2
        self.thresholds = rng.integers(middle - spread, middle + spread, o).astype(np.int32)
        self.thresholds[:: max(1, o // 2)] = rng.choice([-(2**31), 2**31 - 1, middle])
        self.scale, self.zero_point = 0.07, 3
        self.dots = convolve(
            self.x, self.filters, stride=c["stride"], dilation=c["dilation"], same=c["same"],
            pad_values=c["pad_values"], groups=c["groups"],
        )  # fmt: skip

    def model(self):
        c, g = self.case, Graph()
        x = g.tensor(self.x.shape)
        shape = [*self.dots.shape[:3], self.dots.shape[3]]
        constants = [
            g.constant(pack(self.filters)),
            g.constant(self.multiplier),
            g.constant(self.bias),
            ABSENT,
        ]
        if c["output"] == "float":
            out = g.tensor(shape)
        elif c["output"] == "int8":
            out = g.tensor(shape, np.int8, scale=self.scale, zero_point=self.zero_point)
        else:
            out = g.tensor([*shape[:3], -(-shape[3] // 32)], np.int32)
            constants = [constants[0], ABSENT, ABSENT, g.constant(self.thresholds)]
        g.operator("LceBconv2d", [g.quantize(x), *constants], [out], bconv_options(c))
        if c["output"] == "bits":
            out = g.dequantize(out, shape[3])
        return g.build([x], [out])

    def expected(self):
        """NumPy's result; int8 as a float before rounding."""
        c = self.case
        if c["output"] == "bits":
            # a = (K - dot) / 2, an integer unless zero padding left out an odd number of products.
            return np.where(self.products - self.dots > 2 * self.thresholds.astype(np.int64), -1, 1)
        values = (
            activate(self.dots, c["activation"]) * self.multiplier.astype(np.float64) + self.bias
        )
        return values / self.scale + self.zero_point if c["output"] == "int8" else values

    def tolerance(self):
        """Float output: folded bias, product and sum round once each, at K·|m| + |b| or less."""
        return (
            2 * 2.0**-24 * (2 * self.products * np.abs(self.multiplier) + np.abs(self.bias)) * 1.5
        )
