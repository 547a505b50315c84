import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.auditing.layers import audit
from convert.conversion import convert_model
from convert.errors import ConversionError, FlatbufferError
from convert.report import KINDS
from convert.runtimes.lce import convert_with_lce
from convert.targets.npz import packed_weights
from convert.targets.reading.reader import read_network
from convert.targets.tflm.project import tflm_model
from convert.tflite.files import read_file
from convert.tflite.graph import Graph
from convert.tflite.signature import write_signature
from onebit.keras import keras, lq, tf
from tests.convert.models import BINARY, mlp, randomise
from tests.support.damage import scrambled


@pytest.fixture(scope="module")
def plain():
    """A file that LCE wrote without our rewrites and passes."""
    return convert_with_lce(mlp(activation="relu"))


@pytest.fixture(scope="module")
def ours():
    return convert_model(mlp(units=(64, 40), activation="relu"))


def test_layers_carry_keras_names_kinds_and_counts(ours):
    assert [(layer.name, layer.kind, layer.op) for layer in ours.report.layers] == [
        ("dense_1", "binary_weights", "FULLY_CONNECTED"),
        ("bn_1", "float", "MUL"),  # behind an activation, and so not the layer's
        ("bn_1", "float", "ADD"),
        ("dense_2", "binary", "LceBconv2d"),
        ("dense_3", "binary", "LceBconv2d"),
    ]
    layers = [layer for layer in ours.report.layers if layer.reason_code != "elementwise"]
    assert [layer.macs for layer in layers] == [36 * 64, 64 * 40, 40 * 10]
    assert [layer.filter_shape for layer in layers] == [[64, 36], [40, 1, 1, 64], [10, 1, 1, 40]]
    assert [layer.float32_bytes for layer in layers] == [4 * 64 * 37, 4 * 40 * 65, 4 * 10 * 41]
    # Two words of bits per row, then a scale and a bias for each row of the normalisation.
    assert [layer.size_bytes for layer in ours.report.layers[:3]] == [64 * 4 * 2, 64 * 4, 64 * 4]


def test_totals_are_sums_and_never_exceed_the_file(ours):
    totals, layers = ours.report.totals, ours.report.layers
    assert totals.binary_macs == 64 * 40 + 40 * 10
    assert totals.binary_weight_macs == 36 * 64
    assert totals.float_macs == totals.int8_macs == 0
    assert totals.weight_bytes == sum(layer.size_bytes for layer in layers)
    assert totals.weight_bytes + totals.other_bytes == len(ours.tflite)
    assert totals.other_bytes > 0


def test_plain_lce_leaves_dense_layers_float_and_the_audit_says_why(plain):
    layers = [layer for layer in audit(plain).layers if layer.op == "FULLY_CONNECTED"]
    assert [(layer.kind, layer.reason_code) for layer in layers] == [("float", "not-packed")] * 3
    assert ["real numbers" in layer.reason for layer in layers] == [True, False, False]
    assert ["dense" in layer.reason for layer in layers] == [False, True, True]
    assert layers[0].fix == "convert the Keras model with Onebit"
    assert layers[1].fix == "convert the Keras model with Onebit"


