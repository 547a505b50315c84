"""Layers of vision transformers on maps `[N, H, W, C]`: windows and shifts.

BHViT: Binarized Hybrid Vision Transformer, arXiv 2503.02394, as in its program,
https://github.com/IMRL/BHViT (transformer/BHViT.py).
"""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

from onebit.keras import keras, tf


def split_windows(x: tf.Tensor, size: int) -> tf.Tensor:
    """`[N, H, W, C]` → its windows row by row, `[N, H/size · W/size, size², C]`."""
    height, width, channels = x.shape[1:]
    rows, columns = height // size, width // size
    x = tf.reshape(x, [-1, size, columns, size, channels])
    x = tf.transpose(x, [0, 2, 1, 3, 4])
    return tf.reshape(x, [-1, rows * columns, size * size, channels])


def join_windows(windows: tf.Tensor, height: int, width: int, size: int) -> tf.Tensor:
    """The map `[N, height, width, C]` whose `split_windows` these are."""
    channels = windows.shape[-1]
    x = tf.reshape(windows, [-1, width // size, size, size, channels])
    x = tf.transpose(x, [0, 2, 1, 3, 4])
    return tf.reshape(x, [-1, height, width, channels])


class _Windowed(keras.layers.Layer):
    """A layer of square windows with one trained share per channel, which starts at ½.

    Args:
        size: Height and width of a window.
        name: The layer's name.
    """

    def __init__(self, size: int, name: str | None = None, **options: Any):
        super().__init__(name=name, **options)
        self.size = size

    def _add_share(self, channels: int) -> None:
        half = keras.initializers.Constant(0.5)
        self.share = self.add_weight("share", [channels], initializer=half)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "size": self.size}


@keras.utils.register_keras_serializable(package="onebit")
class WindowTokens(_Windowed):
    """The tokens of each window, and behind them one token for every window of the map.

    `[N, H, W, C]` → `[N, G, size² + G, C]` with G = H/size · W/size windows. The token of a window
    is s·max + (1 − s)·mean over size × size places, with a trained s per channel.

    Those places begin size // 2 above and left of the window, as the program pads its poolings by
    that much: places outside count as 0 for the mean and not at all for the maximum.
    """

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates s `[C]`; H and W must be multiples of the size."""
        height, width, channels = (int(extent) for extent in input_shape[1:])
        if height % self.size or width % self.size:
            raise ValueError(
                f"a map of {height}×{width} does not divide into windows of {self.size}×{self.size}"
            )
        self._add_share(channels)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Tokens of the windows."""
        windows = split_windows(inputs, self.size)
        count, channels = windows.shape[1], windows.shape[-1]
        before = self.size // 2
        padding = [[0, 0], [before, 0], [before, 0], [0, 0]]
        mean = tf.nn.avg_pool2d(tf.pad(inputs, padding), self.size, self.size, "VALID")
        lowest = tf.pad(inputs, padding, constant_values=inputs.dtype.min)
        maximum = tf.nn.max_pool2d(lowest, self.size, self.size, "VALID")
        summary = self.share * maximum + (1.0 - self.share) * mean
        summary = tf.reshape(summary, [-1, 1, count, channels])
        # Every window sees the same summary.
        return tf.concat([windows, tf.tile(summary, [1, count, 1, 1])], axis=2)


@keras.utils.register_keras_serializable(package="onebit")
class JoinTokens(_Windowed):
    """Back from `WindowTokens` to a map: `[N, G, size² + G, C]` → `[N, height, width, C]`.

    s·windows + (1 − s)·summary with a trained s per channel. Each window has worked on a copy of
    the summary: their mean is spread over the places of the windows that its tokens stand for.

    Args:
        size: Height and width of a window.
        height: Of the map.
        width: Of the map.
        name: The layer's name.
    """

    def __init__(self, size: int, height: int, width: int, name: str | None = None, **options: Any):
        super().__init__(size, name=name, **options)
        self.height, self.width = height, width

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates s `[C]`."""
        self._add_share(int(input_shape[-1]))
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The map."""
        rows, columns = self.height // self.size, self.width // self.size
        channels = inputs.shape[-1]
        places = self.size**2
        windows = join_windows(inputs[:, :, :places], self.height, self.width, self.size)
        summary = tf.reduce_mean(inputs[:, :, places:], axis=1)
        summary = tf.reshape(summary, [-1, rows, columns, channels])
        spread = tf.image.resize(summary, [self.height, self.width], "nearest")
        return self.share * windows + (1.0 - self.share) * spread

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "height": self.height, "width": self.width}


