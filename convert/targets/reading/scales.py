"""Scales and biases behind a packed filter → a part of the operator with the filter."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from convert.targets.network import Elementwise, Filtered, Operator, Value


def merge_scales(
    operators: list[Operator], values: dict[int, Value], outputs: Sequence[int]
) -> list[Operator]:
    """Operators with the MUL by scales and the ADD of biases behind a packed filter put into it.

    `act((Σ x·w + 0)·scale + bias)` in the file's order of roundings: what cannot be said that way
    stays as it is.
    """
    kept: list[Operator] = []
    by_output: dict[int, int] = {}  # value → position in `kept` of a layer that ends in it
    for operator in operators:
        layer = next((kept[by_output[i]] for i in operator.inputs if i in by_output), None)
        merged = None
        if (
            isinstance(layer, Filtered)
            and isinstance(operator, Elementwise)
            and _reads(operators, layer.output) == 1
            and layer.output not in outputs
        ):
            merged = _merged(layer, operator, values)
        if merged is None or not isinstance(layer, Filtered):
            if isinstance(operator, Filtered) and operator.is_binary:
                by_output[operator.output] = len(kept)
            kept.append(operator)
            continue
        position = by_output.pop(layer.output)
        # Nothing reads the layer before the operator that it is merged with.
        kept[position] = merged
        by_output[merged.output] = position
    return kept


def _reads(operators: list[Operator], index: int) -> int:
    return sum(operator.inputs.count(index) for operator in operators)


def _merged(layer: Filtered, operator: Elementwise, values: dict[int, Value]) -> Filtered | None:
    """A float layer with the operation behind it, or None where its roundings would differ."""
    operands = [values[i].constant for i in operator.inputs if i != layer.output]
    channels = values[layer.output].shape[-1]
    if len(operands) != 1 or operands[0] is None or layer.activation != "none":
        return None
    constant = operands[0]
    if constant.dtype != np.float32 or constant.shape not in ((channels,), (1,), ()):
        return None
    constant = np.broadcast_to(constant.reshape(-1), (channels,))
    fields: dict[str, Any] = {"output": operator.output, "activation": operator.activation}
    no_bias = layer.bias is None or not layer.bias.any()
    if operator.op == "MUL" and layer.scale is None and no_bias:
        return dataclasses.replace(layer, scale=constant, bias=None, **fields)
    if operator.op == "ADD" and no_bias:
        return dataclasses.replace(layer, bias=constant, **fields)
    return None
