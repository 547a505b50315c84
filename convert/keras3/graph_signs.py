"""Signs in a TensorFlow graph: the numbers whose signs they are.

The float `.tflite` file names a sign after its operation in TensorFlow's graph. From there the
number whose sign is taken is found upwards, by the rule of `convert/binariser/steps.py`: past
operations that only read signs and constants, up to the one that reads the number.
"""

from typing import Any

_COMPARISONS = ("Equal", "Greater", "GreaterEqual", "Less", "LessEqual", "NotEqual", "Sign")
_ELEMENTWISE = (
    *("Abs", "Add", "AddV2", "Cast", "Identity", "IdentityN", "LogicalAnd", "LogicalNot"),
    *("LogicalOr", "Maximum", "Minimum", "Mul", "Neg", "RealDiv", "Select", "SelectV2", "Sub"),
    *("Fill", "BroadcastTo", "OnesLike"),
)


def pre_activation(graph: Any, name: str) -> Any | None:
    """The tensor whose sign an operation gives.

    Args:
        graph: TensorFlow's graph.
        name: The operation's name.

    Returns:
        The tensor; None where there is no such operation, or it is not a sign.
    """
    try:
        operation = graph.get_operation_by_name(name)
    except (KeyError, ValueError):
        return None
    return _source(operation.outputs[0]) if operation.outputs else None


def _source(tensor: Any) -> Any | None:
    operation = tensor.op
    inputs = [each for each in operation.inputs if not _is_constant(each)]
    if operation.type == "IdentityN":
        inputs = [operation.inputs[tensor.value_index]]
    if operation.type in _COMPARISONS:
        # A sign of a sign is the sign of what that one reads.
        if len(inputs) != 1:
            return None
        return _source(inputs[0]) if _is_step(inputs[0]) else inputs[0]
    if operation.type not in _ELEMENTWISE or not inputs:
        return None
    sources = [_source(each) for each in inputs]
    first = sources[0]
    return first if first is not None and all(each is first for each in sources) else None


def _is_step(tensor: Any) -> bool:
    return _source(tensor) is not None


def _is_constant(tensor: Any) -> bool:
    operation = tensor.op
    if operation.type == "Const":
        return True
    return operation.type in (*_ELEMENTWISE, "Shape", "ZerosLike") and all(
        _is_constant(each) or operation.type in ("OnesLike", "Shape", "ZerosLike")
        for each in operation.inputs
    )
