import hashlib
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from convert.conversion import convert_model
from convert.errors import ConversionError
from convert.int8.settings import Int8
from convert.int8.values import scale_of
from convert.runtimes.lce import convert_with_lce
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.targets.c_array import c_header
from convert.targets.npz import packed_weights, write_packed_weights
from convert.tflite.graph import Graph
from onebit import bits
from onebit.keras import keras, lq
from tests.convert.models import BINARY, images, mlp, randomise
from tests.support import lce_graphs


def layers_of(arrays):
    return json.loads(str(arrays["layout"]))["layers"]


def mlp_from(arrays, inputs):
    """Outputs of an MLP computed from its packed weights, by the documented layout."""
    x = inputs.reshape(len(inputs), -1).astype(np.float64)
    for layer in layers_of(arrays):
        own = {
            key.rsplit("/", 1)[1]: value
            for key, value in arrays.items()
            if key.rsplit("/", 1)[0] == layer["name"]
        }
        channels = layer["filter_shape"][-1]
        weights = bits.unpack(own["bits"], channels).reshape(len(own["bits"]), -1)
        if layer["kind"] == "binary_weights":
            x = x * own.get("input_scale", 1) @ weights.T * own.get("multiplier", 1)
            x = x + own.get("bias", 0)
            continue
        signs = np.where(x < 0, -1, 1)
        mismatches = (channels - signs @ weights.T) / 2
        if "thresholds" in own:
            x = np.where(mismatches > own["thresholds"], -1.0, 1.0)
        else:
            x = (channels - 2 * mismatches) * own["multiplier"] + own["bias"]
    return x


@pytest.mark.parametrize("binary_inputs", [True, False])
def test_packed_weights_compute_what_the_file_computes(binary_inputs):
    model = mlp(units=(64, 96, 40), binary_inputs=binary_inputs, activation=None)
    content = convert_model(model).tflite
    arrays = packed_weights(content)
    assert [layer["name"] for layer in layers_of(arrays)] == [
        "dense_1", "dense_2", "dense_3", "dense_4",
    ]  # fmt: skip
    inputs = images(20)
    (expected,) = LceInterpreter(content).run([inputs])
    # Four layers of at most 96 terms, each rounded to 2^-24 of the largest number.
    tolerance = 4 * 2 * 96 * 2.0**-24 * max(1, float(np.abs(expected).max()))
    np.testing.assert_allclose(mlp_from(arrays, inputs), expected, rtol=0, atol=tolerance)


def test_depthwise_and_transposed_filters_have_output_channels_first():
    x = image = keras.Input((8, 8, 64))
    x = lq.layers.QuantDepthwiseConv2D(3, depthwise_quantizer="ste_sign", name="depthwise")(x)
    x = lq.layers.QuantConv2DTranspose(40, 2, kernel_quantizer="ste_sign", name="transposed")(x)
    model = randomise(keras.Model(image, x))
    arrays = packed_weights(convert_model(model).tflite)
    shapes = {layer["name"]: layer["filter_shape"] for layer in layers_of(arrays)}
    assert shapes == {"depthwise": [64, 3, 3, 1], "transposed": [40, 2, 2, 64]}
    with lq.context.quantized_scope(True):
        depthwise, transposed = (
            model.get_layer(name).get_weights()[0] for name in ("depthwise", "transposed")
        )
    np.testing.assert_array_equal(
        bits.unpack(arrays["depthwise/bits"], 1), np.moveaxis(depthwise, 2, 0)
    )
    np.testing.assert_array_equal(
        bits.unpack(arrays["transposed/bits"], 64), np.moveaxis(transposed, 2, 0)
    )


@pytest.mark.parametrize("use_bias", [True, False])
def test_scales_and_bias_of_int8_layers_are_real_numbers(use_bias):
    image = keras.Input((320,), name="image")
    layer = lq.layers.QuantDense(40, name="layer", **BINARY | {"use_bias": use_bias})
    model = randomise(keras.Model(image, keras.layers.BatchNormalization()(layer(image))))
    calibration = images(32, (320,))
    content = convert_model(model, int8=Int8([calibration], scope="all")).tflite
    arrays, graph = packed_weights(content), Graph.from_bytes(content)
    assert {arrays["layer/multiplier"].dtype, arrays["layer/bias"].dtype} == {np.dtype("f4")}
    ends = [op for op in graph.operators if graph.op_name(op) in ("QUANTIZE", "FULLY_CONNECTED")]
    in_step, out_step = (scale_of(graph, graph.outputs(op)[0]) for op in ends)
    inputs = (in_step * np.round(calibration / in_step)).astype(np.float32)
    (expected,) = LceInterpreter(content).run([inputs])
    # The output is rounded to a step, by way of a multiplier of 31 bits.
    found = mlp_from(arrays, inputs)
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.51 * out_step)