@keras.utils.register_keras_serializable(package="onebit")
class TanhGELU(keras.layers.Layer):
    """x·Φ(x) with the normal distribution Φ by a tanh: at most 5e-4 from the exact GELU.

    Forward: f(x) = x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))

    Gaussian Error Linear Units, arXiv 1606.08415, section 2.
    Larq Compute Engine has no operator for the error function of the exact one.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Values of the inputs' shape."""
        cube = inputs * inputs * inputs
        return 0.5 * inputs * (1.0 + tf.tanh(math.sqrt(2 / math.pi) * (inputs + 0.044715 * cube)))


def rolled(x: tf.Tensor, distance: int, axis: int) -> tf.Tensor:
    """The map moved down (axis 1) or right (axis 2) by some places; what leaves it comes back in.

    Args:
        x: `[N, H, W, C]`.
        distance: Places; below 0 for up or left. At most the map's extent.
        axis: 1 or 2.
    """
    extent = x.shape[axis]
    cut = -distance % extent
    first, second = tf.split(x, [cut, extent - cut], axis)
    return tf.concat([second, first], axis)


def ring_mean(x: tf.Tensor, distance: int, axis: int) -> tf.Tensor:
    """Each place's mean with those up to `distance` before and behind it, around the edges.

    Args:
        x: `[N, H, W, C]`.
        distance: Places on each side; at most the map's extent.
        axis: 1 for a column's neighbours, 2 for a row's.
    """
    extent = x.shape[axis]
    end, _ = tf.split(x, [distance, extent - distance], axis)
    _, begin = tf.split(x, [extent - distance, distance], axis)
    window = [2 * distance + 1 if dimension == axis else 1 for dimension in (1, 2)]
    return tf.nn.avg_pool2d(tf.concat([begin, x, end], axis), window, 1, "VALID")


@keras.utils.register_keras_serializable(package="onebit")
class ShiftMix(keras.layers.Layer):
    """Neighbours mixed by shifts instead of weights: `[N, H, W, C]` → the same shape.

    For each distance d the sum of three maps, each with a trained scale and shift per channel that
    start at 0: `ring_mean` along columns, along rows, and a map whose four quarters of channels are
    moved by d down, up, right and left.

    BHViT, arXiv 2503.02394: the shifts that support its binary feed-forward layers.

    Args:
        distances: The d.
        name: The layer's name.
    """

    KINDS = ("column", "row", "quarters")

    def __init__(
        self, distances: tuple[int, ...] = (1, 2), name: str | None = None, **options: Any
    ):
        super().__init__(name=name, **options)
        self.distances = tuple(distances)

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates scales and shifts `[C]`, three of each for a distance."""
        height, width, channels = (int(extent) for extent in input_shape[1:])
        if min(height, width) < max(self.distances) or channels % 4:
            raise ValueError(
                f"shifts by {max(self.distances)} need a map of at least as many places and a "
                f"multiple of 4 channels, not {height}×{width}×{channels}"
            )
        self.scales, self.shifts = (
            [
                self.add_weight(f"{kind}_{distance}_{what}", [channels], initializer="zeros")
                for distance in self.distances
                for kind in self.KINDS
            ]
            for what in ("scale", "shift")
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The sum of all maps."""
        quarters = tf.split(inputs, 4, axis=-1)
        maps = []
        for d in self.distances:
            moves = ((d, 1), (-d, 1), (d, 2), (-d, 2))
            moved = [rolled(x, *move) for x, move in zip(quarters, moves, strict=True)]
            maps += [ring_mean(inputs, d, 1), ring_mean(inputs, d, 2), tf.concat(moved, -1)]
        scaled = [scale * x for scale, x in zip(self.scales, maps, strict=True)]
        # The shifts are added up by themselves: a converter makes one constant of them.
        return functools.reduce(operator.add, scaled) + tf.add_n(self.shifts)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "distances": self.distances}
