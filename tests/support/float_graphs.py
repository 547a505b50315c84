"""Float `.tflite` files with binary layers in them, as converters other than LCE's write them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.support.lce_graphs import Graph, schema, windows

CODES = schema.BuiltinOperator


class FloatGraph(Graph):
    """Adds the operators that signs are made of."""

    def op(self, name: str, *inputs: int, dtype: Any = np.float32, shape: Any = None) -> int:
        """An operator without options, or with their defaults; its output has the first's shape."""
        out = self.tensor(shape or self.shape(inputs[0]), dtype)
        options = {"ADD": schema.AddOptionsT, "SUB": schema.SubOptionsT, "MUL": schema.MulOptionsT}
        kind = options.get(name)
        builtin = None
        if kind is not None:
            builtin = (getattr(schema.BuiltinOptions, kind.__name__.removesuffix("T")), kind())
        self.operator(getattr(CODES, name), inputs, [out], builtin=builtin)
        return out

    def number(self, value: Any, dtype: Any = np.float32) -> int:
        """A constant without dimensions, or an array of float32."""
        return self.constant(np.asarray(value, dtype))

    def sign(self, value: int) -> int:
        """Larq's sign: SIGN(SIGN(x) + 0.1)."""
        return self.op("SIGN", self.op("ADD", self.op("SIGN", value), self.number(0.1)))

    def pad(self, value: int, widths: Sequence[tuple[int, int]], number: float) -> int:
        """PADV2 of rows and columns."""
        all_widths = np.array([(0, 0), *widths, (0, 0)], np.int32)
        shape = np.add(self.shape(value), all_widths.sum(1)).tolist()
        inputs = [value, self.constant(all_widths), self.number(number)]
        out = self.tensor(shape)
        builtin = (schema.BuiltinOptions.PadV2Options, schema.PadV2OptionsT())
        self.operator(CODES.PADV2, inputs, [out], builtin=builtin)
        return out


def binary_weights(random: np.random.Generator, shape: Sequence[int], scales: bool) -> np.ndarray:
    """A filter `[O, …]` of ±1, or of ±r[o]."""
    signs = random.choice(np.array([-1, 1], np.float32), size=shape)
    if not scales:
        return signs
    rows = random.uniform(0.1, 2, shape[0]).astype(np.float32)
    return signs * rows.reshape(-1, *[1] * (len(shape) - 1))


__all__ = ["CODES", "FloatGraph", "binary_weights", "schema", "windows"]
