"""A threshold network computed with NumPy: the readable reference of every target."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.targets.network import Window
from convert.targets.thresholds.network import InputSigns, Layer, MaxPool, Stage, ThresholdNetwork


def run(network: ThresholdNetwork, integers: NDArray[np.int64]) -> NDArray[np.float32]:
    """The outputs.

    Args:
        network: The network.
        integers: Inputs q `[N, …]`.

    Returns:
        float32 `[N, …]`, as the file gives them.
    """
    values = last_sums(network, integers).astype(np.float32)
    for step in network.float_steps:
        values = step(values)
    return values.reshape(len(integers), *network.output_shape[1:])


def last_sums(network: ThresholdNetwork, integers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The last layer's sums `[N, H, W, O]`, or its signs where it has thresholds."""
    values = integers
    for stage in network.stages:
        values = values.reshape(len(integers), *stage.input_shape)
        values = _STEPS[type(stage)](stage, values)
    return values


def _signs(stage: Stage, values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(values >= 0, 1, -1)


def _layer(layer: Layer, values: NDArray[np.int64]) -> NDArray[np.int64]:
    windows = _windows(values, layer.window, layer.pad_value)
    # float64 holds sums below 2^53 exactly, and multiplies fast.
    flat = windows.reshape(*windows.shape[:3], -1).astype(np.float64)
    sums = (flat @ layer.weights.reshape(len(layer.weights), -1).T).astype(np.int64)
    if layer.thresholds is None:
        return sums
    return np.where(sums >= layer.thresholds, 1, -1)


def _max_pool(stage: MaxPool, values: NDArray[np.int64]) -> NDArray[np.int64]:
    return _windows(values, stage.window, -1).max((3, 4))


_STEPS: dict[type[Stage], Callable] = {InputSigns: _signs, Layer: _layer, MaxPool: _max_pool}


def _windows(values: NDArray[np.int64], window: Window, outside: int) -> NDArray[np.int64]:
    """`[N, H, W, C]` → `[N, OH, OW, KH, KW, C]`."""
    padded = np.pad(values, ((0, 0), *window.pads, (0, 0)), constant_values=outside)
    extent = [(k - 1) * d + 1 for k, d in zip(window.size, window.dilations, strict=True)]
    view: Any = np.lib.stride_tricks.sliding_window_view(padded, extent, (1, 2))  # type: ignore[call-overload]
    (rows, columns), (down, right) = window.strides, window.dilations
    view = view[:, ::rows, ::columns, :, ::down, ::right]
    return np.moveaxis(view, 3, 5)
