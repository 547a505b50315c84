"""Options that an operator lacks, or has of another one: TensorFlow Lite takes the defaults."""

from collections.abc import Mapping
from typing import Any

from ai_edge_litert import schema_py_generated as schema

_OPTIONS: Mapping[str, type] = {
    "ADD": schema.AddOptionsT,
    "AVERAGE_POOL_2D": schema.Pool2DOptionsT,
    "BATCH_MATMUL": schema.BatchMatMulOptionsT,
    "CONCATENATION": schema.ConcatenationOptionsT,
    "CONV_2D": schema.Conv2DOptionsT,
    "DEPTHWISE_CONV_2D": schema.DepthwiseConv2DOptionsT,
    "DIV": schema.DivOptionsT,
    "FULLY_CONNECTED": schema.FullyConnectedOptionsT,
    "GATHER": schema.GatherOptionsT,
    "MAX_POOL_2D": schema.Pool2DOptionsT,
    "MEAN": schema.ReducerOptionsT,
    "MUL": schema.MulOptionsT,
    "PACK": schema.PackOptionsT,
    "REDUCE_PROD": schema.ReducerOptionsT,
    "SHAPE": schema.ShapeOptionsT,
    "STRIDED_SLICE": schema.StridedSliceOptionsT,
    "SUB": schema.SubOptionsT,
    "SUM": schema.ReducerOptionsT,
    "TRANSPOSE_CONV": schema.TransposeConvOptionsT,
}
"""The operators whose options are read here."""


def fill_in_options(name: str, op: Any) -> None:
    """Gives an operator the default options where it has none of its own.

    Args:
        name: The operator's name, as `Graph.op_name` gives it.
        op: The operator (`OperatorT`).
    """
    kind = _OPTIONS.get(name)
    if kind is not None and not isinstance(op.builtinOptions, kind):
        op.builtinOptions = kind()
        op.builtinOptionsType = getattr(schema.BuiltinOptions, kind.__name__.removesuffix("T"))


def fused_activation(op: Any) -> int:
    """The activation that an operator computes too (`ActivationFunctionType`), 0 for none."""
    return getattr(op.builtinOptions, "fusedActivationFunction", 0)
