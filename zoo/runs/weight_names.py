"""Names of a model's weights that stay the same when it is saved and loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onebit.keras import keras


def named_weights(model: keras.Model) -> dict[str, Any]:
    """The weights of a model by the names of their layers, `hidden_1/kernel`, in its order.

    Variables' own names do not serve: in a loaded model all kernels are called "kernel". Where a
    layer has several weights of one name, the second is called `attention/kernel_2`.
    """
    layers: dict[int, str] = {}
    for layer in model.layers:
        for variable in layer.weights:
            layers.setdefault(id(variable), f"{layer.name}/")
    found: dict[str, Any] = {}
    for variable in model.weights:
        own = variable.name.rpartition("/")[2].partition(":")[0]
        name = first = layers.get(id(variable), "") + own
        number = 2
        while name in found:
            name, number = f"{first}_{number}", number + 1
        found[name] = variable
    return found
