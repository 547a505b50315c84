"""Weights of a PyTorch model in a Keras model of the same layers, by a map of names.

The map is JSON. Its keys are names in the file, of modules or of single tensors; its values name a
layer or a weight of the Keras model, or are null for what is left out:

    {"conv1": "conv_1_1", "bn1": "conv_1_1_bn", "scale": "scale/alpha", "aux_head": null,
     "fc1": {"to": "hidden_1", "flatten": "CHW"}}

A value that is an object has these keys besides `to`:

    flatten   of what comes behind a Flatten: "CHW" where the values of an image came channel by
              channel, as PyTorch's do, "HWC" where they came pixel by pixel, as Keras' do
    epsilon   of a batch normalisation there, 1e-5 unless it says otherwise

Layouts become Keras': kernels `[O, I]` → `[I, O]` and `[O, I, H, W]` → `[H, W, I, O]` (transposed
convolutions `[I, O, H, W]` → `[H, W, O, I]`), depthwise ones `[C·M, 1, H, W]` → `[H, W, C, M]`.
Batch normalisation divides by √(σ² + ε); σ² takes the difference between both ε.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit import files
from onebit.errors import OnebitError
from onebit.keras import keras, lq, tf
from zoo.runs.tensor_files import Arrays
from zoo.runs.weight_names import named_weights

TORCH_EPSILON = 1e-5
"""Of PyTorch's batch normalisations, unless they are made with another."""

PARTS = {
    "weight": ("kernel", "depthwise_kernel", "gamma", "embeddings"),
    "bias": ("bias", "beta"),
    "running_mean": ("moving_mean",),
    "running_var": ("moving_variance",),
}
"""Tensors of a PyTorch module → their names in Keras' layers."""

COUNTER = "num_batches_tracked"
"""A tensor of PyTorch's batch normalisation that Keras has no use for."""

ORDERS = ("CHW", "HWC")

_FLATTENING = (keras.layers.Flatten, keras.layers.Reshape)


@dataclass(frozen=True)
class Place:
    """Where a module or tensor goes.

    Attributes:
        to: The name of a layer or of a weight; None for what is left out.
        flatten: One of `ORDERS`, or None.
        epsilon: ε of a batch normalisation over there.
    """

    to: str | None
    flatten: str | None = None
    epsilon: float = TORCH_EPSILON


def read_map(path: Path) -> dict[str, Place]:
    """The map in a JSON file.

    Raises:
        OnebitError: The file is missing, is not JSON, or is not such a map.
    """
    content = files.read_json(path)
    if not isinstance(content, dict):
        raise OnebitError(f"{path} is not a JSON object of names")
    places = {}
    for key, value in content.items():
        entry = value if isinstance(value, dict) else {"to": value}
        fault = _fault_of(entry)
        if fault:
            raise OnebitError(f"{path}: {key} {fault}")
        places[key] = Place(**entry)
    return places


def _fault_of(entry: Mapping[str, Any]) -> str | None:
    """The fault of a value of the map, as the end of a message; None if there is none."""
    unknown = entry.keys() - {"to", "flatten", "epsilon"}
    if unknown:
        return f"has unknown keys: {', '.join(sorted(unknown))}"
    if "to" not in entry or not isinstance(entry["to"], str | None):
        return "must name a layer or weight, or be null"
    if entry.get("flatten") not in (None, *ORDERS):
        return f"has a flatten that is none of {', '.join(ORDERS)}"
    epsilon = entry.get("epsilon", TORCH_EPSILON)
    if not isinstance(epsilon, int | float) or not 0 <= epsilon < math.inf:
        return "has an epsilon that is not a number from 0"
    return None


def load_state_dict(
    model: keras.Model, tensors: Arrays, places: Mapping[str, Place], source: str = "the file"
) -> None:
    """Gives a Keras model the weights of a PyTorch state dict; latent ones stay as they are.

    Args:
        model: A model whose every weight the map must name.
        tensors: The state dict.
        places: Name of a module or tensor → where it goes.
        source: What the tensors are called in messages.

    Raises:
        OnebitError: Weights are missing, tensors are left over, or shapes differ; the message
            names all of them, and the model is unchanged.
    """
    faults = _Faults()
    weights = named_weights(model)
    values: dict[str, NDArray[Any]] = {}
    for tensor, name, place in _destinations(model, tensors, places, weights, faults):
        if name in values:
            faults.twice.append(name)
        value = _in_keras_layout(model, weights, tensor, tensors[tensor], name, place, faults)
        values[name] = value
        if value.shape != tuple(weights[name].shape):
            faults.shapes.append(
                f"{tensor} becomes {list(value.shape)}, {name} is {list(weights[name].shape)}"
            )
        elif not np.isfinite(value).all():
            faults.not_finite.append(tensor)
    faults.missing += [name for name in weights if name not in values]
    problem = str(faults)
    if problem:
        raise OnebitError(f"{source} does not fit {model.name}: {problem}")
    # Under Larq's quantized scope variables would take signs.
    with lq.context.quantized_scope(False):
        for name, weight in weights.items():
            weight.assign(values[name])


