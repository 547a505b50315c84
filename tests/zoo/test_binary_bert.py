import numpy as np
import pytest

import zoo
from onebit.errors import OnebitError
from onebit.keras import keras, lq, tf
from zoo.models import models
from zoo.runs.packed_weights import pack, unpack
from zoo.summary import layer_records, totals
from zoo.training.losses import make_loss

BERT_BASE = 109_482_240
"""bert-base-uncased without a classifier, as its authors' checkpoint has it (arXiv 1810.04805
rounds to 110M): 30522 word pieces, 512 positions, 2 token types."""
TOKEN_TYPES = 2 * 768
CLASSIFIER = 768 * 2 + 2


def parameters(vocabulary, positions, layers, units, classes):
    """BERT's weights and biases, counted by hand."""
    norm, square = 2 * units, units * units + units
    layer = 4 * square + 2 * norm + 2 * (4 * units * units) + 4 * units + units
    embeddings = (vocabulary + positions) * units + norm
    return embeddings + layers * layer + square + units * classes + classes


@pytest.mark.slow
def test_bert_base_has_the_published_number_of_parameters():
    count = zoo.build("bert_base").count_params()
    assert count == BERT_BASE - TOKEN_TYPES + CLASSIFIER
    assert count == parameters(30522, 512, 12, 768, 2)


@pytest.mark.slow
def test_binary_bert_base_adds_thresholds_and_scales_alone():
    model = zoo.build("binary_bert_base")
    # Inputs of 4 projections, q, k, v: 7·768; of the feed-forward layers 768 + 4·768; the pooler's.
    thresholds = 12 * (7 * 768 + 5 * 768 + 1) + 768
    quantizers = 12 * (6 + 4) + 1
    expected = BERT_BASE - TOKEN_TYPES + CLASSIFIER + thresholds + 2 * quantizers
    assert model.count_params() == expected
    assert model.output_shape == (None, 2)


def test_bert_tiny_has_the_parameters_counted_by_hand():
    assert zoo.build("bert_tiny").count_params() == parameters(4096, 32, 2, 128, 12)


def test_every_projection_is_binary_and_the_classifier_is_not():
    model = zoo.build("binary_bert_tiny", layers=1, units=32, vocabulary=20)
    kernels = {layer.name: layer for layer in model.layers if hasattr(layer, "kernel")}
    real = {name for name, layer in kernels.items() if not hasattr(layer, "kernel_quantizer")}
    assert real == {"logits"}
    assert len(kernels) == 8
    for name in set(kernels) - real:
        quantizer = kernels[name].input_quantizer
        assert (quantizer.bits, quantizer.signed) == (1, not name.endswith("feed_forward_2"))
        with lq.context.quantized_scope(True):
            assert len(np.unique(np.abs(kernels[name].get_weights()[0]))) == 1
    attention = model.get_layer("layer_1_attention")
    signed = [getattr(attention, name).signed for name in attention.QUANTIZERS]
    assert signed == [True, True, True, False]
    assert model.get_layer("token_embedding").embeddings_quantizer.precision == 1


def test_padding_changes_nothing():
    model = zoo.build("binary_bert_tiny", input_shape=(8,), layers=1, units=32, vocabulary=20)
    longer = zoo.build("binary_bert_tiny", input_shape=(12,), layers=1, units=32, vocabulary=20)
    for layer in model.layers:
        weights = layer.get_weights()
        if layer.name == "add_positions":
            weights = [np.concatenate([weights[0], np.ones((4, 32), np.float32)])]
        with lq.context.quantized_scope(False):
            longer.get_layer(layer.name).set_weights(weights)
    tokens = np.array([[2, 7, 11, 3, 0, 0, 0, 0]], np.int32)
    padded = np.pad(tokens, [(0, 0), (0, 4)])
    # Softmax over more terms of zero sums in another order: a rounding of probabilities below 1.
    np.testing.assert_allclose(longer(padded), model(tokens), rtol=0, atol=2.0**-18)


def test_activation_bits_are_an_option():
    model = zoo.build("binary_bert_tiny", layers=1, units=32, vocabulary=20, activation_bits=2)
    assert model.get_layer("layer_1_query").input_quantizer.bits == 2
    assert keras.Model.from_config(model.get_config()).get_layer("pooler").input_quantizer.bits == 2


TINY = {"layers": 1, "units": 32, "heads": 2, "vocabulary": 20, "input_shape": (8,), "classes": 3}
CASES = [
    pytest.param(name, marks=[] if name.endswith("_tiny") else [pytest.mark.slow])
    for name in zoo.names()
    if models.get(name).takes_text
]


def tiny(name):
    keras.utils.set_random_seed(11)
    return zoo.build(name, **TINY)


