"""Makes larq-zoo's networks the zoo's own: logits instead of softmax, and files that load safely.

larq-zoo's Lambda layers and function quantizers hold Python code, which only larq-zoo's own process
can load; they become registered layers that compute the same.
"""

from __future__ import annotations

import importlib
import logging
from typing import Any

from onebit.errors import OnebitError, first_line
from onebit.keras import keras
from zoo.layers.larq_zoo import AddToLastChannels, BlurPool, SplitChannels, Tanh
from zoo.layers.quantizers import LayerScaledSign, ScaledSign

# Larq warns of latent weights that no gradient reaches; DoReFaNet's reaches all of them.
logging.getLogger("larq.layers_base").setLevel(logging.ERROR)

_QUANTIZERS = {
    "magnitude_aware_sign_unclipped": LayerScaledSign,
    "xnor_weight_scale": ScaledSign,
}
"""Function quantizer of larq-zoo → quantizer with the same values."""


def larq_model(
    name: str,
    factory: str,
    release: str,
    input_shape: tuple[int, int, int],
    classes: int,
    weights: str | None,
    **fields: Any,
) -> keras.Model:
    """A network of larq-zoo without its softmax.

    Args:
        name: What the model is called.
        factory: "module.Factory" below `larq_zoo`.
        release: The folder of Larq's downloaded weights, below `~/.keras/larq/models`.
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        weights: "imagenet" for Larq's trained weights, None for random ones.
        fields: Further fields of the factory.

    Raises:
        ValueError: `weights` is something else, or is "imagenet" with other than 1000 classes.
        OnebitError: The weights are neither here nor can be downloaded.
    """
    if weights not in (None, "imagenet"):
        raise ValueError(f"weights are imagenet or none, not {weights!r}")
    module, _, attribute = factory.rpartition(".")
    make = getattr(importlib.import_module(f"larq_zoo.{module}"), attribute)
    built = make(input_shape=input_shape, num_classes=classes, weights=None, **fields).build()
    if weights is not None:
        if classes != 1000:
            raise ValueError(f"ImageNet's weights have 1000 classes, not {classes}")
        _load(make, built, name, release, fields)
    headless = keras.Model(built.input, built.layers[-1].input, name=name)
    # The copy is made anew from configurations; no layer of larq-zoo's model stays in it.
    copy = keras.models.clone_model(headless, clone_function=_own)
    copy.set_weights(headless.get_weights())
    return keras.Model(copy.inputs, copy.outputs, name=name)


def _load(make: Any, built: keras.Model, name: str, release: str, fields: Any) -> None:
    try:
        trained = make(
            input_shape=built.input_shape[1:], num_classes=1000, weights="imagenet", **fields
        ).build()
    except Exception as error:  # Keras wraps every failure to fetch in a plain Exception
        raise OnebitError(
            f"{name}'s ImageNet weights are not here and cannot be downloaded "
            f"({first_line(error)}); put that file into ~/.keras/larq/models/{release}"
        ) from error
    built.set_weights(trained.get_weights())


def _own(layer: keras.layers.Layer) -> keras.layers.Layer:
    """What takes the place of a layer: the same from its configuration, or a registered one."""
    if isinstance(layer, keras.layers.Lambda):
        return _of_lambda(layer)
    config = layer.get_config()
    if config.get("activation") == "clip_by_value_activation":
        return keras.layers.ReLU(max_value=1.0, name=layer.name)
    replaced: dict[str, Any] = {}
    initializer = getattr(layer, "depthwise_initializer", None)
    if getattr(initializer, "__name__", None) == "blurpool_initializer":
        replaced["depthwise_initializer"] = BlurPool()
    function = getattr(getattr(layer, "kernel_quantizer", None), "__name__", None)
    if function in _QUANTIZERS:
        replaced["kernel_quantizer"] = _QUANTIZERS[function]()
    if isinstance(getattr(layer, "input_quantizer", None), keras.layers.Activation):
        replaced["input_quantizer"] = Tanh()
    return type(layer).from_config({**config, **replaced})


def _of_lambda(layer: keras.layers.Lambda) -> keras.layers.Layer:
    """The layer for a Lambda, told by the ending of its name."""
    ending = layer.name.rpartition("_")[2]
    if ending == "split":
        return SplitChannels(len(layer.output), name=layer.name)
    if ending == "concat":
        return keras.layers.Concatenate(name=layer.name)
    if ending == "merge":
        return AddToLastChannels(name=layer.name)
    if ending == "out":
        return keras.layers.Activation("linear", name=layer.name)
    raise ValueError(f"{layer.name} is a Lambda layer that Onebit does not know")
