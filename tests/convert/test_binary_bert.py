"""Two-level quantizers, packed tables and attention: what a binary BERT needs of the converter."""

import math

import numpy as np
import pytest

import zoo
from convert.auditing.layers import audit
from convert.conversion import convert_model
from convert.errors import SourceError
from convert.keras_model.layer_graph import gives_signs
from convert.keras_model.samples import random_samples, read_samples
from convert.keras_model.two_levels import levels_of
from convert.passes.pack_binary_tables import pack_binary_tables
from convert.rewrites import rewrite
from convert.runtimes.lce import convert_with_lce
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.samples import Samples
from convert.targets.npz import packed_weights
from convert.tflite.graph import Graph
from convert.verification import verify
from onebit import bits
from onebit.keras import keras, lq
from tests.convert.models import BINARY, images
from zoo.layers.elastic_quantizer import CentredSign, Elastic
from zoo.layers.transformer_layers import TokenEmbedding

OPTIONS = {"layers": 1, "units": 32, "vocabulary": 200, "input_shape": (16,), "classes": 3}


def spread(model, seed=0):
    """Gives weights, thresholds and scales the values that a training could leave."""
    random = np.random.default_rng(seed)
    with lq.context.quantized_scope(False):
        for layer in model.layers:
            layer.set_weights([w + random.normal(0, 0.3, w.shape) for w in layer.get_weights()])
    for quantizer in model.submodules:
        if isinstance(quantizer, Elastic):
            quantizer.scale.assign(random.uniform(0.3, 1.5))
            if not quantizer.signed:
                quantizer.threshold.assign(np.abs(quantizer.threshold) / 10)
    return model


def elastic_dense(signed=True, units=12, **options):
    return lq.layers.QuantDense(
        units,
        input_quantizer=Elastic(1, signed),
        kernel_quantizer=CentredSign(),
        kernel_constraint="weight_clip",
        **options,
    )


def projections(layers):
    """The names of a binary BERT's projections, with the pooler."""
    kinds = ("query", "key", "value", "attention_output", "feed_forward_1", "feed_forward_2")
    return {"pooler", *(f"layer_{n}_{kind}" for n in range(1, layers + 1) for kind in kinds)}


# --- levels


@pytest.mark.parametrize(
    ("shape", "signed", "options"),
    [
        ((33,), True, {}),
        ((33,), False, {}),
        ((7, 64), True, {"use_bias": False}),
        ((7, 64), False, {"use_bias": False}),
        ((3, 5, 32), False, {"activation": "relu"}),
    ],
)
def test_dense_behind_two_levels_becomes_a_binary_convolution(shape, signed, options):
    image = keras.Input(shape)
    model = spread(keras.Model(image, elastic_dense(signed, **options)(image)))
    x = images(9, shape)
    conversion = convert_model(model, samples=Samples([x]))
    assert conversion.report.kinds() == {"binary": 1}
    assert conversion.report.verification.verdict == "exact"
    assert conversion.report.verification.compared_layers == [model.layers[1].name]


def test_more_levels_and_real_kernels_stay_float():
    layers = [
        lq.layers.QuantDense(40, input_quantizer=Elastic(2), **BINARY),
        lq.layers.QuantDense(40, input_quantizer=Elastic()),
    ]
    image = keras.Input((32,))
    model = spread(keras.Model(image, [layer(image) for layer in layers]))
    found = convert_model(model, verification=False).report
    assert [layer.kind for layer in found.layers if layer.macs] == ["binary_weights", "float"]
    assert levels_of(Elastic()) is None  # not built: its threshold is not known
    assert levels_of(None) is None


def test_a_threshold_per_channel_does_not_keep_signs_from_being_recognised():
    quantizer = Elastic()
    quantizer(np.zeros((1, 5), np.float32))
    assert gives_signs(quantizer)
    quantizer.scale.assign(2.0)
    assert not gives_signs(quantizer)


# --- tables


def table_model(quantizer, rows=300, units=40):
    tokens = keras.Input((6,), dtype="int32")
    layer = TokenEmbedding(rows, units, quantizer, name="tokens")
    return spread(keras.Model(tokens, layer(tokens)))


