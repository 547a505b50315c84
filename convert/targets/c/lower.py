"""Operators → calls of kernels. What no kernel computes is refused, with the layer's name."""

import dataclasses

import numpy as np

from convert.targets.c.fuse import fuse
from convert.targets.c.lower_binary import BINARY_KERNELS
from convert.targets.c.lower_f32 import FLOAT_KERNELS
from convert.targets.c.lower_moves import MOVE_KERNELS
from convert.targets.c.lower_pixels import PIXEL_KERNELS
from convert.targets.c.lower_s8 import INT8_KERNELS
from convert.targets.c.lowering import Lowering, refusal
from convert.targets.c.program import C_TYPES, Call, Program, Struct, size_bytes
from convert.targets.network import Network, Reshape
from onebit.bits import packed_length

_KERNELS = FLOAT_KERNELS | BINARY_KERNELS | PIXEL_KERNELS | MOVE_KERNELS
"""Type of operator → its lowering, but for those of int8 only."""

_LARGEST = 1 << 30
"""Sizes and offsets are 32-bit integers in C."""


def lower(network: Network, cmsis_nn: bool = False) -> Program:
    """The calls that compute a network.

    Args:
        network: As it was read.
        cmsis_nn: Whether int8 layers with filters are left to CMSIS-NN.

    Raises:
        ConversionError: An operator has no kernel; its `reason` is `no-kernel`.
    """
    network = fuse(_with_own_outputs(network))
    for value in network.values.values():
        if value.constant is not None:
            continue
        if value.dtype not in C_TYPES:
            raise refusal(value.name, f"it is {value.dtype}", None)
        if size_bytes(value) > _LARGEST:
            raise refusal(value.name, "it takes more than 1 GB", None)
    lowering = Lowering(network, cmsis_nn)
    for operator in network.operators:
        types = {lowering.value(i).dtype for i in (*operator.inputs, operator.output)}
        # Between types there are only the kernels of signs and scales.
        kernels = _KERNELS | INT8_KERNELS if types == {"int8"} else _KERNELS
        lower_one = kernels.get(type(operator))
        if lower_one is None:
            raise lowering.no_kernel(operator)
        lower_one(lowering, operator)
    _pool_in_bands(lowering.program)
    _shorten_limits(lowering.program)
    return lowering.program


def _with_own_outputs(network: Network) -> Network:
    """Copies of inputs, constants and earlier outputs in the place of outputs that are these."""
    values, copies = dict(network.values), []
    outputs: list[int] = []
    for index, name in zip(network.outputs, network.output_names, strict=True):
        value = values[index]
        if index in (*network.inputs, *outputs) or value.constant is not None:
            copy = dataclasses.replace(value, index=max(values) + 1, constant=None)
            copies.append(Reshape(name=name, op="RESHAPE", inputs=(index,), output=copy.index))
            values[copy.index] = copy
            outputs.append(copy.index)
        else:
            outputs.append(index)
    operators = (*network.operators, *copies)
    return dataclasses.replace(network, values=values, operators=operators, outputs=tuple(outputs))


def _shorten_limits(program: Program) -> None:
    """Stores limits in 16 bits where all of the network fit."""
    structs = [a for call in program.calls for a in call.arguments if isinstance(a, Struct)]
    limits = [s.fields["limits"] for s in structs if "limits" in s.fields]
    if all(np.array_equal(c.values.astype(np.int16), c.values) for c in limits):
        short = {c.name: dataclasses.replace(c, values=c.values.astype(np.int16)) for c in limits}
        for struct in structs:
            if "limits" in struct.fields:
                struct.fields["limits"] = short[struct.fields["limits"].name]


def _pool_in_bands(program: Program) -> None:
    """Joins max-pooling of bits with the layer before it, which then gives a few rows at a time."""
    calls: list[Call] = []
    for call in program.calls:
        before = calls[-1] if calls else None
        if before is None or not _can_join(program, before, call):
            calls.append(call)
            continue
        calls.pop()
        layer, source, _, scratch = before.arguments
        window = call.arguments[0]
        assert isinstance(window, Struct)  # noqa: S101 (as every call of this kernel has it)
        fields = window.fields
        bands = {key: fields[key] for key in ("kernel_h", "kernel_w", "stride_w", "out_w")}
        row_bytes = 4 * int(fields["in_w"]) * packed_length(int(fields["in_c"]))
        calls.append(
            dataclasses.replace(
                before,
                kernel=before.kernel.replace("_bits", "_pool_bits"),
                arguments=[
                    layer,
                    Struct("onebit_bands", bands),
                    source,
                    call.arguments[2],
                    scratch,
                ],
                writes=call.writes,
                scratch_bytes=before.scratch_bytes + int(bands["kernel_h"]) * row_bytes,
            )
        )
    program.calls[:] = calls


def _can_join(program: Program, layer: Call, pool: Call) -> bool:
    network, value = program.network, layer.writes
    if layer.kernel not in _BANDED or pool.kernel != "onebit_max_pool_bits":
        return False
    if pool.reads != (value,) or layer.batch != pool.batch or value in network.outputs:
        return False
    if sum(value in call.reads for call in program.calls) != 1 or value in program.same_memory:
        return False
    if value in program.same_memory.values():
        return False
    window = pool.arguments[0]
    assert isinstance(window, Struct)  # noqa: S101 (as above)
    fields = window.fields
    return (
        fields["kernel_h"] == fields["stride_h"]
        and fields["pad_top"] == fields["pad_left"] == 0
        and fields["out_h"] * fields["stride_h"] <= fields["in_h"]
    )


_BANDED = ("onebit_bconv_bits", "onebit_pixel_conv_bits")
