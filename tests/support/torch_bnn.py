"""`binary_net_cnn` as PyTorch has it: a state dict, its map of names, and its outputs in NumPy."""

import numpy as np

CONVS = {f"conv{n}": f"conv_{(n + 1) // 2}_{2 - n % 2}" for n in range(1, 7)}
DENSE = {"fc1": "hidden_1", "fc2": "hidden_2", "fc3": "logits"}
LAYERS = {**CONVS, **DENSE}
MAP = {
    **LAYERS,
    # Three poolings leave pixels, so the first dense layer sees their values channel by channel.
    "fc1": {"to": "hidden_1", "flatten": "CHW"},
    **{f"bn{n}": f"{layer}_bn" for n, layer in enumerate(LAYERS.values(), 1)},
}


def shapes(image, classes, width):
    """Module → shape of its weight in PyTorch, `[O, I, H, W]` or `[O, I]`."""
    height, breadth, channels = image
    found, before = {}, channels
    for index, name in enumerate(CONVS):
        filters = width * 2 ** (index // 2)
        found[name], before = (filters, before, 3, 3), filters
    before *= (height // 8) * (breadth // 8)
    for name, units in zip(DENSE, (8 * width, 8 * width, classes), strict=True):
        found[name], before = (units, before), units
    return found


def state_dict(image, *, classes, width, seed):
    """Random weights; no latent weight is 0, whose sign PyTorch and Keras may differ in."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for number, (name, shape) in enumerate(shapes(image, classes, width).items(), 1):
        tensors[f"{name}.weight"] = rng.uniform(-1, 1, shape).astype(np.float32)
        for part, low, high in (
            *(("weight", 0.5, 1.5), ("bias", -1, 1)),
            *(("running_mean", -2, 2), ("running_var", 1, 9)),
        ):
            tensors[f"bn{number}.{part}"] = rng.uniform(low, high, shape[0]).astype(np.float32)
        tensors[f"bn{number}.num_batches_tracked"] = np.array(11)
    return tensors


def forward(tensors, images):
    """Logits `[N, classes]` of images `[N, C, H, W]`, as PyTorch computes them."""
    x = images.astype(np.float64)
    for number, name in enumerate(LAYERS, 1):
        weight = np.where(tensors[f"{name}.weight"] >= 0, 1.0, -1.0)
        inputs = x if number == 1 else np.where(x >= 0, 1.0, -1.0)
        if name in CONVS:
            x = _convolve(inputs, weight, border=0.0 if number == 1 else 1.0)
        else:
            x = inputs.reshape(len(x), -1) @ weight.T
        scale, offset, mean, variance = (
            tensors[f"bn{number}.{part}"].reshape(-1, *(1,) * (x.ndim - 2))
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        x = (x - mean) / np.sqrt(variance.astype(np.float64) + 1e-5) * scale + offset
        if name in CONVS and number % 2 == 0:
            n, c, h, w = x.shape
            x = x[:, :, : h // 2 * 2, : w // 2 * 2]
            x = x.reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))
    return x


def _convolve(x, weight, border):
    """A 3×3 convolution of `[N, C, H, W]` with a border of one pixel."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=border)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, weight)
