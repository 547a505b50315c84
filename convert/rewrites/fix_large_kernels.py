"""Quantized kernels that are too large for the converter → plain ones that hold the same numbers.

A Larq layer stores latent weights and quantizes them in the graph. The converter folds that, except
for constants over 2^30 bits (2^25 float weights): such layers stay float, or the conversion dies.
With the quantized numbers themselves as the kernel there is nothing to fold.
"""

from convert.keras_model.layer_graph import flat_layers
from convert.keras_model.rebuild import Replaced, rebuild, remade
from onebit.keras import keras, lq

MAX_FOLDED_WEIGHTS = 1 << 25


def fix_large_kernels(model: keras.Model) -> tuple[keras.Model, list[str]]:
    """Replaces the kernels of over 2^25 weights by their quantized values.

    It does not fire for smaller kernels, nor for layers without a kernel quantizer.

    Raises:
        CannotRebuildError: The model cannot be taken apart.
    """
    layers = [layer for layer in flat_layers(model) if has_large_kernel(layer)]
    if not layers:
        return model, []

    def replacement(layer: keras.layers.Layer) -> Replaced | None:
        if not has_large_kernel(layer):
            return None
        with lq.context.quantized_scope(True):
            weights = layer.get_weights()
        return remade(layer, {"kernel_quantizer": None, "kernel_constraint": None}, weights)

    return rebuild(model, replacement), [layer.name for layer in layers]


def has_large_kernel(layer: keras.layers.Layer) -> bool:
    """Whether the converter would not compute a layer's quantized kernel."""
    return (
        getattr(layer, "kernel_quantizer", None) is not None
        and layer.built
        and layer.kernel.shape.num_elements() > MAX_FOLDED_WEIGHTS
    )
