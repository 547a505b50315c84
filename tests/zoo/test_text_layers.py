import numpy as np
import pytest

from onebit.keras import keras
from zoo.layers.elastic_quantizer import Elastic
from zoo.layers.transformer_layers import (
    AddPositions,
    Attention,
    FirstToken,
    PaddingMask,
    TokenEmbedding,
)


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def same(x):
    return x


def attention_in_numpy(query, key, value, hidden, heads, quantize=same, probable=same):
    """One sample and head at a time, in float64."""
    result = np.zeros(query.shape)
    width = query.shape[-1] // heads
    for sample in range(len(query)):
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            q, k, v = (quantize(x[sample, :, part].astype(float)) for x in (query, key, value))
            scores = q @ k.T / np.sqrt(width)
            scores[:, hidden[sample]] -= 1e4
            result[sample, :, part] = probable(softmax(scores)) @ v
    return result


@pytest.fixture
def operands():
    generator = np.random.default_rng(6)
    query, key, value = generator.normal(size=(3, 2, 5, 8)).astype(np.float32)
    tokens = np.array([[2, 7, 7, 3, 0], [2, 9, 3, 0, 0]], np.int32)
    return query, key, value, tokens


def test_attention_is_its_closed_form_and_ignores_padding(operands):
    query, key, value, tokens = operands
    layer = Attention(2)
    mask = PaddingMask()(tokens)
    result = layer([query, key, value, mask])
    expected = attention_in_numpy(query, key, value, tokens == 0, 2)
    # Scores below 10 round to 10·2^-24·4 terms, and their exponentials relatively as much.
    np.testing.assert_allclose(result, expected, rtol=0, atol=10 * 2.0**-20)
    changed = value.copy()
    changed[tokens == 0] += 100
    np.testing.assert_array_equal(layer([query, key, changed, mask]), result)


def test_binary_attention_multiplies_signs_and_zeros_and_ones(operands):
    query, key, value, tokens = operands
    layer = Attention(2, Elastic(), Elastic(), Elastic(), Elastic(signed=False, per_channel=False))
    result = layer([query, key, value, PaddingMask()(tokens)])
    layer.probability_quantizer.scale.assign(0.5)
    result = layer([query, key, value, PaddingMask()(tokens)])

    def step(probabilities):
        # Rounding must not decide: then sums of halves are exact.
        assert np.abs(probabilities - 0.25).min() > 1e-6
        return 0.5 * (probabilities >= 0.25)

    expected = attention_in_numpy(query, key, value, tokens == 0, 2, np.sign, step)
    np.testing.assert_array_equal(result, expected)


def test_heads_must_divide_the_channels(operands):
    query, key, value, tokens = operands
    with pytest.raises(ValueError, match="3 heads do not divide 8 channels"):
        Attention(3)([query, key, value, PaddingMask()(tokens)])


def test_positions_are_added_and_must_suffice():
    layer = AddPositions("ones", positions=6)
    np.testing.assert_array_equal(layer(np.zeros((2, 4, 3), np.float32)), np.ones((2, 4, 3)))
    assert layer.count_params() == 18
    with pytest.raises(ValueError, match="3 positions are too few for 4 tokens"):
        AddPositions(positions=3)(np.zeros((2, 4, 3), np.float32))


def test_an_embedding_looks_quantized_rows_up():
    layer = TokenEmbedding(7, 4, "ste_sign")
    ids = np.array([[6, 0], [3, 3]], np.int32)
    looked_up = layer(ids)
    (table,) = layer.get_weights()
    assert set(np.abs(table).ravel()) != {1}
    np.testing.assert_array_equal(looked_up, np.where(table < 0, -1, 1)[ids])
    np.testing.assert_array_equal(FirstToken()(looked_up), looked_up[:, 0])
    plain = TokenEmbedding(7, 4)
    np.testing.assert_array_equal(plain(ids), plain.get_weights()[0][ids])


def test_the_layers_come_back_from_their_configurations():
    for layer in (
        TokenEmbedding(7, 4, "ste_sign", name="a"),
        AddPositions("zeros", 9, name="b"),
        PaddingMask(name="c"),
        Attention(2, Elastic(2), None, Elastic(signed=False), name="d"),
    ):
        config = keras.layers.serialize(layer)
        again = keras.layers.deserialize(config)
        assert type(again) is type(layer)
        assert keras.layers.serialize(again) == config
