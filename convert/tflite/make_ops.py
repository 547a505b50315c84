"""Operators made new, not yet placed in the order of execution."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flatbuffers import flexbuffers

from convert.tflite.graph import Graph, schema


def make_reshape(graph: Graph, source: int, target: int) -> Any:
    """A RESHAPE of one tensor to another that has as many elements."""
    shape = np.array(graph.shape(target), "<i4")
    options = schema.ReshapeOptionsT()
    options.newShape = shape
    constant = graph.add_constant(f"{graph.tensor_name(target)}/shape", shape)
    return graph.make_op("RESHAPE", [source, constant], [target], options)


def make_custom_op(
    graph: Graph,
    name: str,
    inputs: Sequence[int],
    outputs: Sequence[int],
    options: Mapping[str, int],
) -> Any:
    """A custom operator with its options as a flexbuffer map."""
    op = graph.make_op(name, inputs, outputs)
    set_custom_options(op, options)
    return op


def set_custom_options(op: Any, options: Mapping[str, int]) -> None:
    """Gives a custom operator other options."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for key in sorted(options):
            builder.Int(key, int(options[key]))
    op.customOptions = np.frombuffer(bytes(builder.Finish()), np.uint8)
