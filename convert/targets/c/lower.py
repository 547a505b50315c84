"""Operators → calls of kernels. What no kernel computes is refused, with the layer's name."""

from convert.targets.c.fuse import fuse
from convert.targets.c.lower_f32 import FLOAT_KERNELS
from convert.targets.c.lower_s8 import INT8_KERNELS
from convert.targets.c.lowering import Lowering, refusal
from convert.targets.c.program import C_TYPES, Program, size_bytes
from convert.targets.network import Network

_LARGEST = 1 << 30
"""Sizes and offsets are 32-bit integers in C."""


def lower(network: Network) -> Program:
    """The calls that compute a network.

    Raises:
        ConversionError: An operator has no kernel; its `reason` is `no-kernel`.
    """
    network = fuse(network)
    for value in network.values.values():
        if value.constant is not None:
            continue
        if value.dtype not in C_TYPES:
            raise refusal(value.name, f"it is {value.dtype}", None)
        if size_bytes(value) > _LARGEST:
            raise refusal(value.name, "it takes more than 1 GB", None)
    lowering = Lowering(network)
    for operator in network.operators:
        types = {lowering.value(i).dtype for i in (*operator.inputs, operator.output)}
        # Between types there are only the kernels of signs and scales.
        kernels = INT8_KERNELS if types == {"int8"} else FLOAT_KERNELS
        lower_one = kernels.get(type(operator)) or FLOAT_KERNELS.get(type(operator))
        if lower_one is None:
            raise lowering.no_kernel(operator)
        lower_one(lowering, operator)
    return lowering.program
