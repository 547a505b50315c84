"""Pixels as the input of a network whose file takes numbers: the normalisation becomes its part."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.targets.network import Network, Operator, Value
from onebit.metadata import Metadata, Normalization

PixelType = Literal["uint8", "int8"]

_NEAR = 1e-5
"""Of a pixel: by so much float32 rounds a pixel's number, for a mean of 128."""


@dataclass(frozen=True, kw_only=True)
class PixelNumbers(Operator):
    """Pixels → `scale·pixel + offset` in float32; an int8 input stands for the pixel less 128."""

    normalization: Normalization


@dataclass(frozen=True, kw_only=True)
class PixelSigns(Operator):
    """Pixels → bits that are 1 where the stored number is below `threshold`."""

    threshold: int


@dataclass(frozen=True)
class Integers:
    """Whole numbers `v = factor·q − zero_point` of stored q, which stand for `step·v`."""

    value: Value
    factor: int
    zero_point: int
    step: np.float32


def with_pixels(
    network: Network, metadata: Metadata, dtype: PixelType
) -> tuple[Network, Normalization]:
    """The network with 8-bit pixels as its input, and how they become the file's numbers.

    Raises:
        ConversionError: It has several inputs, other ones than floats, or the file does not say how
            pixels become its numbers.
    """
    (index, *others), hint = network.inputs, "leave --input-type out"
    old = network.values[index]
    if others:
        raise ConversionError(
            f"the file has {len(network.inputs)} inputs: not one image", hint=hint
        )
    if old.dtype != "float32":
        raise ConversionError(f"the file's input is {old.dtype} already", hint=hint)
    normalization = metadata.normalization.get(0)
    if normalization is None:
        raise ConversionError(
            "the file does not say how pixels become its numbers",
            hint="convert the model again with --normalize MEAN,STD",
        )
    if normalization.channels not in (1, old.shape[-1]):
        raise ConversionError(
            f"the file normalises {normalization.channels} channels, its input has {old.shape[-1]}"
        )
    new = Value(max(network.values) + 1, old.name, old.shape, dtype)
    first = PixelNumbers(
        name=old.name,
        op="PIXELS",
        inputs=(new.index,),
        output=index,
        normalization=normalization,
    )
    changed = dataclasses.replace(
        network,
        values={**network.values, new.index: new},
        operators=(first, *network.operators),
        inputs=(new.index,),
    )
    return changed, normalization


def pixels_of(stored: NDArray[np.integer]) -> NDArray[np.integer]:
    """The pixels from 0 to 255 that stored numbers stand for."""
    return stored.astype(np.int64) + (128 if stored.dtype == np.int8 else 0)


def integers_of(operator: PixelNumbers, value: Value) -> Integers | None:
    """Pixels as whole numbers of 8 bits and a sign; None where a normalisation gives none."""
    mean, std = operator.normalization.mean, operator.normalization.std
    if operator.normalization.channels > 1 or std[0] <= 0:
        return None
    for factor in (1, 2):
        middle = round(factor * mean[0])
        if abs(middle - factor * mean[0]) > factor * _NEAR:
            continue
        if middle < 0 or middle > 255 or factor * 255 - middle > 255:
            return None  # sums of 16 bits would overflow
        zero = middle - (factor * 128 if value.dtype == "int8" else 0)
        return Integers(value, factor, zero, np.float32(1 / (factor * std[0])))
    return None


def sign_threshold(operator: PixelNumbers, value: Value) -> int | None:
    """The stored number below which a pixel's number is; None where channels differ."""
    if operator.normalization.channels > 1 or operator.normalization.std[0] <= 0:
        return None
    numbers = operator.normalization(np.arange(256))
    below = int((numbers < 0).sum())
    return below - (128 if value.dtype == "int8" else 0)