def test_int8_depthwise_layers_have_a_scale_per_channel():
    x = image = keras.Input((8, 8, 64))
    x = lq.layers.QuantDepthwiseConv2D(5, depthwise_quantizer="ste_sign", name="depthwise")(x)
    model = randomise(keras.Model(image, keras.layers.BatchNormalization()(x)))
    settings = {"int8": Int8([images(8, (8, 8, 64))], scope="all"), "with_delegate": False}
    arrays = packed_weights(convert_model(model, **settings).tflite)
    float_arrays = packed_weights(convert_model(model).tflite)
    for key in ("multiplier", "bias"):
        found, expected = arrays[f"depthwise/{key}"], float_arrays[f"depthwise/{key}"]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_normalisation_behind_an_activation_is_not_the_layers():
    x = image = keras.Input((8, 8, 3))
    x = lq.layers.QuantConv2D(64, 3, activation="relu", name="conv", **BINARY | {"use_bias": True})(
        x
    )
    model = randomise(keras.Model(image, keras.layers.BatchNormalization()(x)))
    conversion = convert_model(model)
    arrays = packed_weights(conversion.tflite)
    assert set(arrays) == {"conv/bits", "conv/bias", "layout"}
    np.testing.assert_array_equal(arrays["conv/bias"], model.get_layer("conv").bias)
    assert [layer.op for layer in conversion.report.layers] == ["CONV_2D", "MUL", "ADD"]


@pytest.mark.parametrize(("packed", "key"), [(True, "/input_scale"), (False, "/multiplier")])
def test_scale_between_dense_layers_belongs_to_one_of_them(packed, key):
    g, signs = lce_graphs.Graph(), np.ones((64, 64), np.float32)
    fully_connected = lce_graphs.schema.BuiltinOperator.FULLY_CONNECTED
    x, hidden, y = (g.tensor([1, 64]) for _ in range(3))
    filters = [g.dequantize(g.constant(bits.pack(signs)), 64) for _ in range(1 + packed)]
    filters = [*filters, g.constant(3 * signs)][:2]
    options = lce_graphs.dense_options(keep_dims=False, activation=0)
    g.operator(fully_connected, [x, filters[0]], [hidden], builtin=options)
    scaled = g.multiply(hidden, g.constant(np.full(64, 0.5, np.float32)))
    g.operator(fully_connected, [scaled, filters[1]], [y], builtin=options)
    arrays = packed_weights(g.build([x], [y]))
    found = [name for name, value in arrays.items() if value.dtype == np.float32]
    assert [name[name.index("/") :] for name in found] == [key]


def test_written_file_reads_back_without_pickle(tmp_path):
    arrays = packed_weights(convert_model(mlp()).tflite)
    write_packed_weights(tmp_path / "packed.npz", arrays)
    with np.load(tmp_path / "packed.npz", allow_pickle=False) as read:
        assert set(read) == set(arrays)
        np.testing.assert_array_equal(read["dense_2/bits"], arrays["dense_2/bits"])


def test_layers_of_one_name_get_numbers():
    shared = lq.layers.QuantDense(64, name="shared", input_quantizer="ste_sign", **BINARY)
    image = keras.Input((64,))
    model = randomise(keras.Model(image, shared(shared(image))))
    arrays = packed_weights(convert_model(model).tflite)
    assert [layer["name"] for layer in layers_of(arrays)] == ["shared", "shared_2"]


def test_file_without_binary_weights_is_refused():
    image = keras.Input((8,))
    content = convert_with_lce(randomise(keras.Model(image, keras.layers.Dense(4)(image))))
    with pytest.raises(ConversionError, match="no layer of x has packed binary weights"):
        packed_weights(content, "x")


def test_header_holds_the_bytes_the_size_and_the_hash():
    content = bytes(range(256)) + b"end"
    text = c_header(content, "my-model.v2")
    assert bytes(int(byte, 16) for byte in re.findall(r"0x(..),", text)) == content
    assert "my_model_v2_size = 259;" in text
    assert f'MY_MODEL_V2_SHA256 "{hashlib.sha256(content).hexdigest()}"' in text


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize(
    ("name", "identifier"), [("m", "m"), ("3x", "model_3x"), ("int", "model_int")]
)
def test_header_compiles_as_c(name, identifier, tmp_path):
    (tmp_path / "model.h").write_text(c_header(b"12345", name))
    (tmp_path / "main.c").write_text(
        f'#include "model.h"\nint main(void) {{ return {identifier}_size == sizeof {identifier} '
        f"&& {identifier}[4] == '5' ? 0 : 1; }}\n"
    )
    command = ["cc", "-std=c11", "-Wall", "-Werror", "main.c", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert subprocess.run(["./main"], cwd=tmp_path, check=False).returncode == 0