@pytest.mark.parametrize(
    "quantizer", ["ste_sign", CentredSign(per_row=True)], ids=["signs", "rows"]
)
def test_packed_tables_give_the_same_numbers(quantizer):
    model = table_model(quantizer)
    conversion = convert_model(model)
    assert conversion.report.passes["pack_binary_tables"] == ["tokens"]
    (layer,) = conversion.report.layers
    assert (layer.name, layer.op, layer.kind) == ("tokens", "GATHER", "binary_weights")
    assert (layer.filter_shape, layer.macs, layer.float32_bytes) == ([300, 40], 0, 4 * 300 * 40)
    # Two words a row, and a scale where there is one.
    assert (
        layer.size_bytes == layer.predicted_bytes == 4 * 300 * (2 if quantizer == "ste_sign" else 3)
    )
    ids = np.random.default_rng(2).integers(300, size=(8, 6)).astype(np.int32)
    (looked_up,) = LceInterpreter(conversion.tflite).run([ids])
    np.testing.assert_array_equal(looked_up, model(ids))


def test_an_unpacked_table_is_listed_with_its_fix_and_a_real_one_without():
    (binary,) = audit(convert_with_lce(table_model(CentredSign(per_row=True)))).layers
    assert (binary.kind, binary.reason) == ("float", "binary rows, stored as float32")
    assert binary.predicted_bytes == 4 * 300 * 3
    assert "Onebit" in binary.fix
    (real,) = audit(convert_with_lce(table_model(None))).layers
    assert (real.reason, real.fix) == ("its rows are real numbers", None)
    assert real.predicted_bytes == real.size_bytes == 4 * 300 * 40


@pytest.mark.parametrize("model", [table_model(None), table_model("ste_sign", 9, 4)],
                         ids=["real numbers", "too few"])  # fmt: skip
def test_other_tables_are_not_packed(model):
    assert pack_binary_tables(Graph.from_bytes(convert_with_lce(model))) == []


# --- the whole model


@pytest.fixture(scope="module")
def model():
    return spread(zoo.build("binary_bert_tiny", **OPTIONS))


@pytest.fixture(scope="module")
def tokens():
    ids = np.random.default_rng(3).integers(1, 200, size=(12, 16)).astype(np.int32)
    ids[:, 11:] = 0
    return ids


@pytest.fixture(scope="module")
def conversion(model, tokens):
    return convert_model(model, samples=Samples([tokens], np.arange(12) % 3, "test"))


def test_every_projection_is_binary_and_attention_is_float(conversion):
    kinds = {layer.name: layer.kind for layer in conversion.report.layers}
    assert {name for name, kind in kinds.items() if kind == "binary"} == projections(1)
    weights_only = {name for name, kind in kinds.items() if kind == "binary_weights"}
    assert weights_only == {"token_embedding"}
    products = [
        layer
        for layer in conversion.report.layers
        if layer.kind == "float" and layer.name.endswith("attention")
    ]
    assert len(products) == 4  # QKᵀ and PV of two heads
    for layer in products:
        assert layer.reason.startswith("both operands are binarised activations, multiplied in flo")
    assert kinds["logits"] == "float"


def test_the_file_agrees_with_keras_in_every_sign(conversion):
    verification = conversion.report.verification
    assert verification.verdict in ("exact", "rounding flips")
    assert verification.accuracy_file == verification.accuracy_keras
    signs = {"layer_1_queries", "layer_1_keys", "layer_1_values", "layer_1_probabilities"}
    assert signs < set(verification.compared_layers)
    assert len(verification.compared_layers) == 11


def test_a_damaged_sign_between_activations_is_a_mismatch(model, tokens, conversion):
    graph = Graph.from_bytes(conversion.tflite)
    (op,) = (op for op in graph.operators if graph.op_name(op) == "SOFTMAX")
    (shift,) = graph.consumers(graph.outputs(op)[0])
    assert graph.op_name(shift) == "SUB"
    assert graph.constant(graph.inputs(shift)[1]) > 0.1  # above most probabilities
    index = graph.add_constant("wrong", np.zeros([], "<f4"))
    shift.inputs = np.array([graph.inputs(shift)[0], index], np.int32)
    result = verify(model, graph.to_bytes(), [tokens])
    assert result.verdict == "mismatch"
    assert result.bit_flips[0].layer == "layer_1_probabilities"


# --- two bits, as between the stages of a distillation


@pytest.fixture(scope="module")
def two_bits():
    model = spread(zoo.build("binary_bert_tiny", activation_bits=2, **OPTIONS))
    return model, convert_model(model, verification=False).tflite


