"""LCE's operators in NumPy, from their definition: convolve ±1 as integers, then transform."""

import numpy as np


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """(before, after), as TensorFlow pads."""
    out = -(-size // stride)
    needed = max((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return needed // 2, needed - needed // 2


def convolve(x, filters, *, stride, dilation, same, pad_values, groups):
    """int64 dot products of ±1: x [N, H, W, C], filters [O, KH, KW, C / groups]."""
    signs = np.where(x < 0, -1, 1).astype(np.int64)
    kernel = filters.shape[1:3]
    if same:
        pads = [same_padding(x.shape[1 + i], kernel[i], stride[i], dilation[i]) for i in (0, 1)]
        signs = np.pad(signs, [(0, 0), *pads, (0, 0)], constant_values=pad_values)
    out = [
        (signs.shape[1 + i] - (kernel[i] - 1) * dilation[i] - 1) // stride[i] + 1 for i in (0, 1)
    ]
    depth, width = filters.shape[3], filters.shape[0] // groups
    result = np.zeros((x.shape[0], *out, filters.shape[0]), np.int64)
    for ky in range(kernel[0]):
        for kx in range(kernel[1]):
            rows = slice(
                ky * dilation[0], ky * dilation[0] + (out[0] - 1) * stride[0] + 1, stride[0]
            )
            cols = slice(
                kx * dilation[1], kx * dilation[1] + (out[1] - 1) * stride[1] + 1, stride[1]
            )
            patch = signs[:, rows, cols]
            for g in range(groups):
                outputs = slice(g * width, (g + 1) * width)
                taps = filters[outputs, ky, kx].astype(np.int64)
                result[..., outputs] += patch[..., g * depth : (g + 1) * depth] @ taps.T
    return result


def activate(dots, activation):
    """The fused activation, on integers: none, ReLU, ReLU -1..1, ReLU6."""
    low, high = [(-np.inf, np.inf), (0, np.inf), (-1, 1), (0, 6)][activation]
    return np.clip(dots, low, high)


def max_pool(values, *, window, stride, same, lowest):
    """The maximum over windows of values [N, H, W, C], of which `lowest` is the least."""
    if same:
        pads = [same_padding(values.shape[1 + i], window[i], stride[i], 1) for i in (0, 1)]
        values = np.pad(values, [(0, 0), *pads, (0, 0)], constant_values=lowest)
    out = [(values.shape[1 + i] - window[i]) // stride[i] + 1 for i in (0, 1)]
    result = np.full((values.shape[0], *out, values.shape[3]), lowest, values.dtype)
    for y in range(window[0]):
        for x in range(window[1]):
            rows = slice(y, y + (out[0] - 1) * stride[0] + 1, stride[0])
            cols = slice(x, x + (out[1] - 1) * stride[1] + 1, stride[1])
            result = np.fmax(result, values[:, rows, cols])
    return result
