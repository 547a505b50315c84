"""The cost of a model, layer by layer: parameters, bits, multiply-accumulates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onebit.keras import keras

FLOAT_BITS = 32


def layer_records(model: keras.Model) -> list[dict[str, Any]]:
    """One record per layer with weights or products of activations.

    `weight_bits` and `input_bits` are what one weight and one input take, None where a layer does
    not multiply by a kernel; an embedding's table counts as weights, but multiplies nothing.
    `macs` counts one image's or text's multiply-accumulates.
    """
    return [_record(layer) for layer in model.layers if layer.weights or _product_macs(layer)]


def _product_macs(layer: keras.layers.Layer) -> int:
    """Multiply-accumulates of activations with activations, as in attention."""
    return getattr(layer, "product_macs", 0)


def _record(layer: keras.layers.Layer) -> dict[str, Any]:
    kind = "depthwise" if hasattr(layer, "depthwise_kernel") else "kernel"
    kernel = getattr(layer, "depthwise_kernel", getattr(layer, "kernel", None))
    table = getattr(layer, "embeddings", None)
    table_quantizer = getattr(layer, "embeddings_quantizer", None)
    output = layer.output_shape[1:]
    pixels = math.prod(output[:-1])
    kernel_bits = _bits(getattr(layer, f"{kind}_quantizer", None))
    kernel_count = 0 if kernel is None else math.prod(kernel.shape)
    table_count = 0 if table is None else math.prod(table.shape)
    table_bits = _bits(table_quantizer)
    parameters = layer.count_params()
    real = parameters - kernel_count - table_count
    return {
        "layer": layer.name,
        "type": type(layer).__name__,
        "output_shape": list(output),
        "parameters": parameters,
        "bits": kernel_count * kernel_bits + table_count * table_bits + real * FLOAT_BITS,
        "weight_bits": kernel_bits if kernel_count else table_bits if table_count else None,
        "input_bits": _bits(getattr(layer, "input_quantizer", None)) if kernel_count else None,
        "macs": kernel_count * pixels + _product_macs(layer),
    }


def _bits(quantizer: Any) -> int:
    return getattr(quantizer, "precision", None) or FLOAT_BITS


def totals(records: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Sums over `layer_records`.

    `binary_macs` have binary weights and inputs, `binary_weight_macs` binary weights only; the rest
    of `macs` is float.
    """
    binary = [r for r in records if r["weight_bits"] == 1]
    return {
        "parameters": sum(r["parameters"] for r in records),
        "bits": sum(r["bits"] for r in records),
        "macs": sum(r["macs"] for r in records),
        "binary_macs": sum(r["macs"] for r in binary if r["input_bits"] == 1),
        "binary_weight_macs": sum(r["macs"] for r in binary if r["input_bits"] != 1),
    }
