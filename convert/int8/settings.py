"""What a conversion to int8 is asked for, and whether its samples can be calibrated on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError

RangeMethod = Literal["mse", "minmax", "percentile"]
IO = Literal["float", "int8"]
Scope = Literal["layers", "all"]

FEW_SAMPLES = 32
"""Fewer samples than this are calibrated on, but with a warning."""


@dataclass(frozen=True)
class Int8:
    """A conversion to int8.

    Attributes:
        inputs: Representative samples: one array per input of the model, float32 `[N, …]`,
            preprocessed. Take them from the training data.
        ranges: How a tensor's range follows from its numbers, see `convert.int8.ranges`.
        io: The type of the file's inputs and outputs.
        scope: `layers`: those with real weights, and what stands between them. `all`: whatever
            TensorFlow Lite computes in int8, also sums of binary layers' outputs and layers with
            ±1 weights and real inputs, whose weights stay packed.
        without_passes: Names of `convert.int8.passes` to leave out, to measure what they bring.
    """

    inputs: Sequence[NDArray[np.float32]]
    ranges: RangeMethod = "mse"
    io: IO = "float"
    scope: Scope = "layers"
    without_passes: frozenset[str] = frozenset()


def check_inputs(settings: Int8, shapes: Sequence[Sequence[int]]) -> list[str]:
    """Refuses samples that no range can be learnt from; returns warnings about poor ones.

    Args:
        settings: What was asked for.
        shapes: The model's inputs, each `[1, …]`.

    Raises:
        ConversionError: The samples don't fit the model, hold NaN or infinity, or are all equal.
    """
    inputs = settings.inputs
    given = [list(array.shape[1:]) for array in inputs]
    if given != [list(shape[1:]) for shape in shapes] or len({len(a) for a in inputs}) != 1:
        raise ConversionError(
            f"the representative samples have the shapes {[list(a.shape) for a in inputs]}, the "
            f"model takes {[['N', *shape[1:]] for shape in shapes]}"
        )
    count = len(inputs[0])
    if not count:
        raise ConversionError("there are no representative samples")
    for array in inputs:
        if not np.isfinite(array).all():
            raise ConversionError("the representative samples hold NaN or infinity")
        if array.min() == array.max():
            raise ConversionError(
                f"every number of the representative samples is {array.flat[0]:g}: they don't show "
                "what the model will see; take some tens of training samples"
            )
        if count > 1 and (array == array[:1]).all():
            raise ConversionError(
                f"the {count} representative samples are all the same: take some tens of different "
                "training samples"
            )
    if count < FEW_SAMPLES:
        return [
            f"int8 ranges come from {count} sample{'s' if count > 1 else ''} only: numbers beyond "
            f"theirs will be cut off; take {FEW_SAMPLES} or more"
        ]
    return []
