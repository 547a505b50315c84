"""Networks in C that take pixels compute what LCE computes of the normalised numbers.

A pixel less 128, in steps of 1/128, is exact in float32, and so are its sums: bit for bit. The
numbers of other normalisations are rounded, where the network's integers are exact: K of them
differ by at most K·2^-24 of the sum of their sizes, 1e-5 of the largest output here.
"""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.conversion import convert_model
from convert.errors import ConversionError
from convert.metadata import with_metadata
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.targets.c.lower import lower
from convert.targets.c.pixels import pixels_of, with_pixels
from convert.targets.reading import read_network
from convert.tflite.graph import Graph
from onebit.keras import keras, lq
from onebit.metadata import Metadata, Normalization
from tests.convert.models import BINARY, randomise
from tests.convert.targets.test_c_project import MODEL, make
from tests.support.c_networks import CNetwork

SIGNED = Normalization((128.0,), (128.0,))
CENTRED = Normalization((127.5,), (127.5,))
UNIT = Normalization((0.0,), (255.0,))
IMAGENET = Normalization((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def network(first):
    """A network whose first layer is weight-only, binary or float; 3×3 with zero padding."""
    image = keras.Input((9, 8, 3), name="image")
    if first == "dense":
        x = lq.layers.QuantDense(70, kernel_quantizer="ste_sign", use_bias=False)(
            keras.layers.Flatten()(image)
        )
        x = keras.layers.BatchNormalization()(x)
    else:
        options = {
            "weight-only": {"kernel_quantizer": "ste_sign"},
            "binary": {"kernel_quantizer": "ste_sign", "input_quantizer": "ste_sign"},
            "float": {},
        }[first]
        pad = {"pad_values": 1} if first == "binary" else {}
        x = lq.layers.QuantConv2D(64, 3, padding="same", use_bias=False, **pad, **options)(image)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.Flatten()(x)
    x = lq.layers.QuantDense(7, input_quantizer="ste_sign", **BINARY)(x)
    x = keras.layers.BatchNormalization()(x)
    return convert_model(randomise(keras.Model(image, x)), verification=False).tflite


FILES = {}


def content_of(first):
    if first not in FILES:
        FILES[first] = network(first)
    return FILES[first]


@pytest.mark.parametrize("dtype", ["uint8", pytest.param("int8", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("first", "normalization", "kernel"),
    [
        ("weight-only", SIGNED, "pixel_conv_bits"),
        ("weight-only", CENTRED, "pixel_conv_bits"),
        ("weight-only", UNIT, "pixel_conv_bits"),
        ("weight-only", IMAGENET, "pixel_numbers_f32"),
        ("dense", SIGNED, "pixel_conv_bits"),
        ("binary", CENTRED, "sign_bits"),
        ("binary", IMAGENET, "pixel_numbers_f32"),
        ("float", UNIT, "pixel_numbers_f32"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.mean[0]),
)
def test_pixels_are_normalised_by_the_network(first, normalization, kernel, dtype, tmp_path):
    content = content_of(first)
    metadata = Metadata(normalization={0: normalization})
    changed, _ = with_pixels(read_network(content), metadata, dtype)
    assert kernel in lower(changed).calls[0].kernel
    net = CNetwork(content, tmp_path, network=changed).build()
    interpreter, rng = LceInterpreter(content, "reference"), np.random.default_rng(0)
    wrong = 0
    for _ in range(5):
        pixels = rng.integers(0, 256, (1, 9, 8, 3))
        (expected,) = interpreter.run_once([normalization(pixels)])
        (result,) = net.run([(pixels - 128).astype(np.int8) if dtype == "int8" else pixels])
        if first == "binary" or normalization is SIGNED:
            np.testing.assert_array_equal(result, expected)
        else:
            wrong += not np.allclose(result, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    # A sum within rounding of its threshold may flip a bit, which moves an output by two steps.
    assert wrong <= 1


def test_sums_are_of_sixteen_bits_only_where_they_fit():
    metadata = Metadata(normalization={0: Normalization((0.5,), (127.5,))})
    changed, _ = with_pixels(read_network(content_of("weight-only")), metadata, "uint8")
    # 2·255 − 1 is beyond 255: floats.
    assert lower(changed).calls[0].kernel == "onebit_pixel_numbers_f32"


def test_int8_stands_for_pixels_less_128():
    stored = np.array([-128, 0, 127], np.int8)
    np.testing.assert_array_equal(pixels_of(stored), [0, 128, 255])
    metadata = Metadata(normalization={0: CENTRED})
    changed, _ = with_pixels(read_network(content_of("weight-only")), metadata, "int8")
    (layer, *_) = lower(changed).calls[0].arguments
    # 2·(q + 128) − 255 = 2·q + 1
    assert (layer.fields["factor"], layer.fields["zero_point"]) == (2, -1)


def export(folder, model, *options):
    arguments = ["export", model, "--to", "c", "-o", folder, *options]
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_command_writes_a_network_of_pixels(tmp_path):
    folder, model = tmp_path / "net", tmp_path / "model.tflite"
    graph = Graph.from_bytes(MODEL.read_bytes())
    model.write_bytes(with_metadata(graph, Metadata(normalization={0: SIGNED})))
    done = export(folder, model, "--input-type", "uint8")
    assert done.exit_code == 0, done.output
    header = (folder / "src" / "net.h").read_text()
    assert "uint8_t image[784]; /* 1x28x28x1, pixels from 0 to 255 */" in header
    assert "2 of 2 vectors agree" in make(folder, "check", "CFLAGS=-O1").stdout
    (field,) = json.loads((folder / "onebit-export.json").read_text())["network"]["inputs"]
    assert field == {
        "dtype": "uint8", "shape": [1, 28, 28, 1], "scale": [1 / 128], "zero_point": [128]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--input-type", "uint8"], 1, "does not say how pixels become its numbers; convert the"),
        (["--input-type", "integer"], 2, "--input-type integer has no effect with --to c"),
    ],
)
def test_wrong_input_type_is_one_line(options, code, message, tmp_path):
    done = export(tmp_path / "net", MODEL, *options)
    assert (done.exit_code, done.stderr.count("\n")) == (code, 1)
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_file_with_another_input_is_refused():
    metadata = Metadata(normalization={0: IMAGENET})
    with pytest.raises(ConversionError, match="normalises 3 channels, its input has 1"):
        with_pixels(read_network(MODEL.read_bytes()), metadata, "uint8")
