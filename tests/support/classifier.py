"""A small classifier of images, as a float `.tflite` file."""

import numpy as np

from tests.support.float_graphs import FloatGraph, binary_weights


def classifier(channels: int = 3, classes: int = 5, outputs: int = 1, real: bool = False) -> bytes:
    """The file: images `[1, 4, 4, channels]` → sign → a binary dense layer → `[1, classes]`.

    Args:
        channels: Of the images.
        classes: Their number.
        outputs: The number of such layers, an output each.
        real: Whether a layer with real weights comes first.
    """
    random = np.random.default_rng(7)
    g = FloatGraph()
    x = g.tensor((1, 4, 4, channels))
    flat = g.reshape(x, (1, 16 * channels))
    if real:
        weights = random.normal(0, 0.2, (16 * channels, 16 * channels)).astype(np.float32)
        flat = g.dense(flat, g.constant(weights))
    weights = [
        binary_weights(random, (classes, 16 * channels), scales=True) for _ in range(outputs)
    ]
    return g.build([x], [g.dense(g.sign(flat), g.constant(each)) for each in weights])
