"""Tensors of a `.tflite` file → values of a `Network`."""

from typing import Any

from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.targets.network import DType, Value
from convert.targets.reading.values import quantization_of
from convert.tflite.graph import Graph

_TYPES: dict[str, DType] = {
    "FLOAT32": "float32",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}


class TensorReader:
    """Reads tensors, each once.

    Attributes:
        graph: The file's.
        name: How error messages call the file.
        values: Those that were read or computed, by their indices.
    """

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name
        self.values: dict[int, Value] = {}

    def value(self, index: int, channels: int | None = None) -> Value:
        """A tensor as the file describes it; bits where `channels` says how many."""
        graph, tensor = self.graph, self.graph.subgraph.tensors[index]
        shape = tuple(graph.shape(index))
        if any(d < 1 for d in [*shape, *(tensor.shapeSignature if _dynamic(tensor) else [])]):
            raise ConversionError(
                f"{self.name}: the shape of {graph.tensor_name(index)} is known only when it runs",
                hint="convert a model with static shapes",
            )
        kind = graph.type_name(index)
        if channels is not None:
            return Value(index, graph.tensor_name(index), (*shape[:-1], channels), "bits")
        dtype = _TYPES.get(kind)
        if dtype is None:
            raise ConversionError(
                f"{self.name}: {graph.tensor_name(index)} is {kind}, which no target can express"
            )
        return Value(
            index,
            graph.tensor_name(index),
            shape,
            dtype,
            quantization_of(tensor),
            graph.constant(index),
        )

    def known(self, index: int) -> Value:
        """A value that is read: computed before, or a constant."""
        if index not in self.values:
            self.values[index] = self.value(index)
        return self.values[index]

    def constant(self, index: int) -> NDArray[Any] | None:
        """The numbers of a constant; None for a value that is computed, or for none, −1."""
        return self.known(index).constant if index >= 0 else None


def _dynamic(tensor: Any) -> bool:
    return tensor.shapeSignature is not None and len(tensor.shapeSignature) > 0
