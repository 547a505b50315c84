"""Makes larq-zoo's networks the zoo's own: logits instead of softmax, and files that load safely.

larq-zoo's Lambda layers and function quantizers hold Python code, which only larq-zoo's own process
can load; they become registered layers that compute the same.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from onebit.keras import keras
from zoo.layers.larq_zoo import AddToLastChannels, BlurPool, SplitChannels, Tanh
from zoo.layers.quantizers import LayerScaledSign, ScaledSign
from zoo.models import Paper, register_model
from zoo.models._imagenet_weights import CLASSES, check_weights, trained

_QUANTIZERS = {
    "magnitude_aware_sign_unclipped": LayerScaledSign,
    "xnor_weight_scale": ScaledSign,
}
"""Function quantizer of larq-zoo → quantizer with the same values."""


@dataclass(frozen=True)
class Option:
    """An option of a network beside the image's shape and the classes.

    Attributes:
        name: What the zoo calls it.
        field: The field of larq-zoo's factory.
        default: Its default.
        meaning: A sentence for the docstring.
    """

    name: str
    field: str
    default: Any
    meaning: str


@dataclass(frozen=True)
class LarqNetwork:
    """A network that larq-zoo builds.

    Attributes:
        name: Registry name.
        factory: "module.Factory" below `larq_zoo`.
        release: The folder of Larq's downloaded weights, below `~/.keras/larq/models`; None where
            Larq has no trained weights.
        family: As in `zoo.models.Model`.
        kind: As in `zoo.models.Model`.
        paper: As in `zoo.models.Model`.
        summary: The first line of the builder's docstring.
        options: Options beside `input_shape`, `classes` and `weights`.
        depths: Attributes of the factory's class in which the network differs from it.
    """

    name: str
    factory: str
    release: str | None
    family: str
    kind: str
    paper: Paper | None
    summary: str
    options: tuple[Option, ...] = ()
    depths: Mapping[str, Any] = field(default_factory=dict)


def register_larq_network(network: LarqNetwork) -> None:
    """Registers a function that builds the network, with its options as parameters."""

    def builder(
        input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, **chosen: Any
    ) -> keras.Model:
        weights = chosen.pop("weights", None)
        values = {option.name: option.default for option in network.options} | chosen
        fields = {option.field: values[option.name] for option in network.options}
        return _build(network, input_shape, classes, weights, fields)

    parameters = list(inspect.signature(builder).parameters.values())[:2]
    extra: list[tuple[str, Any, Any]] = [
        (option.name, option.default, tuple[int, ...] if isinstance(option.default, tuple) else int)
        for option in network.options
    ]
    lines = [
        "input_shape: `[H, W, C]` of an image.",
        "classes: Outputs.",
        *(f"{option.name}: {option.meaning}" for option in network.options),
    ]
    if network.release is not None:
        extra.append(("weights", None, str | None))
        lines.append(
            'weights: "imagenet" for Larq\'s trained ones (downloaded once), None for random ones.'
        )
    for name, default, type_ in extra:
        parameter = inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=type_
        )
        parameters.append(parameter)
        builder.__annotations__[name] = type_
    builder.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    builder.__name__ = builder.__qualname__ = network.name
    indented = "\n    ".join(lines)
    builder.__doc__ = f"{network.summary}\n\nArgs:\n    {indented}\n"
    register_model(family=network.family, kind=network.kind, paper=network.paper)(builder)


def _build(
    network: LarqNetwork,
    input_shape: tuple[int, int, int],
    classes: int,
    weights: str | None,
    fields: Mapping[str, Any],
) -> keras.Model:
    """A network of larq-zoo without its softmax.

    Raises:
        ValueError: `weights` is unknown, or is "imagenet" with other than 1000 classes.
        OnebitError: The weights are neither here nor can be downloaded.
    """
    check_weights(weights, classes)
    import zookeeper  # comes with larq-zoo

    module, _, attribute = network.factory.rpartition(".")
    make = getattr(importlib.import_module(f"larq_zoo.{module}"), attribute)
    if network.depths:
        make = zookeeper.factory(type(network.name, (make,), {**network.depths}))
    with _without_larq_warnings():
        built = make(input_shape=input_shape, num_classes=classes, weights=None, **fields).build()
        if weights is not None:
            _load(make, built, network, fields)
        headless = keras.Model(built.input, built.layers[-1].input, name=network.name)
        # The copy is made from configurations; no layer of larq-zoo's model stays in it.
        copy = keras.models.clone_model(headless, clone_function=_own)
    copy.set_weights(headless.get_weights())
    return keras.Model(copy.inputs, copy.outputs, name=network.name)


@contextlib.contextmanager
def _without_larq_warnings() -> Iterator[None]:
    """Silences Larq's warning about latent weights without gradients, false for DoReFaNet."""
    logger = logging.getLogger("larq.layers_base")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _load(make: Any, built: keras.Model, network: LarqNetwork, fields: Mapping[str, Any]) -> None:
    def theirs() -> keras.Model:
        shape = built.input_shape[1:]
        return make(input_shape=shape, num_classes=CLASSES, weights="imagenet", **fields).build()

    folder = f"~/.keras/larq/models/{network.release}"
    built.set_weights(trained(network.name, theirs, folder).get_weights())


def _own(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Replaces a layer of larq-zoo: by one from its configuration, or by a registered one."""
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
    """The layer for a Lambda, which the ending of its name identifies."""
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
