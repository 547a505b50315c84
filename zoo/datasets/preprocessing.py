"""Preprocessing: from raw pixels to a model's input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONTRASTS = ("none", "global", "local")

Images = NDArray[np.float32]


@dataclass(frozen=True)
class Preprocessing:
    """The way from raw pixels to the model's input, in float32.

    First x·scale + offset, then, image by image, the normalisation of contrast, then the whitening,
    whose matrix is fitted to the training images.

    Attributes:
        scale: Factor of every pixel, or one for each channel.
        offset: What is then added, alike.
        contrast: "none", "global" (`global_contrast`) or "local" (both `global_contrast` and
            `local_contrast`).
        whitening: Whether ZCA follows (`fit_zca`).
    """

    scale: float | tuple[float, ...]
    offset: float | tuple[float, ...]
    contrast: str = "none"
    whitening: bool = False

    def __post_init__(self) -> None:
        if self.contrast not in CONTRASTS:
            raise ValueError(f"contrast is one of {', '.join(CONTRASTS)}, not {self.contrast!r}")

    @property
    def channels(self) -> int | None:
        """Of the images that it takes; None for any number."""
        numbers = [value for value in (self.scale, self.offset) if isinstance(value, tuple)]
        return len(numbers[0]) if numbers else None

    def fit(self, images: NDArray[np.uint8]) -> Preprocessor:
        """This preprocessing, fitted to the training images `[N, H, W, C]`."""
        if not self.whitening:
            return Preprocessor(self, {})
        mean, matrix = fit_zca(normalise(self, images).reshape(len(images), -1))
        return Preprocessor(self, {"zca_mean": mean, "zca_matrix": matrix})


class Preprocessor:
    """A fitted preprocessing: `[N, H, W, C]` uint8 → float32 of the same shape.

    Args:
        preprocessing: What is done.
        arrays: What was fitted: `zca_mean` `[H·W·C]` and `zca_matrix` `[H·W·C, H·W·C]` of a
            whitening, else nothing.
    """

    def __init__(self, preprocessing: Preprocessing, arrays: dict[str, Images]):
        self.preprocessing = preprocessing
        self.arrays = arrays

    def __call__(self, images: NDArray[np.uint8]) -> Images:
        """The model's input."""
        values = normalise(self.preprocessing, images)
        if not self.arrays:
            return values
        flat = values.reshape(len(values), -1) - self.arrays["zca_mean"]
        return (flat @ self.arrays["zca_matrix"]).reshape(values.shape)


def normalise(preprocessing: Preprocessing, images: NDArray[np.uint8]) -> Images:
    """All that is done without having been fitted."""
    values = images.astype(np.float32) * np.asarray(preprocessing.scale, np.float32)
    values += np.asarray(preprocessing.offset, np.float32)
    if preprocessing.contrast != "none":
        values = global_contrast(values)
    if preprocessing.contrast == "local":
        values = local_contrast(values)
    return values


GLOBAL_CONTRAST_NORM = 55.0
"""‖x‖ after `global_contrast`: √3072 ≈ 55.4, so that a pixel of CIFAR-10 has about unit size."""


def global_contrast(images: Images) -> Images:
    """Images without their mean, scaled to one norm: 55·(x − mean(x)) / ‖x − mean(x)‖.

    An Analysis of Single-Layer Networks in Unsupervised Feature Learning, A. Coates et al., 2011,
    section 3.1.1, with the constant of the data that the BinaryConnect and BNN papers use. An image
    of one colour becomes zero.

    Args:
        images: `[N, H, W, C]`.
    """
    centred = images - images.mean(axis=(1, 2, 3), keepdims=True)
    norm = np.sqrt(np.square(centred).sum(axis=(1, 2, 3), keepdims=True))
    return GLOBAL_CONTRAST_NORM * centred / np.where(norm > 1e-8, norm, 1.0)


LOCAL_SIGMA = 2.0
LOCAL_RADIUS = 3


def local_contrast(images: Images) -> Images:
    """Each channel without its local mean, over its local deviation, in a Gaussian 7×7 window.

    v = x − g∗x, y = v / max(σ, mean(σ)), σ = √(g∗v²), zeros beyond the border.

    What is the Best Multi-Stage Architecture for Object Recognition?, K. Jarrett et al., 2009,
    section 2. A channel of one value becomes its border's effect over 1e-4 at least.

    Args:
        images: `[N, H, W, C]`.
    """
    from scipy.ndimage import gaussian_filter

    def blurred(values: Images) -> Images:
        return gaussian_filter(
            values,
            sigma=(0, LOCAL_SIGMA, LOCAL_SIGMA, 0),
            mode="constant",
            radius=(0, LOCAL_RADIUS, LOCAL_RADIUS, 0),
        )

    centred = images - blurred(images)
    deviation = np.sqrt(blurred(np.square(centred)))
    least = np.maximum(deviation.mean(axis=(1, 2), keepdims=True), 1e-4)
    return centred / np.maximum(deviation, least)


ZCA_BIAS = 0.1


def fit_zca(images: Images) -> tuple[Images, Images]:
    """Mean `[D]` and matrix `[D, D]` of a whitening that stays close to the images.

    With the covariance Σ = E·Λ·Eᵀ of the images, the matrix is E·(Λ + 0.1)^(−1/2)·Eᵀ.

    Learning Multiple Layers of Features from Tiny Images, A. Krizhevsky, 2009, appendix A; the bias
    is that of the data that the BinaryConnect and BNN papers use.

    Args:
        images: `[N, D]`.
    """
    mean = images.mean(axis=0)
    centred = images - mean
    covariance = (centred.T @ centred).astype(np.float64) / len(images)
    values, vectors = np.linalg.eigh(covariance)
    # Rounding may leave a zero slightly negative.
    root = 1 / np.sqrt(np.maximum(values, 0) + ZCA_BIAS)
    return mean, ((vectors * root) @ vectors.T).astype(np.float32)


MINUS_ONE_TO_ONE = Preprocessing(1 / 127.5, -1.0)
"""0…255 → [-1, 1]."""

SIGNED_8_BIT = Preprocessing(1 / 128, -1.0)
"""0…255 → the multiples of 1/128 in [-1, 127/128], which are the 8-bit numbers x − 128.

Sums of them are exact in float32 and in the fixed-point arithmetic of an FPGA alike.
"""

_IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_DEVIATION = (58.395, 57.12, 57.375)
IMAGENET = Preprocessing(
    tuple(1 / deviation for deviation in _IMAGENET_DEVIATION),
    tuple(-m / d for m, d in zip(_IMAGENET_MEAN, _IMAGENET_DEVIATION, strict=True)),
)
"""0…255 → mean 0 and variance 1 in each of ImageNet's channels."""
