"""State that a layer holds beside its constructor's arguments and its weights.

A layer that is remade from its configuration has lost what was set on it later: a temperature that
a callback anneals, a quantizer's threshold, a function in the place of an activation. It is copied
here attribute by attribute, so that the remade layer computes the same.
"""

import functools
import types
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from onebit.keras import keras, tf

_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.ndarray, np.generic)
_FUNCTIONS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    functools.partial,
    np.ufunc,
    type,
)
_TRAINING_ONLY = (
    keras.constraints.Constraint,
    keras.initializers.Initializer,
    keras.metrics.Metric,
    keras.regularizers.Regularizer,
)
"""Objects that decide nothing at inference."""


class UnknownStateError(Exception):
    """A layer holds something that cannot be copied; the message names it."""


@functools.cache
def _of_every_layer() -> frozenset[str]:
    """The attributes that Keras itself gives every layer, built and called."""
    layer = keras.layers.Activation("linear")
    layer(tf.zeros((1, 1)))
    rest = ("_build_input_shape", "call", "input_spec", "state_spec", "supports_masking")
    return frozenset({*vars(layer), *rest}) - {"activation"}


def copy_state(
    old: keras.layers.Layer, new: keras.layers.Layer, except_for: Collection[str] = ()
) -> None:
    """Gives a remade layer the attributes of the one that it was made from.

    Weights are not copied, they are set afterwards.

    Args:
        old: The layer; it is not changed.
        new: The layer of the same class made from its configuration, built if that one is.
        except_for: Attributes that shall differ.

    Raises:
        UnknownStateError: An attribute differs and cannot be copied.
    """
    _copy(old, new, except_for, set())


def _copy(old: Any, new: Any, except_for: Collection[str], seen: set[int]) -> None:
    if id(old) in seen:
        return
    seen.add(id(old))
    for name, value in list(vars(old).items()):
        if name in except_for or name in _of_every_layer():
            continue
        if _is_own_method(value, old) or name.startswith(("_self_", "_tf_api", "_obj_reference")):
            continue
        other = vars(new).get(name)
        if _is_same(value, other, seen):
            continue
        if not _is_copyable(value):
            if isinstance(old, keras.layers.Layer) and not _is_of_a_library(old):
                raise UnknownStateError(f"{name} of {_name(old)} ({type(value).__name__})")
            continue
        setattr(new, name, value)


def _is_same(value: Any, other: Any, seen: set[int]) -> bool:
    """Whether an attribute needs no copy; the state of layers in it is copied on the way."""
    if value is other or isinstance(value, _TRAINING_ONLY):
        return True
    if isinstance(value, tf.Variable) or type(value) is not type(other):
        return isinstance(value, tf.Variable) and isinstance(other, tf.Variable)
    if isinstance(value, keras.layers.Layer | tf.Module):
        _copy(value, other, (), seen)
        return True
    if isinstance(value, Mapping):
        return value.keys() == other.keys() and all(
            _is_same(value[key], other[key], seen) for key in value
        )
    if isinstance(value, list | tuple):
        return len(value) == len(other) and all(
            _is_same(left, right, seen) for left, right in zip(value, other, strict=True)
        )
    if isinstance(value, np.ndarray | tf.Tensor):
        return _equal_arrays(value, other)
    try:
        return bool(value == other)
    except (TypeError, ValueError):  # what does not compare is copied
        return False


def _equal_arrays(left: Any, right: Any) -> bool:
    if isinstance(left, tf.Tensor) and not (hasattr(left, "numpy") and hasattr(right, "numpy")):
        return True  # symbolic tensors belong to a graph, and stay there
    left, right = np.asarray(left), np.asarray(right)
    return left.dtype == right.dtype and np.array_equal(
        left, right, equal_nan=left.dtype.kind == "f"
    )


def _is_copyable(value: Any) -> bool:
    """Whether two layers may hold the same value: numbers, texts, arrays, functions, and so on."""
    if isinstance(value, Mapping):
        return all(map(_is_copyable, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_copyable, value))
    if isinstance(value, tf.Variable | keras.layers.Layer | tf.Module):
        return False
    return isinstance(value, (*_PLAIN, *_FUNCTIONS, tf.Tensor, tf.DType, tf.TensorShape))


def _is_own_method(value: Any, owner: Any) -> bool:
    return getattr(value, "__self__", None) is owner


def _is_of_a_library(layer: Any) -> bool:
    """Whether a class is Keras' or Larq's, whose objects follow from their arguments."""
    return type(layer).__module__.startswith(("keras.", "tf_keras.", "larq."))


def _name(layer: Any) -> str:
    return f"{getattr(layer, 'name', '')} ({type(layer).__name__})".strip()
