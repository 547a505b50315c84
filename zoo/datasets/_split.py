"""A split that lies in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onebit.keras import tf


@dataclass(frozen=True)
class Split:
    """Labelled images, uint8 `[N, H, W, C]`, or texts as token ids, int32 `[N, S]`.

    Attributes:
        images: The images or token ids.
        labels: int64 `[N]`.
    """

    images: NDArray[Any]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if (self.images.dtype, self.images.ndim) not in ((np.uint8, 4), (np.int32, 2)):
            raise ValueError(
                f"images are uint8 [N, H, W, C] and tokens int32 [N, S], not "
                f"{self.images.dtype} {list(self.images.shape)}"
            )
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != np.int64:
            raise ValueError(
                f"labels are int64 [N] beside {len(self.images)} images, "
                f"not {self.labels.dtype} {list(self.labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: slice | NDArray[np.int64]) -> Split:
        return Split(self.images[index], self.labels[index])

    @property
    def image_shape(self) -> tuple[int, ...]:
        """`[H, W, C]` of an image or `[S]` of a text."""
        return self.images.shape[1:]

    def update(self, digest: Any) -> None:
        """Feeds a hash with the images and labels, in their order."""
        digest.update(str(self.images.shape).encode())
        digest.update(self.images.tobytes())
        digest.update(self.labels.astype("<i8").tobytes())

    def batches(self, batch_size: int, order: tuple[int, int] | None = None) -> tf.data.Dataset:
        """Batches of (raw images, labels).

        Args:
            batch_size: Images a batch; the last may have fewer.
            order: (seed, epoch), which fully determine the shuffle; None keeps the stored order.
        """
        from onebit.keras import tf

        split = self if order is None else self[np.random.default_rng(order).permutation(len(self))]
        return tf.data.Dataset.from_tensor_slices((split.images, split.labels)).batch(batch_size)

    def first(self, count: int) -> Split:
        """The first `count` images, raw."""
        return self[:count]

    @classmethod
    def joined(cls, parts: Sequence[Split]) -> Split:
        """The parts, one behind the other."""
        return cls(
            np.concatenate([part.images for part in parts]),
            np.concatenate([part.labels for part in parts]),
        )
