"""The settings of a conversion to int8, and whether ranges can be learnt from its samples."""

import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from convert.errors import ConversionError
from onebit.errors import near_matches

RangeMethod = Literal["mse", "minmax", "percentile"]
IO = Literal["float", "int8"]
Scope = Literal["layers", "all"]

FEW_SAMPLES = 32
"""Fewer samples than this are calibrated on, but with a warning."""


@dataclass(frozen=True)
class Int8:
    """A conversion to int8.

    Attributes:
        inputs: Representative samples `[N, …]`, preprocessed: one array per input of the model, a
            dict by their names, or the array of an only input. Take them from the training data.
        ranges: How a tensor's range follows from its numbers, see `convert.int8.ranges`.
        io: The type of the file's inputs and outputs.
        scope: `layers`: those with real weights, and the operators between them. `all`: whatever
            TensorFlow Lite computes in int8, also sums of binary layers' outputs and layers with
            ±1 weights and real inputs, whose weights stay packed.
        without_passes: Names of `convert.int8.passes` to leave out, to measure what they bring.

    Raises:
        ConversionError: A setting is none of those above.
    """

    inputs: Any
    ranges: RangeMethod = "mse"
    io: IO = "float"
    scope: Scope = "layers"
    without_passes: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        known = {"ranges": RangeMethod, "io": IO, "scope": Scope}
        for name, values in known.items():
            check_choice(name, getattr(self, name), typing.get_args(values))


def check_choice(name: str, value: Any, known: Sequence[str]) -> None:
    """Refuses a setting that is none of the known ones.

    Raises:
        ConversionError: It is not.
    """
    if value not in known:
        raise ConversionError(f"Int8 has no {name} {value!r}", hint=near_matches(str(value), known))


def check_inputs(inputs: Sequence[NDArray[Any]]) -> list[str]:
    """Refuses samples that no range can be learnt from; returns warnings about poor ones.

    Args:
        inputs: One array per input, as `checked_samples` gives them.

    Raises:
        ConversionError: The samples are all equal.
    """
    count = len(inputs[0])
    # One of several may be the same in all samples, as a mask without gaps is.
    if all(array.min() == array.max() for array in inputs):
        numbers = dict.fromkeys(f"{array.flat[0]:g}" for array in inputs)
        raise ConversionError(
            f"every number of the representative samples is {' or '.join(numbers)}: they don't "
            "show the model's inputs",
            hint="take some tens of training samples",
        )
    if count > 1 and all((array == array[:1]).all() for array in inputs):
        raise ConversionError(
            f"the {count} representative samples are all the same",
            hint="take some tens of different training samples",
        )
    if count < FEW_SAMPLES:
        return [
            f"int8 ranges come from {count} sample{'s' if count > 1 else ''} only: numbers beyond "
            f"theirs will be cut off; take {FEW_SAMPLES} or more"
        ]
    return []
