"""Verilog text: numbers, weights and the modules that all designs share.

A bit is 1 for +1 and 0 for −1. Vectors hold an image's numbers in the order rows, columns,
channels, the first in the lowest bits. A layer of K products per sum s counts those that are +1,
p = (K + s)/2, and compares with T = ⌈(K + t)/2⌉.
"""

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from convert.targets.thresholds.network import InputGrid, Layer, Stage

HEADER = "// Written by `onebit convert`; do not edit.\n"


def module_name(name: str, number: int, stage: Stage) -> str:
    """The module of a stage: unique, and an identifier whatever the layer is called."""
    return f"{name}_{number}_{re.sub(r'[^A-Za-z0-9_]', '_', stage.name)}"


def width_of(most: int) -> int:
    """The bits of an unsigned number up to `most`."""
    return max(1, int(most).bit_length())


def sum_width(layer: Layer, grid: InputGrid) -> int:
    """The bits of a layer's signed sums."""
    most = layer.fan_in * (-grid.least if layer.reads == "integers" else 1)
    return width_of(most) + 1


def hexadecimal(bits: NDArray[np.bool_]) -> str:
    """A literal of bits, the first being the lowest."""
    octets = np.packbits(np.asarray(bits, bool), bitorder="little").tobytes()
    return f"{len(bits)}'h{int.from_bytes(octets, 'little'):x}"


def numbers(values: Iterable[int], width: int) -> list[str]:
    """Literals of a width, in two's complement."""
    return [f"{width}'h{int(value) % (1 << width):x}" for value in values]


def limits(layer: Layer) -> NDArray[np.int64] | None:
    """Thresholds as the hardware compares: counts of +1 for bits, sums for integers."""
    if layer.thresholds is None or layer.reads == "integers":
        return layer.thresholds
    counts = -((-layer.fan_in - layer.thresholds) // 2)
    return np.clip(counts, 0, layer.fan_in + 1)


def popcount(name: str) -> str:
    """A tree of adders that counts ones; three bits are a full adder."""
    return f"""
module {name}_popcount #(parameter N = 1, parameter W = 1) (
  input [N-1:0] x,
  output [W-1:0] count
);
  generate
    if (N == 1) begin : one
      assign count = x;
    end else if (N <= 3) begin : few
      wire [2:0] bits = x;
      wire [1:0] total = {{(bits[0] & bits[1]) | (bits[2] & (bits[0] ^ bits[1])),
                          bits[0] ^ bits[1] ^ bits[2]}};
      assign count = total;
    end else begin : halves
      wire [W-1:0] low, high;
      {name}_popcount #(.N(N / 2), .W(W)) low_half (.x(x[N/2-1:0]), .count(low));
      {name}_popcount #(.N(N - N / 2), .W(W)) high_half (.x(x[N-1:N/2]), .count(high));
      assign count = low + high;
    end
  endgenerate
endmodule
"""


def adder_tree(name: str) -> str:
    """A tree of adders for signed terms."""
    return f"""
module {name}_total #(parameter N = 1, parameter W = 1) (
  input [N*W-1:0] terms,
  output [W-1:0] total
);
  generate
    if (N == 1) begin : one
      assign total = terms;
    end else begin : halves
      wire [W-1:0] low, high;
      {name}_total #(.N(N / 2), .W(W)) low_half (.terms(terms[N/2*W-1:0]), .total(low));
      {name}_total #(.N(N - N / 2), .W(W)) high_half (.terms(terms[N*W-1:N/2*W]), .total(high));
      assign total = low + high;
    end
  endgenerate
endmodule
"""


def largest(name: str, outputs: int, width: int, label_width: int) -> str:
    """The index of the first of the largest signed sums."""
    return f"""
module {name}_largest (
  input [{outputs * width - 1}:0] sums,
  output reg [{label_width - 1}:0] label
);
  integer i;
  reg signed [{width - 1}:0] best;
  always @* begin
    label = 0;
    best = sums[{width - 1}:0];
    for (i = 1; i < {outputs}; i = i + 1)
      if ($signed(sums[i*{width} +: {width}]) > best) begin
        label = i;
        best = sums[i*{width} +: {width}];
      end
  end
endmodule
"""
