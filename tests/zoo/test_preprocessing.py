import numpy as np
import pytest

from zoo.datasets.preprocessing import (
    GLOBAL_CONTRAST_NORM,
    LOCAL_RADIUS,
    LOCAL_SIGMA,
    SIGNED_8_BIT,
    ZCA_BIAS,
    Preprocessing,
    fit_zca,
    global_contrast,
    local_contrast,
)


def _images(count=7, size=9, channels=3):
    return np.random.default_rng(4).integers(
        256, size=(count, size, size, channels), dtype=np.uint8
    )


def test_an_affine_map_is_computed_in_float32():
    pixels = np.array([[[[0], [51], [255]]]], np.uint8)
    mapped = Preprocessing(1 / 127.5, -1.0).fit(pixels)(pixels)
    assert mapped.dtype == np.float32
    # One rounding of the factor, one of the product, one of the sum, each within 2^-24 of 2.
    np.testing.assert_allclose(mapped.ravel(), [-1, -0.6, 1], atol=3 * 2**-23)


def test_global_contrast_centres_and_scales_each_image():
    images = _images().astype(np.float32)
    normal = global_contrast(images)
    # Sums of 243 float32 numbers below 10.
    np.testing.assert_allclose(normal.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    norms = np.linalg.norm(normal.reshape(len(images), -1), axis=1)
    np.testing.assert_allclose(norms, GLOBAL_CONTRAST_NORM, rtol=1e-6)
    np.testing.assert_allclose(global_contrast(3 * images + 5), normal, atol=1e-4)


def test_an_image_of_one_colour_becomes_zero():
    np.testing.assert_array_equal(global_contrast(np.full((1, 4, 4, 3), 77, np.float32)), 0)


def test_local_contrast_is_its_definition_at_a_pixel_inside():
    image = _images(1, 15, 2).astype(np.float64)
    offsets = np.arange(-LOCAL_RADIUS, LOCAL_RADIUS + 1)
    line = np.exp(-(offsets**2) / (2 * LOCAL_SIGMA**2))
    window = np.outer(line, line) / line.sum() ** 2

    def blurred(plane):
        padded = np.pad(plane, LOCAL_RADIUS)
        views = np.lib.stride_tricks.sliding_window_view(padded, window.shape)
        return np.einsum("hwij,ij->hw", views, window)

    expected = np.empty_like(image)
    for channel in range(2):
        centred = image[0, ..., channel] - blurred(image[0, ..., channel])
        deviation = np.sqrt(blurred(centred**2))
        expected[0, ..., channel] = centred / np.maximum(deviation, deviation.mean())
    # float32 sums of 49 products below 255, divided by deviations above 10.
    np.testing.assert_allclose(local_contrast(image.astype(np.float32)), expected, atol=1e-4)


def test_whitening_removes_correlations_but_for_the_bias():
    random = np.random.default_rng(2)
    images = (random.normal(size=(4000, 6)) @ random.normal(size=(6, 6)) + 3).astype(np.float32)
    mean, matrix = fit_zca(images)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)
    white = ((images - mean) @ matrix).astype(np.float64)
    covariance = np.cov(images.T.astype(np.float64), bias=True)
    values, vectors = np.linalg.eigh(covariance)
    expected = (vectors * (values / (values + ZCA_BIAS))) @ vectors.T
    # The covariance is a mean of float32 products: 4,000 roundings that mostly cancel.
    np.testing.assert_allclose(np.cov(white.T, bias=True), expected, atol=1e-3)


def test_a_fitted_preprocessing_uses_what_the_training_images_had():
    train, test = _images(50, 4), _images(3, 4)[::-1]
    preprocessor = Preprocessing(1.0, 0.0, contrast="global", whitening=True).fit(train)
    assert sorted(preprocessor.arrays) == ["zca_matrix", "zca_mean"]
    flat = global_contrast(test.astype(np.float32)).reshape(3, -1)
    expected = (flat - preprocessor.arrays["zca_mean"]) @ preprocessor.arrays["zca_matrix"]
    np.testing.assert_array_equal(preprocessor(test), expected.reshape(test.shape))


def test_an_unknown_contrast_raises():
    with pytest.raises(ValueError, match="contrast is one of none, global, local, not 'lcn'"):
        Preprocessing(1.0, 0.0, contrast="lcn")


def test_signed_8_bit_pixels_are_exact_multiples():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    values = SIGNED_8_BIT.fit(pixels)(pixels)
    np.testing.assert_array_equal(values.ravel() * 128, np.arange(-128, 128))
