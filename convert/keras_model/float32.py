"""Models in other float types, or made for several devices, as plain float32 models.

Larq Compute Engine takes float32 only. A model of the policy mixed_float16 holds float32 weights
and computes in float16; one made in the scope of a distribution strategy holds its weights once per
device. Rebuilt outside, with the same weights, both compute in float32 what they were trained for.
"""

from typing import Any

import numpy as np

from convert.errors import ConversionError
from convert.keras_model.layer_graph import flat_layers
from convert.keras_model.rebuild import CannotRebuildError, Replaced, rebuild
from onebit.keras import keras, lq, tf

FLOATS = ("float16", "bfloat16", "float64")


def plain_float32(model: keras.Model) -> tuple[keras.Model, list[str]]:
    """A model that computes in float32 on one device, and notes about what was changed.

    A model that does so already is returned as it is.

    Raises:
        ConversionError: It does not, and cannot be rebuilt.
    """
    types = _other_types(model)
    distributed = any(_is_distributed(variable) for variable in model.variables)
    if not types and not distributed:
        return model, []
    reason = f"computes in {', '.join(types)}" if types else "was made by a distribution strategy"
    try:
        result = rebuild(model, _in_float32)
    except CannotRebuildError as error:
        how = 'in the policy "float32"' if types else "outside the strategy's scope"
        raise ConversionError(
            f"{model.name} {reason}, LCE takes plain float32 models only, and {error}",
            hint=f"build it again {how}, load its weights, and convert that",
        ) from error
    if not types:
        return result, []
    return result, [
        f"{model.name} {reason}: it was converted, and is compared, with the same weights in "
        "float32"
    ]


def _other_types(model: keras.Model) -> list[str]:
    """The types other than float32 in which a model's layers compute or take floats."""
    layers = [*flat_layers(model), *model.submodules]
    types = {
        str(getattr(layer, "compute_dtype", None))
        for layer in layers
        if isinstance(layer, keras.layers.Layer)
    }
    types |= {variable.dtype.name for variable in model.weights}
    return [name for name in FLOATS if name in types]


def _is_distributed(variable: Any) -> bool:
    return isinstance(variable, tf.distribute.DistributedValues)


def _in_float32(layer: keras.layers.Layer) -> Replaced | None:
    with lq.context.quantized_scope(False):
        weights = [
            w.astype(np.float32) if w.dtype.name in FLOATS else w
            for w in map(np.asarray, layer.get_weights())
        ]
    config = _with_float32(layer.get_config())
    new = layer.__class__.from_config(config)
    return Replaced(new, weights, like=layer, except_for=_DTYPE_ATTRIBUTES)


_DTYPE_ATTRIBUTES = frozenset({"_dtype_policy", "_compute_dtype_object", "_param_dtype"})


def _with_float32(config: Any) -> Any:
    """A configuration with float32 in place of other float types and mixed policies."""
    if isinstance(config, dict):
        if config.get("class_name") == "Policy":
            return "float32"
        return {key: _with_float32(value) for key, value in config.items()}
    if isinstance(config, tuple):
        return tuple(map(_with_float32, config))
    if isinstance(config, list):
        return [_with_float32(value) for value in config]
    if isinstance(config, str) and config.removeprefix("mixed_") in FLOATS:
        return "float32"
    return config
