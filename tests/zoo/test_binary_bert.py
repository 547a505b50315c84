import numpy as np
import pytest

import zoo
from onebit.keras import keras, lq

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
