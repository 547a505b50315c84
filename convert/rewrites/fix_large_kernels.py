"""Quantized kernels that are too large for the converter → plain ones that hold the same numbers.

A Larq layer stores latent weights and quantizes them in the graph. The converter folds that, except
for constants over 2^30 bits (2^25 float weights): such layers stay float, or the conversion dies.
With the quantized numbers themselves as the kernel there is nothing to fold. Tables of embeddings
are the same, but half as large: their quantizer takes a mean in float64 (`centred_sign`).
"""

from convert.keras_model.layer_graph import flat_layers
from convert.keras_model.rebuild import Replaced, rebuild, remade
from onebit.keras import keras, lq

MAX_FOLDED_WEIGHTS = 1 << 25
KINDS = {"kernel": 1, "embeddings": 2}
"""Weight → float32 numbers that one of its numbers takes while it is quantized."""


def fix_large_kernels(model: keras.Model) -> tuple[keras.Model, list[str]]:
    """Replaces kernels of over 2^25 weights, and tables of over 2^24, by their quantized values.

    It does not fire for smaller ones, nor for layers without a quantizer of them.

    Raises:
        CannotRebuildError: The model cannot be taken apart.
    """
    layers = [layer for layer in flat_layers(model) if large_weight(layer)]
    if not layers:
        return model, []

    def replacement(layer: keras.layers.Layer) -> Replaced | None:
        kind = large_weight(layer)
        if kind is None:
            return None
        with lq.context.quantized_scope(True):
            weights = layer.get_weights()
        changes = {f"{kind}_{part}": None for part in ("quantizer", "constraint")}
        config = layer.get_config()
        return remade(layer, {key: changes[key] for key in changes if key in config}, weights)

    return rebuild(model, replacement), [layer.name for layer in layers]


def large_weight(layer: keras.layers.Layer) -> str | None:
    """Which of a layer's quantized weights the converter would not compute, of `KINDS`."""
    for kind, factor in KINDS.items():
        if (
            getattr(layer, f"{kind}_quantizer", None) is not None
            and layer.built
            and factor * getattr(layer, kind).shape.num_elements() > MAX_FOLDED_WEIGHTS
        ):
            return kind
    return None
