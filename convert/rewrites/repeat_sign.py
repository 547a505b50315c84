"""A sign that is separate from its layer is repeated in the layer.

Larq Compute Engine makes a layer binary only if its input comes straight from a sign, and the
rewrites behind this one look at `input_quantizer`. Between a sign and its layer there may be others
that move ±1 or pick some of them (Flatten, Reshape, Permute, Dropout, max-pooling):

    sign → Flatten → QuantDense(kernel)   →   sign → Flatten → QuantDense(sign, kernel)

Exact, because sign(±1) = ±1.
"""

from convert.keras_model.layer_graph import KEEPS_VALUES, LayerGraph, nested_models
from convert.keras_model.rebuild import Replaced, rebuild, remade
from onebit.keras import keras, lq

_LAYERS = (lq.layers.QuantDense, lq.layers.QuantConv1D, lq.layers.QuantConv2D)


def repeat_sign(model: keras.Model) -> tuple[keras.Model, list[str]]:
    """Gives layers without an input quantizer a sign if their inputs are ±1 already.

    It does not fire where a layer has an input quantizer, where the inputs pass through anything
    that changes numbers (a normalisation, an addition, zero padding), for layers used twice, nor
    for a QuantConv2D straight behind its sign, which LCE makes binary as it is.

    Raises:
        CannotRebuildError: The model cannot be taken apart.
    """
    layers = {
        id(layer): layer
        for inner in nested_models(model)
        for layer in _layers_with_separate_sign(inner)
    }
    if not layers:
        return model, []

    def replacement(layer: keras.layers.Layer) -> Replaced | None:
        if id(layer) not in layers:
            return None
        return remade(layer, {"input_quantizer": "ste_sign"})

    return rebuild(model, replacement), [layer.name for layer in layers.values()]


def _layers_with_separate_sign(model: keras.Model) -> list[keras.layers.Layer]:
    graph = LayerGraph(model)
    found = []
    for layer in model.layers:
        if (
            not isinstance(layer, _LAYERS)
            or layer.input_quantizer is not None
            or layer.kernel_quantizer is None
        ):
            continue
        sign = graph.sign_behind(layer)
        if sign is None:
            continue
        # LCE looks through max-pooling and nothing at all, but not through a reshape.
        hidden = any(isinstance(step, KEEPS_VALUES) for step in sign[1])
        if hidden or not isinstance(layer, lq.layers.QuantConv2D):
            found.append(layer)
    return found
