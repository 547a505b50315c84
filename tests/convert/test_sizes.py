"""Sizes of the converted families, built as large as in their papers."""

import numpy as np
import pytest

import zoo
from convert.conversion import convert_model
from convert.samples import Samples
from tests.convert.models import images, randomise


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "shape", "most_bytes", "kinds"),
    [
        ("binary_connect_mlp", {}, (28, 28, 1), 450_000, {"binary_weights"}),
        ("binary_connect_cnn", {}, (32, 32, 3), 14_037_416 * 4 / 25, {"binary_weights"}),
        ("binary_net_mlp", {"units": 2048}, (28, 28, 1), 1_350_000, {"binary", "binary_weights"}),
        ("binary_net_cnn", {}, (32, 32, 3), 14_037_416 * 4 / 25, {"binary", "binary_weights"}),
    ],
)
def test_family_has_the_promised_size_and_keras_outputs(name, options, shape, most_bytes, kinds):
    model = randomise(zoo.build(name, input_shape=shape, **options))
    conversion = convert_model(model, samples=Samples([images(8, shape)], None, "random"))
    assert len(conversion.tflite) <= most_bytes
    assert {layer.kind for layer in conversion.report.layers} == kinds
    verification = conversion.report.verification
    assert verification.verdict in ("exact", "rounding flips")
    assert np.isfinite(verification.tolerance)
