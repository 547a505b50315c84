"""The bit contract of Larq Compute Engine: 1 means negative, least significant bit first.

`tests/golden/bits.json` holds vectors that every implementation of this contract must reproduce.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

WORD_BITS = 32


def packed_length(channels: int) -> int:
    """How many 32-bit words hold `channels` bits."""
    return -(-channels // WORD_BITS)


def pack(values: ArrayLike) -> NDArray[np.int32]:
    """Packs signs along the last dimension: `[..., C]` → int32 `[..., ⌈C/32⌉]`.

    A bit is 1 where the value is below zero; ±0 and NaN count as +1, as in Larq's `sign`. Bits past
    the last channel are 0.
    """
    negative = np.asarray(values) < 0
    channels = negative.shape[-1]
    padding = [(0, 0)] * (negative.ndim - 1) + [(0, packed_length(channels) * WORD_BITS - channels)]
    octets = np.packbits(np.pad(negative, padding), axis=-1, bitorder="little")
    return np.ascontiguousarray(octets).view("<i4")


def unpack(words: ArrayLike, channels: int) -> NDArray[np.float32]:
    """The inverse of `pack`: int32 `[..., ⌈C/32⌉]` → float32 ±1 `[..., C]`.

    Raises:
        ValueError: The last dimension does not hold exactly `channels` bits.
    """
    array = np.ascontiguousarray(words, dtype="<i4")
    if array.shape[-1] != packed_length(channels):
        raise ValueError(
            f"{channels} channels take {packed_length(channels)} words, not {array.shape[-1]}"
        )
    bits = np.unpackbits(array.view(np.uint8), axis=-1, bitorder="little", count=channels)
    return np.where(bits, np.float32(-1), np.float32(1))
