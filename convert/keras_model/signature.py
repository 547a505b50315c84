"""The inputs and outputs of a Keras model: order, names, shapes and types, and how to call it.

A model takes a tensor, a list, a dict or any nesting of these, and its `call` may take several. A
`.tflite` file takes a flat list. The flat order here is Keras' own (that of `tf.nest.flatten`, so
dicts by their sorted keys, then keyword arguments); each entry has one name:

    dict                         its key
    several arguments of `call`  the argument's name
    otherwise                    the name that Keras gives it, such as the Input layer's
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.samples import filled, joined
from convert.tflite.signature import unique_names
from onebit.keras import keras, tf


@dataclass(frozen=True)
class Signature:
    """The inputs of a Keras model in Keras' order.

    Attributes:
        specs: Shape (batch first), type and name of each input; names are unique.
        aliases: The names that Keras' layers or arguments have for the same inputs.
        structure: The arguments and keyword arguments of a call, with a spec for each tensor.
    """

    specs: tuple[tf.TensorSpec, ...]
    aliases: tuple[str, ...]
    structure: tuple[list[Any], dict[str, Any]]

    @property
    def names(self) -> list[str]:
        """The names of the inputs."""
        return [spec.name for spec in self.specs]

    @property
    def batch(self) -> int | None:
        """The batch size that the model is built for; None when it takes any."""
        sizes = {spec.shape[0] for spec in self.specs} - {None}
        return int(sizes.pop()) if len(sizes) == 1 else None

    def call(self, model: keras.Model, tensors: Sequence[tf.Tensor]) -> Any:
        """Runs a model at inference on one tensor per input; gives its outputs as it nests them."""
        arguments, keywords = tf.nest.pack_sequence_as(self.structure, list(tensors))
        return model(*arguments, training=False, **keywords)


def signature_of(model: keras.Model) -> Signature:
    """The signature of a built model, subclassed ones included.

    Raises:
        ConversionError: A dimension other than the batch is unknown, for which LCE would silently
            take 1; an input has no batch or is not a dense tensor; or the model was never called,
            and takes nothing yet.
    """
    called = model.save_spec() if model.built else None
    if called is None:
        raise not_built(model)
    arguments, keywords = list(called[0]), dict(called[1])
    while arguments and arguments[-1] is None:  # an optional argument that was not given
        arguments.pop()
    names, aliases = [], []
    for path, spec in _leaves((arguments, keywords)):
        if not isinstance(spec, tf.TensorSpec):
            raise ConversionError(
                f"{model.name} takes an argument that is not a dense tensor: {spec}",
                hint="a .tflite file takes dense tensors only: give the argument a default value",
            )
        aliases.append(spec.name or "")
        names.append(_input_name(model, path, spec, len(arguments)))
        _check_shape(model, names[-1], spec.shape)
    unique = unique_names(names)
    flat = [
        tf.TensorSpec(spec.shape, spec.dtype, name)
        for name, spec in zip(unique, tf.nest.flatten((arguments, keywords)), strict=True)
    ]
    structure = tf.nest.pack_sequence_as((arguments, keywords), flat)
    return Signature(tuple(flat), tuple(aliases), structure)


def not_built(model: keras.Model) -> ConversionError:
    """The error for a model that does not know its inputs yet."""
    return ConversionError(
        f"{model.name} is not built", hint="call it on data once, or give its input"
    )


def _input_name(model: keras.Model, path: tuple[Any, ...], spec: tf.TensorSpec, count: int) -> str:
    """The name of the input at a path of `(arguments, keywords)`."""
    keys = [key for key in path[1:] if isinstance(key, str)]
    if keys:
        return keys[-1]
    if path[0] == 0 and count > 1 and len(path) == 2:
        parameters = [
            name
            for name, parameter in inspect.signature(model.call).parameters.items()
            if parameter.kind != inspect.Parameter.VAR_POSITIONAL
        ]
        if path[1] < len(parameters):
            return parameters[path[1]]
    return spec.name or "input"


def _check_shape(model: keras.Model, name: str, shape: tf.TensorShape) -> None:
    sizes = shape.as_list() if shape.rank is not None else None
    if not sizes:
        raise ConversionError(
            f"input {name} of {model.name} has no batch dimension",
            hint="build the model with keras.Input(shape=(…numbers…))",
        )
    if None in sizes[1:]:
        raise ConversionError(
            f"input {name} of {model.name} has the shape {sizes}: a .tflite file for LCE needs "
            "fixed sizes",
            hint="build the model with keras.Input(shape=(…numbers…))",
        )


def output_names(model: keras.Model, outputs: Any) -> list[str]:
    """The names of a model's outputs, in Keras' order.

    Args:
        model: The model.
        outputs: What it gave, as it nests them.
    """
    paths = [path for path, _ in _leaves(outputs)]
    known = model.output_names or [f"output_{i}" for i in range(1, len(paths) + 1)]
    names = []
    for path, name in zip(paths, _padded(known, len(paths)), strict=True):
        keys = [key for key in path if isinstance(key, str)]
        names.append(keys[-1] if keys else name)
    return unique_names(names)


def _leaves(structure: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The path and value of each leaf, in the order of `tf.nest.flatten`."""
    if isinstance(structure, Mapping):
        for key in sorted(structure):
            yield from _leaves(structure[key], (*path, key))
    elif isinstance(structure, list | tuple):
        for position, value in enumerate(structure):
            yield from _leaves(value, (*path, position))
    else:
        yield path, structure


def _padded(names: Sequence[str], count: int) -> list[str]:
    return [*names[:count], *(f"output_{i + 1}" for i in range(len(names), count))]


def run_keras(
    model: keras.Model,
    signature: Signature,
    inputs: Sequence[NDArray[Any]],
    size: int | None = None,
) -> tuple[list[str], list[NDArray[Any]]]:
    """The names of a model's outputs, and what it computes of samples, eagerly, `[N·k, …]` each.

    Most outputs have k = 1 row for each sample.

    Args:
        model: The model.
        signature: Its signature.
        inputs: One array per input, `[N, …]`.
        size: How many samples to give it at a time, the last of them repeated to fill that; all
            when absent.
    """
    count = len(inputs[0])
    size = size or count
    rows: list[list[NDArray[Any]]] = []
    names: list[str] = []
    for start in range(0, count, size):
        batch = [filled(array[start : start + size], size) for array in inputs]
        outputs = signature.call(model, [tf.constant(array) for array in batch])
        names = output_names(model, outputs)
        rows.append([np.asarray(output) for output in tf.nest.flatten(outputs)])
    fed = size * len(rows)
    return names, [joined(column, fed, count) for column in zip(*rows, strict=True)]


def keras_batch(
    model: keras.Model, signature: Signature, inputs: Sequence[NDArray[Any]]
) -> int | None:
    """The number of samples that a model has to be given at a time; None when it takes any.

    A fixed size in the Input layer, as recurrent layers get it for TensorFlow Lite, says little:
    most such models compute the same in batches of any size, which is tried.
    """
    size = signature.batch
    if size is None:
        return None
    one_more = [filled(array[: size + 1], size + 1) for array in inputs]
    expected = run_keras(model, signature, one_more, size)[1]
    try:
        found = run_keras(model, signature, one_more)[1]
    except (ValueError, tf.errors.OpError):  # a reshape to the fixed size
        return size
    same = [
        f.shape == e.shape and np.allclose(f, e, rtol=1e-5, atol=1e-5 * float(np.abs(e).max()))
        for f, e in zip(found, expected, strict=True)
    ]
    return None if all(same) else size
