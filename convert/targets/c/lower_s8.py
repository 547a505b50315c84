"""int8 operators → calls of kernels."""

from collections.abc import Callable

from convert.targets.network import Operator

INT8_KERNELS: dict[type[Operator], Callable[..., None]] = {}