def batch():
    generator = np.random.default_rng(5)
    # Every token, and all lengths: only then has each row of the table a gradient.
    tokens = np.concatenate([generator.permutation(np.arange(20)) for _ in range(4)])
    return tokens.reshape(10, 8).astype(np.int32), generator.integers(3, size=10)


@pytest.mark.parametrize("name", CASES)
def test_text_model_trains_a_step_with_gradients_everywhere(name):
    model = tiny(name)
    tokens, labels = batch()
    # Fresh weights attend to all tokens alike, below the threshold of {0, α}: no value passes.
    with lq.context.quantized_scope(False):
        for layer in model.layers:
            if layer.name.endswith(("_query", "_key")):
                layer.kernel.assign(40 * layer.kernel)
    with tf.GradientTape() as tape:
        loss = make_loss("cross_entropy")(labels, model(tokens, training=True))
    gradients = tape.gradient(loss, model.trainable_weights)
    assert np.isfinite(loss)
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert gradient is not None, weight.name
        values = tf.convert_to_tensor(gradient).numpy()
        assert np.all(np.isfinite(values)), weight.name
        # What is added to all keys alike changes no softmax, so a float network's has no gradient.
        assert np.any(values) or weight.name.startswith("layer_1_key/bias"), weight.name


@pytest.mark.parametrize("name", CASES)
def test_text_model_saves_and_loads_to_the_same_output(name, tmp_path):
    model = tiny(name)
    tokens, _ = batch()
    model(tokens, training=True)  # sets the scales
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(tokens), model(tokens))
    assert (model.name, model.input_shape, model.output_shape) == (name, (None, 8), (None, 3))


@pytest.mark.parametrize(
    "name", [case for case in CASES if models.get(case.values[0]).float_baseline]
)
def test_text_baseline_has_the_same_layers_and_no_quantizer(name):
    model, plain = tiny(name), tiny(models.get(name).float_baseline)
    shapes = []
    for net in (model, plain):
        shapes.append(
            [
                (layer.name, tuple(weight.shape))
                for layer in net.layers
                for weight in layer.weights
                if not weight.name.split("/")[-1].startswith(("scale", "threshold", "calibrated"))
            ]
        )
    assert shapes[0] == shapes[1]
    for layer in plain.layers:
        assert not any("quantizer" in key and value for key, value in layer.get_config().items())


def test_exported_weights_of_a_binary_bert_take_a_bit_each():
    model, other = tiny("binary_bert_tiny"), zoo.build("binary_bert_tiny", **TINY)
    tokens, _ = batch()
    model(tokens, training=True)
    arrays = pack(model)
    unpack(other, arrays)
    np.testing.assert_array_equal(other(tokens), model(tokens))
    # The table, seven projections and nothing else.
    assert sum(key.endswith(".bits") for key in arrays) == 8


def test_summary_counts_the_tables_bits_and_attentions_products():
    records = {record["layer"]: record for record in layer_records(tiny("binary_bert_tiny"))}
    table = records["token_embedding"]
    assert (table["bits"], table["weight_bits"], table["macs"]) == (20 * 32, 1, 0)
    assert records["add_positions"]["bits"] == 8 * 32 * 32
    assert records["layer_1_attention"]["macs"] == 2 * 8 * 8 * 32
    # A float layer of attention has products, but no weights.
    plain = {record["layer"]: record for record in layer_records(tiny("bert_tiny"))}
    assert (plain["layer_1_attention"]["macs"], plain["layer_1_attention"]["bits"]) == (4096, 0)
    assert plain["token_embedding"]["weight_bits"] == 32


def test_positions_of_one_bit_take_a_bit_and_load_again(tmp_path):
    model = zoo.build("binary_bert_tiny", **TINY, position_bits=1)
    records = {record["layer"]: record for record in layer_records(model)}
    assert records["add_positions"]["bits"] == 8 * 32
    tokens, _ = batch()
    model(tokens, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(tokens), model(tokens))
    assert sum(key.endswith(".bits") for key in pack(model)) == 9
    with pytest.raises(OnebitError, match="position_bits is 1 or 32, not 8"):
        zoo.build("binary_bert_tiny", **TINY, position_bits=8)


def test_probabilities_have_a_trained_threshold_where_an_option_says_so():
    for trained in (True, False):
        model = zoo.build("binary_bert_tiny", **TINY, probability_threshold=trained)
        names = {weight.name for weight in model.trainable_weights}
        assert any("probabilities/threshold" in name for name in names) == trained


@pytest.mark.slow
@pytest.mark.parametrize(("bits", "size"), [(32, 15.39), (1, 13.93)])
def test_binary_bert_base_has_the_size_that_its_page_states(bits, size):
    records = layer_records(zoo.build("binary_bert_base", position_bits=bits))
    # MiB, to the printed digits.
    assert round(totals(records)["bits"] / 8 / 2**20, 2) == size
