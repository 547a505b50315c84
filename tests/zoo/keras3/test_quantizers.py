"""Quantizers of Keras 3 beside Larq's and the zoo's: the same outputs and gradients."""

import numpy as np
import pytest

from onebit.keras import lq, tf  # before keras, whose TensorFlow it sets up
from zoo.layers.elastic_quantizer import elastic
from zoo.layers.quantizers import ScaledSign, stochastic_sign
from zoo.layers.reactnet_layers import rsign

import keras  # isort: skip
from zoo.keras3 import gradients, quantizers  # isort: skip

EDGES = [0.0, -0.0, 1.0, -1.0, 1.25, -1.25, 1e-30, -1e-30, 0.5, -0.5, 3.0, -3.0]


def values(shape=(3, 3, 8, 12), seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(0, 1, shape).astype(np.float32)
    x.reshape(-1)[: len(EDGES)] = EDGES
    return x


def output_and_gradients(function, *arguments):
    """The output of a function, and the gradients of its weighted sum by its arguments."""
    tensors = [tf.constant(argument) for argument in arguments]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        output = tf.convert_to_tensor(function(*tensors))
        weights = np.random.default_rng(9).normal(size=output.shape).astype(np.float32)
        total = tf.reduce_sum(output * weights)
    return np.asarray(output), [np.asarray(g) for g in tape.gradient(total, tensors)]


def assert_equal(ours, theirs, *arguments):
    output, found = output_and_gradients(ours, *arguments)
    expected, expected_gradients = output_and_gradients(theirs, *arguments)
    np.testing.assert_array_equal(output, expected)
    for left, right in zip(found, expected_gradients, strict=True):
        # The same formula, perhaps in another order of the same few operations.
        np.testing.assert_allclose(left, right, rtol=4e-6, atol=1e-6)


PAIRS = {
    "ste": (quantizers.SteSign(), lq.quantizers.SteSign()),
    "ste 1.25": (quantizers.SteSign(1.25), lq.quantizers.SteSign(1.25)),
    "ste without a limit": (quantizers.SteSign(None), lq.quantizers.SteSign(None)),
    "approx": (quantizers.ApproxSign(), lq.quantizers.ApproxSign()),
    "swish": (quantizers.SwishSign(), lq.quantizers.SwishSign()),
    "swish 2": (quantizers.SwishSign(beta=2.0), lq.quantizers.SwishSign(beta=2.0)),
    "magnitude-aware": (quantizers.MagnitudeAwareSign(), lq.quantizers.MagnitudeAwareSign()),
    "scaled": (quantizers.ScaledSign(), ScaledSign()),
    "stochastic outside training": (
        quantizers.StochasticSign(seed=1),
        lq.quantizers.SteSign(clip_value=None),
    ),
}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS.values(), ids=PAIRS)
def test_quantizer_equals_larqs(ours, theirs):
    assert_equal(ours, theirs, values())


def test_stochastic_sign_equals_the_zoos_on_the_same_draws():
    uniform = np.random.default_rng(3).uniform(size=values().shape).astype(np.float32)
    assert_equal(
        lambda x: gradients.stochastic_sign(x, uniform),
        lambda x: stochastic_sign(x, tf.constant(uniform)),
        values(),
    )


def test_stochastic_sign_draws_in_training_with_the_right_odds():
    quantizer = quantizers.StochasticSign(seed=1)
    x = np.full((20_000,), 0.5, np.float32)
    drawn = np.asarray(quantizer(x, training=True))
    assert set(np.unique(drawn)) == {-1, 1}
    # σ(0.5) = 0.75; five standard deviations of 20,000 draws are 0.015.
    assert abs((drawn > 0).mean() - 0.75) < 0.016
    assert not np.array_equal(drawn, np.asarray(quantizer(x, training=True)))
    assert (np.asarray(quantizer(x)) == 1).all()


def test_rsign_equals_the_zoos():
    thresholds = np.random.default_rng(1).normal(0, 0.5, 12).astype(np.float32)
    quantizer = quantizers.RSign()
    quantizer.build((None, 12))
    quantizer.set_weights([thresholds])
    x = values()
    assert_equal(lambda x: quantizer(x), lambda x: rsign(x, tf.constant(thresholds)), x)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(quantizer(tf.constant(x)))
    ours = tape.gradient(total, quantizer.threshold.value)
    _, (_, expected) = output_and_gradients(rsign, x, thresholds)
    assert ours.shape == expected.shape == (12,)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_elastic_equals_the_zoos(signed, per_channel):
    threshold = np.float32(0.1) * np.ones(12 if per_channel else (), np.float32)
    assert_equal(
        lambda *a: gradients.elastic(*a, signed=signed),
        lambda *a: elastic(*a, signed=signed),
        values(),
        np.float32(0.7),
        threshold,
    )


def test_elastic_sets_its_scale_by_the_first_batch():
    quantizer = quantizers.Elastic()
    x = values()
    quantizer(x, training=True)
    scale = 2 * np.abs(x).mean()
    np.testing.assert_allclose(np.asarray(quantizer.scale), scale, rtol=1e-5)
    quantizer(10 * x, training=True)
    np.testing.assert_allclose(np.asarray(quantizer.scale), scale, rtol=1e-5)


def test_names_of_larq_are_known_and_others_refused():
    for name in ("ste_sign", "approx_sign", "swish_sign", "magnitude_aware_sign"):
        assert isinstance(quantizers.get(name), quantizers.Quantizer)
    assert quantizers.get(None) is None
    with pytest.raises(ValueError, match="known: approx_sign"):
        quantizers.get("ste")


@pytest.mark.parametrize("ours", [pair[0] for pair in PAIRS.values()], ids=PAIRS)
def test_configuration_makes_an_equal_quantizer(ours):
    copy = quantizers.get(keras.saving.serialize_keras_object(ours))
    assert type(copy) is type(ours)
    assert copy.get_config() == ours.get_config()
