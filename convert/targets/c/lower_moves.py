"""Operators that move values of any type → calls of kernels, or none."""

import math
from collections.abc import Callable

import numpy as np

from convert.targets import network as n
from convert.targets.c.lowering import Lowering
from convert.targets.c.program import Call, Place, Struct, elements, size_bytes
from convert.targets.network import Operator, Value
from onebit import bits


def _reshape(lowering: Lowering, operator: n.Reshape) -> None:
    source, target = lowering.network.input_of(operator), lowering.network.output_of(operator)
    if elements(source) != elements(target):
        raise lowering.no_kernel(operator, "it moves bits between words")
    program, ends = lowering.program, {*lowering.network.inputs, *lowering.network.outputs}
    whole = program.root(source.index)
    group = [whole] + [i for i in program.same_memory if program.root(i) == whole]
    # The caller's memory is one value's only.
    if source.constant is not None or (
        target.index in lowering.network.outputs and ends & set(group)
    ):
        copy_value(lowering, operator)
    else:
        program.same_memory[target.index] = source.index


def copy_value(lowering: Lowering, operator: Operator) -> None:
    """A call that copies the input to the output."""
    size = str(size_bytes(lowering.network.input_of(operator)))
    places = lowering.operand(operator.inputs[0]), lowering.output(operator)
    lowering.call(operator, "onebit_move.c", "copy_rows", *places, "1", size, size, size)


def _concat(lowering: Lowering, operator: n.Concat) -> None:
    target = lowering.network.output_of(operator)
    sources = [lowering.value(i) for i in operator.inputs]
    if operator.activation != "none":
        raise lowering.no_kernel(operator, "it has a fused activation")
    joins_bits = target.dtype == "bits" and operator.axis == len(target.shape) - 1
    if joins_bits and any(source.shape[-1] % bits.WORD_BITS for source in sources[:-1]):
        raise lowering.no_kernel(operator, "it joins bits within words")
    if any(source.dtype != target.dtype or not _same_steps(source, target) for source in sources):
        raise lowering.no_kernel(operator, "its inputs have other types or scales than its output")
    rows = math.prod(target.shape[: operator.axis])
    unit = size_bytes(target) // elements(target)
    row, offset = size_bytes(target) // rows, 0
    for source in sources:
        part = size_bytes(source) // rows
        lowering.program.calls.append(
            Call(
                operator.name,
                "onebit_copy_rows",
                [
                    lowering.operand(source.index),
                    Place(target.index, offset // unit, is_written=True),
                    *map(str, (rows, part, part, row)),
                ],
                (source.index,) if source.constant is None else (),
                target.index,
                "onebit_move.c",
            )
        )
        offset += part


def _same_steps(a: Value, b: Value) -> bool:
    if a.quantization is None or b.quantization is None:
        return a.dtype == "float32" or a.dtype == "bits"
    return bool(
        a.quantization.scale[0] == b.quantization.scale[0]
        and a.quantization.zero_point[0] == b.quantization.zero_point[0]
    )


def _pad(lowering: Lowering, operator: n.Pad) -> None:
    source, target = lowering.network.input_of(operator), lowering.network.output_of(operator)
    rank = len(source.shape)
    if rank > 4 or source.dtype not in ("float32", "int8") or not _same_steps(source, target):
        raise lowering.no_kernel(operator)
    missing = 4 - rank
    fields = {
        "size": [1] * missing + list(source.shape),
        "before": [0] * missing + [before for before, _ in operator.pads],
        "after": [0] * missing + [after for _, after in operator.pads],
    }
    if source.dtype == "float32":
        size, value = 4, int(np.float32(operator.value).view(np.uint32))
    else:
        size, value = 1, int(operator.value) & 255
    lowering.call(
        operator,
        "onebit_move.c",
        "pad",
        Struct("onebit_pads", fields),
        Place(source.index),
        lowering.output(operator),
        str(size),
        f"{value}u",
    )


MOVE_KERNELS: dict[type[Operator], Callable[..., None]] = {
    n.Concat: _concat,
    n.Pad: _pad,
    n.Reshape: _reshape,
}
