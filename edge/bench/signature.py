"""The inputs and outputs of a `.tflite` file, by its names for them."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onebit.errors import OnebitError

# The generated reader raises these on damaged files; it checks nothing itself.
_DAMAGE = (AttributeError, IndexError, TypeError, ValueError, struct.error)


@dataclass(frozen=True)
class Input:
    """An input of a file.

    Attributes:
        name: As the file's signature calls it, and Keras did; else the tensor's.
        shape: With the batch in front.
        dtype: NumPy's.
        scale: Of quantized values; None where they are not.
        zero_point: Of quantized values.
    """

    name: str
    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    scale: float | None = None
    zero_point: int = 0


@dataclass(frozen=True)
class Signature:
    """Inputs in the order in which interpreters take them.

    `classes` is the size of the one output `[1, classes]`, None for other outputs.
    """

    inputs: tuple[Input, ...]
    classes: int | None


def read_signature(path: Path) -> Signature:
    """The signature of a file's first subgraph.

    Raises:
        OnebitError: The file is damaged.
    """
    from ai_edge_litert import schema_py_generated as schema  # not needed without data

    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
        graph = model.subgraphs[0]
        names = {
            entry.tensorIndex: entry.name.decode()
            for signature in model.signatureDefs or []
            if signature.subgraphIndex == 0
            for entry in signature.inputs or []
        }
        dtypes = {
            schema.TensorType.FLOAT32: np.float32,
            schema.TensorType.INT32: np.int32,
            schema.TensorType.INT64: np.int64,
            schema.TensorType.UINT8: np.uint8,
            schema.TensorType.INT8: np.int8,
            schema.TensorType.INT16: np.int16,
            schema.TensorType.BOOL: np.bool_,
        }
        inputs = []
        for index in graph.inputs:
            tensor = graph.tensors[index]
            if tensor.type not in dtypes:
                raise OnebitError(f"{path} has an input of a type that NumPy lacks")
            scale, zero_point = _quantization(tensor.quantization)
            inputs.append(
                Input(
                    name=names.get(index, _plain(tensor.name.decode())),
                    shape=tuple(int(size) for size in tensor.shape),
                    dtype=np.dtype(dtypes[tensor.type]),
                    scale=scale,
                    zero_point=zero_point,
                )
            )
        shapes = [list(graph.tensors[index].shape) for index in graph.outputs]
    except _DAMAGE as error:
        raise OnebitError(f"{path} is a damaged TensorFlow Lite file") from error
    sizes = shapes[0] if len(shapes) == 1 else []
    classes = int(sizes[-1]) if len(sizes) == 2 and sizes[-1] >= 2 else None
    return Signature(tuple(inputs), classes)


def _quantization(parameters: Any) -> tuple[float | None, int]:
    """Scale and zero point of a tensor's quantization; no scale if it has none."""
    if parameters is None or parameters.scale is None or len(parameters.scale) != 1:
        return None, 0
    return float(parameters.scale[0]), int(parameters.zeroPoint[0])


def _plain(tensor: str) -> str:
    """`serving_default_image:0` as `image`."""
    return tensor.partition(":")[0].removeprefix("serving_default_")
