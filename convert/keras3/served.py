"""A model of Keras 3, or a SavedModel, as a function that is converted and run.

The one file of this stage that imports Keras 3, and TensorFlow beside it: in the process of
`worker.py`, or in a user's own whose Keras is Keras 3 already.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError, SourceError
from convert.keras3.graph_signs import pre_activation
from convert.samples import filled, joined
from convert.tflite.graph import Graph
from convert.tflite.signature import order_ends, unique_names, write_signature
from onebit.streams import held_stderr

_BATCH = 16
"""Samples at a time, of models that take any number."""


class Served:
    """A model as a function of flat inputs to flat outputs.

    Args:
        function: Takes one tensor per input, gives a list of tensors.
        specs: Shape `[N, …]`, type and name of each input; N is None where it takes any.
        output_names: The names of the outputs.
        layer_names: The names of the layers that multiply.
        variables: What the function reads.

    Raises:
        ConversionError: A dimension other than the batch is unknown.
    """

    def __init__(
        self,
        function: Callable[..., list[Any]],
        specs: Sequence[Any],
        output_names: Sequence[str],
        layer_names: Sequence[str],
        variables: Sequence[Any],
    ) -> None:
        self.function, self.specs, self.variables = function, list(specs), list(variables)
        self.output_names, self.layer_names = list(output_names), list(layer_names)
        for spec in self.specs:
            if spec.shape.rank is None or None in spec.shape.as_list()[1:]:
                shape = None if spec.shape.rank is None else spec.shape.as_list()
                raise ConversionError(
                    f"input {spec.name} has the shape {shape}: a .tflite file for LCE needs fixed "
                    "sizes",
                    hint="build the model with keras.Input(shape=(…numbers…))",
                )
        self.batch: int | None = self.specs[0].shape[0]

    def concrete(self, batch: int | None) -> Any:
        """The function traced for a batch size; inputs and outputs are numbered."""
        import tensorflow as tf

        specs = [
            tf.TensorSpec([batch, *spec.shape[1:]], spec.dtype, f"input_{i:03}")
            for i, spec in enumerate(self.specs)
        ]

        @tf.function(input_signature=specs, autograph=False)
        def serve(*inputs: Any) -> dict[str, Any]:
            return {f"output_{i:03}": y for i, y in enumerate(self.function(*inputs))}

        return serve.get_concrete_function()

    def float_file(self) -> bytes:
        """The model as TensorFlow Lite's converter writes it, for a batch of 1 or the fixed one.

        Inputs and outputs have the model's order and names.
        """
        import tensorflow as tf

        # The converter saves what it is given: with the model, it would trace each layer apart.
        holder = tf.Module()
        holder.variables_of_model = self.variables
        function = self.concrete(self.batch or 1)
        with held_stderr():
            converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
            graph = Graph.from_bytes(converter.convert())
        order_ends(
            graph,
            [f"input_{i:03}" for i in range(len(self.specs))],
            [f"output_{i:03}" for i in range(len(self.output_names))],
        )
        write_signature(graph, [spec.name for spec in self.specs], self.output_names)
        return graph.to_bytes()

    def reader(self, signs: Sequence[str]) -> "Reader":
        """A runner of the model that observes those of the given signs that it has."""
        return Reader(self, signs)


class Reader:
    """Runs a model; gives its outputs and the numbers in front of signs.

    Args:
        served: The model.
        signs: The names of signs, as the float file has them.

    Attributes:
        signs: Those that the model's graph has.
    """

    def __init__(self, served: Served, signs: Sequence[str]) -> None:
        self._size, self._batch = served.batch or _BATCH, served.batch
        # Without variables and calls within: operations have the names that the converter sees.
        function = _frozen(served.concrete(served.batch))
        found = {name: self._find(function.graph, name) for name in signs}
        known = {name: tensor for name, tensor in found.items() if tensor is not None}
        self.signs = list(known)
        self._run = function.prune(function.inputs, [*function.outputs, *known.values()])
        self._kept = served, function

    @staticmethod
    def _find(graph: Any, name: str) -> Any | None:
        operations = [operation.name for operation in graph.get_operations()]
        for part in filter(None, name.split(";")):
            # In a SavedModel either name may have that of a function around it in front.
            known = [each for each in operations if each == part] or [
                each
                for each in operations
                if f"/{each}".endswith(f"/{part}") or f"/{part}".endswith(f"/{each}")
            ]
            found = pre_activation(graph, known[0]) if len(known) == 1 else None
            if found is not None:
                return found
        return None

    def run(
        self, samples: Sequence[NDArray[Any]], tick: Callable[[], None] | None = None
    ) -> list[NDArray[Any]]:
        """The outputs, and the numbers in front of the signs, for samples `[N, …]`.

        Args:
            samples: One array per input.
            tick: Called after every sample.
        """
        import tensorflow as tf

        count, size = len(samples[0]), self._size
        rows = []
        for start in range(0, count, size):
            window = [array[start : start + size] for array in samples]
            if self._batch is not None:
                window = [filled(array, size) for array in window]
            rows.append([np.asarray(y) for y in self._run(*map(tf.constant, window))])
            for _ in window[0][: count - start] if tick is not None else ():
                tick()  # type: ignore[misc]
        fed = count if self._batch is None else size * len(rows)
        return [joined(column, fed, count) for column in zip(*rows, strict=True)]


def _frozen(function: Any) -> Any:
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    return convert_variables_to_constants_v2(function)


def served_model(model: Any) -> Served:
    """A built model object of Keras 3.

    Raises:
        ConversionError: It is not built, or an input has unknown sizes.
    """
    import keras
    import tensorflow as tf
    from keras.src.export.export_utils import get_input_signature

    if keras.backend.backend() != "tensorflow":
        raise ConversionError(
            f"{model.name} runs on Keras' {keras.backend.backend()} backend, and TensorFlow Lite's "
            "converter takes TensorFlow's",
            hint="save it as a .keras file, which any backend loads, and convert that",
        )
    try:
        structure = get_input_signature(model)
    except ValueError as error:
        raise ConversionError(
            f"{model.name}, a Keras 3 model, is not built",
            hint="call it on data once, or give its input",
        ) from error
    leaves = keras.tree.flatten(structure)
    names = unique_names([leaf.name or f"input_{i + 1}" for i, leaf in enumerate(leaves)])
    specs = [
        tf.TensorSpec(leaf.shape, leaf.dtype, name)
        for leaf, name in zip(leaves, names, strict=True)
    ]

    def call(*inputs: Any) -> list[Any]:
        arguments = keras.tree.pack_sequence_as(structure, list(inputs))
        with _named_for_tensorflow(model):
            return keras.tree.flatten(model(*arguments, training=False))

    layers = [
        layer.name
        for layer in model._flatten_layers()
        if any(len(variable.shape) > 1 for variable in layer._trainable_variables)
    ]
    count = len(call(*[np.zeros([1, *s.shape[1:]], s.dtype.as_numpy_dtype) for s in specs]))
    known = list(getattr(model, "output_names", None) or [])
    if len(known) != count:
        known = [f"output_{i + 1}" for i in range(count)]
    variables = [variable.value for variable in model.variables]
    return Served(call, specs, unique_names(known), layers, variables)


@contextlib.contextmanager
def _named_for_tensorflow(model: Any) -> Iterator[None]:
    """Gives layers names that TensorFlow takes for scopes; Keras' other backends take any."""
    names = {layer: layer.name for layer in model._flatten_layers()}
    try:
        for layer, name in names.items():
            layer.name = re.sub(r"[^\w.\\/>-]", "_", name, flags=re.ASCII)
        yield
    finally:
        for layer, name in names.items():
            layer.name = name


def served_saved_model(path: Path) -> Served:
    """The serving signature of a SavedModel, whoever wrote it.

    Raises:
        SourceError: It has none.
        ConversionError: An input has unknown sizes.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    signatures = dict(loaded.signatures)
    if not signatures:
        raise SourceError(
            f"{path} has no signature to serve",
            hint="save it with one: model.export(FOLDER) in Keras 3",
        )
    signature = signatures.get("serving_default") or next(iter(signatures.values()))
    inputs = signature.structured_input_signature[1]
    keywords, outputs = sorted(inputs), sorted(signature.structured_outputs)
    specs = [tf.TensorSpec(inputs[name].shape, inputs[name].dtype, name) for name in keywords]

    def call(*tensors: Any) -> list[Any]:
        results = signature(**dict(zip(keywords, tensors, strict=True)))
        return [results[name] for name in outputs]

    # What it holds has to live as long as the function.
    variables = list(getattr(loaded, "variables", []))
    served = Served(call, specs, outputs, [], variables)
    served.variables.append(loaded)
    return served
