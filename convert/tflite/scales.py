"""The scales in a binary filter: one per output channel, or one per output times one per input.

Larq Compute Engine folds the layers around a layer into its filter. A normalisation behind the
layer scales the rows of `W[o, …, i] = ±1`, one in front of it the columns:

    |W[o, …, i]| = r[o]·c[i]

One scale per row is recognised by equality, because multiplying ±1 by r[o] is exact. A product of
two scales is rounded once or twice (2^-24 each, relatively), and so are r and c as float32. Where
every weight is within 4·2^-24 = 2^-22 of r[o]·c[i], the factors are as good as the weights: in a
sum of K products that is at most 2^-22·Σ|x·w|, and the sum itself may round off K·2^-24 of it.
"""

import numpy as np
from numpy.typing import NDArray

ROUNDINGS = 4
_TOLERANCE = ROUNDINGS * 2.0**-24


def channels_first(op_name: str, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """A filter with its output channels in front, `[O, …, I]`, whatever the operator's layout."""
    if op_name == "DEPTHWISE_CONV_2D":  # [1, KH, KW, O]
        return np.moveaxis(weights[0], -1, 0)
    if op_name == "CONV_3D":  # [KD, KH, KW, I, O]
        return np.moveaxis(weights, -1, 0)
    if op_name == "CONV_3D_TRANSPOSE":  # [KD, KH, KW, O, I]
        return np.moveaxis(weights, -2, 0)
    return weights


def row_scales(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales r[o], each the size of a channel's first weight: `[O, …]` → `[O]`."""
    return np.abs(weights.reshape(len(weights), -1)[:, 0])


def has_binary_rows(weights: NDArray[np.float32]) -> bool:
    """Whether each output channel of `[O, …]` is ±one scale, and the scales are not all zero."""
    r = row_scales(weights)
    rows = np.abs(weights.reshape(len(weights), -1))
    return bool(r.any() and np.isfinite(r).all() and (rows == r[:, np.newaxis]).all())


def row_and_column_scales(
    weights: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Factors r `[O]` and c `[I]` with |W[o, …, i]| = r[o]·c[i] up to rounding; None without such.

    Rows and columns of zeros (a gamma of 0) have r or c = 0. The factors are the geometric means of
    the rows and columns, over which the single roundings even out.
    """
    with np.errstate(invalid="ignore"):  # a damaged file's signalling NaN, refused below
        size = np.abs(weights.reshape(len(weights), -1, weights.shape[-1])).astype(np.float64)
    rows, columns = size.any((1, 2)), size.any((0, 1))
    inner = size[rows][:, :, columns]
    if not inner.size or not np.isfinite(inner).all() or not inner.all():
        return None
    logs = np.log(inner)
    r, c = np.zeros(len(rows)), np.zeros(len(columns))
    r[rows] = np.exp(logs.mean((1, 2)))
    c[columns] = np.exp(logs.mean((0, 1)) - logs.mean())
    r32, c32 = r.astype("<f4"), c.astype("<f4")
    product = r32.astype(np.float64)[:, np.newaxis, np.newaxis] * c32
    if (np.abs(product - size) > _TOLERANCE * size).any():
        return None
    return r32, c32
