"""TensorFlow Lite's operators on NumPy arrays, as far as signs and weights are made of them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.tflite.graph import DTYPES, Graph, schema
from convert.tflite.options import fused_activation

COMPARISONS = ("EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL")

_ACTIVATION = schema.ActivationFunctionType
_ACTIVATIONS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    _ACTIVATION.NONE: lambda x: x,
    _ACTIVATION.RELU: lambda x: np.maximum(x, 0),
    _ACTIVATION.RELU_N1_TO_1: lambda x: np.clip(x, -1, 1),
    _ACTIVATION.RELU6: lambda x: np.clip(x, 0, 6),
}
ACTIVATION_OPS = {
    _ACTIVATION.RELU: "RELU",
    _ACTIVATION.RELU_N1_TO_1: "RELU_N1_TO_1",
    _ACTIVATION.RELU6: "RELU6",
}
"""The operators that compute what others can fuse."""


def _select(condition: NDArray[Any], chosen: NDArray[Any], otherwise: NDArray[Any]) -> NDArray[Any]:
    """SELECT, which picks rows where the condition has one dimension, `[N]`."""
    if condition.ndim == 1 and chosen.ndim > 1:
        condition = condition.reshape(-1, *[1] * (chosen.ndim - 1))
    return np.where(condition, chosen, otherwise)


_FUNCTIONS: dict[str, Callable[..., NDArray[Any]]] = {
    "ABS": np.abs,
    "ADD": np.add,
    "DIV": np.divide,
    "EQUAL": np.equal,
    "GREATER": np.greater,
    "GREATER_EQUAL": np.greater_equal,
    "LESS": np.less,
    "LESS_EQUAL": np.less_equal,
    "LOGICAL_AND": np.logical_and,
    "LOGICAL_NOT": np.logical_not,
    "LOGICAL_OR": np.logical_or,
    "MAXIMUM": np.maximum,
    "MINIMUM": np.minimum,
    "MUL": np.multiply,
    "NEG": np.negative,
    "NOT_EQUAL": np.not_equal,
    "RSQRT": lambda x: 1 / np.sqrt(x),
    "SELECT": _select,
    "SELECT_V2": np.where,
    "SIGN": np.sign,
    "SQRT": np.sqrt,
    "SQUARE": np.square,
    "SUB": np.subtract,
    **{name: _ACTIVATIONS[number] for number, name in ACTIVATION_OPS.items()},
}

ELEMENTWISE = ("CAST", *_FUNCTIONS)
"""The operators that `compute` knows."""


def clamp(x: NDArray[Any], activation: int) -> NDArray[Any]:
    """The numbers behind one of TensorFlow Lite's fused activations."""
    return _ACTIVATIONS[activation](x)


def compute(graph: Graph, op: Any, operands: Sequence[NDArray[Any]]) -> NDArray[Any] | None:
    """The output of an elementwise operator for operands that broadcast; None for any other.

    It is computed in the operands' type, as the interpreter does.
    """
    name = graph.op_name(op)
    if name == "CAST":
        dtype = DTYPES.get(graph.subgraph.tensors[graph.outputs(op)[0]].type)
        return None if dtype is None else operands[0].astype(dtype)
    function = _FUNCTIONS.get(name)
    activation = _ACTIVATIONS.get(fused_activation(op))
    if function is None or activation is None:
        return None
    with np.errstate(all="ignore"):
        return activation(function(*operands))