def test_convolutions_of_every_kind_are_told_apart():
    x = image = keras.Input((8, 8, 32))
    x = keras.layers.Conv2D(64, 3, name="real")(x)
    x = lq.layers.QuantConv2D(
        64, 3, input_quantizer="ste_sign", name="both", **BINARY
    )(x)  # fmt: skip
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = lq.layers.QuantConv2D(32, 1, name="weights", **BINARY)(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = lq.layers.QuantConv2D(8, 1, input_quantizer="ste_sign", name="inputs")(x)
    layers = convert_model(randomise(keras.Model(image, x))).report.layers
    assert {layer.name: layer.kind for layer in layers} == {
        "real": "float",
        "both": "binary",
        "weights": "binary_weights",
        "depthwise": "float",
        "inputs": "float",
    }
    by_name = {layer.name: layer for layer in layers}
    assert by_name["real"].macs == 6 * 6 * 64 * 9 * 32
    assert by_name["both"].macs == 4 * 4 * 64 * 9 * 64
    assert by_name["depthwise"].macs == 2 * 2 * 32 * 9
    assert by_name["inputs"].reason_code == "real-weights"
    assert "kernel_quantizer" in by_name["inputs"].fix


def quant_conv(filters=32, kernel=3, **options):
    options = {**BINARY, "input_quantizer": "ste_sign", **options}
    return lq.layers.QuantConv2D(filters, kernel, name="layer", **options)


NO_CONSTRAINT = {"kernel_constraint": None}
DOREFA = lq.quantizers.DoReFa


@pytest.mark.parametrize(
    ("layer", "reason", "fix"),
    [
        (quant_conv(padding="same", pad_values=-1.0), "padded with -1: LCE knows 0 and 1",
         "pad_values=1"),
        (quant_conv(groups=2), "16 channels per group: LCE needs 32 or a multiple", "groups"),
        (quant_conv(kernel_quantizer="ste_tern", **NO_CONSTRAINT), "ternary weights", "ste_sign"),
        (quant_conv(kernel_quantizer=DOREFA(2, mode="weights"), **NO_CONSTRAINT), "2-bit weights",
         "ste_sign"),
        (quant_conv(input_quantizer=DOREFA(2)), "several bits (DoReFa)", "ste_sign"),
        (quant_conv(input_quantizer="ste_heaviside"), "its inputs are 0 and 1", "ste_sign"),
        (quant_conv(input_quantizer=tf.sign), "tf.sign, which gives 0 for 0", "ste_sign"),
        (quant_conv(input_quantizer=None), "its inputs are real numbers", "Onebit"),
        (quant_conv(kernel_quantizer=None, **NO_CONSTRAINT), "its weights are not",
         "kernel_quantizer"),
        (lq.layers.QuantDepthwiseConv2D(3, input_quantizer="ste_sign", name="layer",
         depthwise_quantizer="ste_sign"), "LCE has no binary DEPTHWISE_CONV_2D", "Onebit"),
        (lq.layers.QuantConv2DTranspose(8, 3, input_quantizer="ste_sign", name="layer",
         kernel_quantizer="ste_sign"), "LCE has no binary TRANSPOSE_CONV", "Onebit"),
    ],
    ids=["padding", "groups", "ternary", "dorefa weights", "dorefa inputs", "heaviside", "tf.sign",
         "weights only", "inputs only", "depthwise", "transposed"],
)  # fmt: skip
def test_reason_names_the_broken_rule_and_the_fix(layer, reason, fix):
    image = keras.Input((8, 8, 32))
    (audited,) = audit(convert_with_lce(randomise(keras.Model(image, layer(image))))).layers
    assert audited.kind == "float"
    assert reason in audited.reason
    assert fix in audited.fix
    # What is binary but stored as float32 could shrink; nothing else could.
    assert (audited.predicted_bytes < audited.size_bytes / 2) == ("stored as" in audited.reason)


def test_three_dimensional_convolution_is_counted():
    image = keras.Input((5, 5, 5, 32))
    layer = lq.layers.QuantConv3D(16, 3, input_quantizer="ste_sign", **BINARY)
    (audited,) = audit(convert_with_lce(randomise(keras.Model(image, layer(image))))).layers
    assert (audited.reason, audited.macs) == (
        "binary weights, but LCE has no binary CONV_3D",
        27 * 27 * 32 * 16,
    )


def test_product_of_activations_is_named():
    image = keras.Input((8, 32))
    for x, are in ((image, "activations"),
                   (keras.layers.Activation(lq.math.sign)(image),
                    "binarised activations, multiplied in float32")):  # fmt: skip
        model = keras.Model(image, keras.layers.Dot(axes=(2, 2))([x, x]))
        (audited,) = audit(convert_with_lce(model)).layers
        assert audited.reason == f"both operands are {are}: LCE has no binary matrix product"
        assert (audited.float32_bytes, audited.size_bytes) == (0, 0)


def test_zero_padding_of_a_binary_layer_is_pointed_out():
    image = keras.Input((8, 8, 32))
    layers = {}
    for pad in (0.0, 1.0):
        layer = quant_conv(padding="same", pad_values=pad)
        layers[pad] = convert_model(randomise(keras.Model(image, layer(image)))).report.layers[0]
    assert "pad_values=1" in layers[0.0].fix
    assert layers[1.0].fix is None


def test_predicted_bytes_are_reached_by_packing():
    model = mlp(units=(96, 40), binary_inputs=False)
    before = audit(convert_with_lce(model)).totals
    after = convert_model(model).report.totals
    assert before.predicted_bytes == after.predicted_bytes == after.weight_bytes
    assert before.weight_bytes > 6 * before.predicted_bytes


def test_int8_file_of_another_converter():
    image = keras.Input((8, 8, 3))
    model = randomise(keras.Model(image, keras.layers.Conv2D(4, 3)(image)))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    generator = np.random.default_rng(0)
    converter.representative_dataset = lambda: (
        [generator.normal(size=(1, 8, 8, 3)).astype(np.float32)] for _ in range(8)
    )
    (layer,) = audit(converter.convert()).layers
    assert (layer.kind, layer.macs) == ("int8", 6 * 6 * 4 * 27)


@pytest.mark.slow
def test_recurrent_layer_of_another_converter_is_counted():
    image = keras.Input((5, 3), batch_size=1)
    layer = keras.layers.LSTM(7, return_sequences=True)
    model = randomise(keras.Model(image, layer(image)))
    (layer,) = audit(tf.lite.TFLiteConverter.from_keras_model(model).convert()).layers
    assert (layer.op, layer.kind) == ("UNIDIRECTIONAL_SEQUENCE_LSTM", "float")
    assert layer.reason == "LCE has no binary UNIDIRECTIONAL_SEQUENCE_LSTM"
    # Four gates of 7 units, each with 3 inputs and 7 states, at 5 steps.
    assert layer.filter_shape == [7, 4 * (3 + 7)]
    assert layer.macs == 5 * 7 * 4 * (3 + 7)
    assert layer.size_bytes == layer.float32_bytes == 4 * (7 * 4 * (3 + 7) + 4 * 7)


def test_report_is_json_without_nan(ours):
    text = json.dumps(ours.report.to_dict(), allow_nan=False)
    assert json.loads(text)["file"]["size_bytes"] == len(ours.tflite)


def test_graph_survives_reading_and_writing(ours):
    again = Graph.from_bytes(Graph.from_bytes(ours.tflite).to_bytes()).to_bytes()
    assert again == Graph.from_bytes(again).to_bytes()
    assert audit(again).layers == audit(ours.tflite).layers


def test_text_file_and_missing_file_are_named(tmp_path):
    text = tmp_path / "notes.tflite"
    text.write_text("a text file")
    with pytest.raises(FlatbufferError, match=r"notes\.tflite is not a \.tflite file"):
        read_file(text)
    with pytest.raises(FlatbufferError, match=r"absent\.tflite does not exist"):
        read_file(tmp_path / "absent.tflite")


@settings(deadline=None)  # the first example includes the fixture's conversion
@given(
    length=st.integers(8, 6000),
    changes=st.lists(st.tuples(st.integers(8, 3000), st.integers(0, 255)), max_size=8),
)
def test_damaged_files_give_one_error_or_a_graph_never_a_crash(ours, length, changes):
    # The graph comes first in the file; damage in the weights would change nothing.
    content = bytearray(ours.tflite[:length])
    for position, value in changes:
        if position < len(content):
            content[position] = value
    found = audited(bytes(content))
    if isinstance(found, str):
        assert "damaged" in found
        assert "\n" not in found
    else:
        assert found.file.size_bytes == len(content)
        assert all(layer.kind in KINDS and layer.size_bytes >= 0 for layer in found.layers)


def audited(content):
    """The audit, or the message that refuses the content; any other error fails the test."""
    try:
        return audit(content, "damaged.tflite")
    except FlatbufferError as error:
        return str(error)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    ("read", "copies"),
    [(audit, 300), (packed_weights, 100), (read_network, 100), (tflm_model, 100)],
    ids=["audit", "npz", "network", "tflm"],
)
def test_damaged_bytes_raise_nothing_else(plain, read, copies):
    for content in scrambled(plain, copies, seed=11):
        with contextlib.suppress(ConversionError, FlatbufferError):
            read(content, "damaged.tflite")


@pytest.mark.parametrize("part", ["signature", "intermediates", "metadata"])
def test_references_that_lead_nowhere_are_refused(plain, part):
    graph = Graph.from_bytes(plain)
    if part == "signature":
        write_signature(graph, ["x"], ["y"])
        graph.model.signatureDefs[0].inputs[0].tensorIndex = 1000
    elif part == "intermediates":
        graph.operators[0].intermediates = np.array([1000], np.int32)
    else:
        graph.model.metadataBuffer = np.array([1000], np.int32)
    with pytest.raises(FlatbufferError, match="truncated or damaged"):
        Graph.from_bytes(graph.to_bytes())