@dataclass
class _Faults:
    """Everything in which a state dict, a map and a model do not fit, by kind."""

    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    not_finite: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kinds = {
            "nothing is mapped to": self.missing,
            "tensors that the map does not name": self.unused,
            "names in the map that the file lacks": self.absent,
            "names in the map that the model lacks": self.unknown,
            "several tensors are mapped to": self.twice,
            'the map must give the order of flattened values ("flatten": "CHW", as PyTorch has '
            "it, or HWC) for": self.orders,
            "other shapes": self.shapes,
            "not finite": self.not_finite,
        }
        return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names)


def _destinations(
    model: keras.Model,
    tensors: Arrays,
    places: Mapping[str, Place],
    weights: Mapping[str, Any],
    faults: _Faults,
) -> Iterator[tuple[str, str, Place]]:
    """Each mapped tensor with the name of its weight."""
    layers = {layer.name for layer in model.layers}
    left = dict.fromkeys(name for name in tensors if name.rpartition(".")[2] != COUNTER)
    for key, place in places.items():
        below = [name for name in left if name.startswith(f"{key}.")]
        if key not in tensors and not below:
            faults.absent.append(key)
        elif place.to is None:
            for name in [key, *below]:
                left.pop(name, None)
        elif key in tensors:
            left.pop(key, None)
            if place.to in weights:
                yield key, place.to, place
            else:
                faults.unknown.append(place.to)
        elif place.to not in layers:
            faults.unknown.append(place.to)
            left = {name: None for name in left if name not in below}
        else:
            for name in below:
                parts = PARTS.get(name.removeprefix(f"{key}."), ())
                found = [f"{place.to}/{part}" for part in parts if f"{place.to}/{part}" in weights]
                if found:
                    left.pop(name)
                    yield name, found[0], place
    faults.unused += left


def _in_keras_layout(
    model: keras.Model,
    weights: Mapping[str, Any],
    tensor: str,
    value: NDArray[Any],
    name: str,
    place: Place,
    faults: _Faults,
) -> NDArray[np.float32]:
    """A tensor as Keras' weight of that name holds it."""
    layer_name, _, part = name.rpartition("/")
    layer = model.get_layer(layer_name) if layer_name else None
    value = value.astype(np.float32)
    if part == "kernel" and value.ndim > 1:
        value = value.T if value.ndim == 2 else np.moveaxis(value, (0, 1), (-1, -2))
    elif part == "depthwise_kernel" and value.ndim == 4:
        channels = weights[name].shape[2]
        height, width = value.shape[2:]
        value = value.transpose(2, 3, 0, 1).reshape(height, width, channels, -1)
    elif part == "moving_variance" and layer is not None:
        value = value + np.float32(place.epsilon - layer.epsilon)
    shape = _flattened(layer) if layer is not None and part != "bias" else None
    if shape and value.ndim <= 2 and len(value) == math.prod(shape):
        if place.flatten is None:
            faults.orders.append(tensor)
        elif place.flatten == "CHW":
            channels_first = value.reshape(shape[-1], *shape[:-1], *value.shape[1:])
            value = np.moveaxis(channels_first, 0, len(shape) - 1).reshape(value.shape)
    return np.ascontiguousarray(value)


def _flattened(layer: keras.layers.Layer) -> tuple[int, ...] | None:
    """The shape `[H, W, C]` that is flattened before the layer, where the order matters.

    By a Flatten, or a Reshape to one dimension. The order does not matter with a single channel or
    a single pixel, nor behind a layer that mixes the values.
    """
    while layer.inbound_nodes:
        before = tf.nest.flatten(layer.inbound_nodes[0].inbound_layers)
        if len(before) != 1:
            return None
        (layer,) = before
        if isinstance(layer, _FLATTENING) and len(layer.output_shape) == 2:
            shape = tuple(layer.input_shape[1:])
            matters = shape and shape[-1] > 1 and math.prod(shape[:-1]) > 1
            return shape if matters else None
        if hasattr(layer, "kernel"):
            return None
    return None