@pytest.fixture
def texts_of_all_lengths(tokens):
    # Without padding no attention probability is 0, so that a text's minimum is another.
    ids = np.where(np.arange(12)[:, None] % 2, tokens, np.maximum(tokens, 1))
    assert (ids == 0).any(1).sum() == 6
    return ids


def test_every_step_of_two_bits_is_compared(two_bits, texts_of_all_lengths):
    result = verify(*two_bits, [texts_of_all_lengths])
    assert result.verdict in ("exact", "rounding flips")
    operands = {f"layer_1_{name}" for name in ("queries", "keys", "values", "probabilities")}
    assert set(result.compared_layers) == {*operands, *projections(1)}
    assert result.agreement == 1


@pytest.mark.parametrize(
    ("quantizer", "layer"),
    [
        ("layer_1_queries", "layer_1_queries"),
        ("layer_1_feed_forward_2_inputs", "layer_1_feed_forward_2"),
    ],
)
def test_wrong_steps_are_located(two_bits, tokens, quantizer, layer):
    model, content = two_bits
    (found,) = (part for part in model.submodules if part.name == quantizer)
    scale = found.scale.numpy()
    try:  # the file's steps are a fifth smaller than Keras'
        found.scale.assign(1.25 * scale)
        result = verify(model, content, [tokens])
    finally:
        found.scale.assign(scale)
    assert result.verdict == "mismatch"
    assert {flip.layer for flip in result.bit_flips} == {layer}
    # The furthest edge is 2.5 steps from the threshold (unsigned), a quarter of that nearer in it.
    assert max(flip.margin for flip in result.bit_flips) <= 2.5 * 0.25 * scale * (1 + 1e-5)


def test_packed_weights_hold_the_table_too(model, conversion):
    arrays = packed_weights(conversion.tflite)
    with lq.context.quantized_scope(True):
        (table,) = model.get_layer("token_embedding").get_weights()
    stored = bits.unpack(arrays["token_embedding/bits"], 32)[:, 0, 0]
    np.testing.assert_array_equal(stored * arrays["token_embedding/multiplier"][:, None], table)


def test_an_untrained_model_is_verified_on_random_token_ids(tmp_path):
    model = zoo.build("binary_bert_tiny", **OPTIONS)
    samples = random_samples(model, 50)
    assert samples.inputs[0].dtype == np.int32
    assert (samples.inputs[0].min(), samples.inputs[0].max()) == (0, 199)
    assert rewrite(model).skipped is None
    np.savez(tmp_path / "ids.npz", inputs=samples.inputs[0].astype(np.int64))
    assert read_samples(tmp_path / "ids.npz", model).inputs[0].dtype == np.int32
    np.savez(tmp_path / "floats.npz", inputs=samples.inputs[0].astype(np.float32))
    with pytest.raises(SourceError, match="inputs are float32, the model takes integers"):
        read_samples(tmp_path / "floats.npz", model)
    integers = keras.Input((3,), dtype="int32")
    other = keras.Model(integers, keras.layers.Flatten()(integers))
    assert set(np.unique(random_samples(other, 50).inputs[0])) == {0, 1}


@pytest.mark.slow
def test_binary_bert_base_converts_to_the_size_that_its_page_states():
    # Spread, as a training leaves it: of a fresh network's equal zeros a file holds one copy.
    model = spread(zoo.build("binary_bert_base", input_shape=(32,)))
    conversion = convert_model(model, verification=False)
    assert conversion.report.notes == []
    binary = {layer.name: layer for layer in conversion.report.layers if layer.kind == "binary"}
    assert set(binary) == projections(12)
    # Four squares of 768 channels and two of four times as many in each layer; the pooler's.
    bits_of_weights = sum(math.prod(layer.filter_shape) for layer in binary.values())
    assert bits_of_weights == (12 * (4 + 2 * 4) + 1) * 768**2
    (table,) = (layer for layer in conversion.report.layers if layer.kind == "binary_weights")
    assert (table.filter_shape, table.size_bytes) == ([30522, 768], 30522 * (768 // 8 + 4))
    real = [layer for layer in conversion.report.layers if layer.op == "FULLY_CONNECTED"]
    # The classifier, and two products in each of twelve layers' twelve heads.
    assert len(real) == 1 + 2 * 12 * 12
    # MiB, to the printed digit.
    assert round(len(conversion.tflite) / 2**20, 1) == 14.6
