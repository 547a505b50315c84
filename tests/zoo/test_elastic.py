"""Elastic quantizers and the centred sign against their closed forms."""

import numpy as np
import pytest

from onebit.keras import keras, lq, tf
from zoo.layers.elastic_quantizer import (
    SMALLEST_SCALE,
    CentredSign,
    Elastic,
    centred_sign,
    elastic,
    level_range,
)

SCALE = np.float32(0.75)
THRESHOLD = np.array([0.0, 0.25, -0.5], np.float32)
# Exact in binary, so that ties and range ends are hit exactly: z = -3, -2, … in steps of 1/6.
Z = np.array([-12, -9, -6.5, -6, -3, -0.75, -0.0, 0, 0.75, 3, 3.5, 6, 9, 13.5, 18, 21]) / 6
CASES = [(bits, signed) for bits in (1, 2, 4) for signed in (True, False)]


def values():
    """`[16, 3]`, z as above in every channel."""
    return (Z[:, np.newaxis] * np.float64(SCALE) + THRESHOLD).astype(np.float32)


def oracle(x, bits, signed):
    """q, ∂q/∂x and s of the docstring, in float64."""
    low, high = level_range(bits, signed)
    z = (x.astype(np.float64) - THRESHOLD) / SCALE
    if bits == 1 and signed:
        levels = np.where(z < 0, -1.0, 1.0)
        slope = levels
    elif bits == 1:
        levels = np.where(z >= 0.5, 1.0, 0.0)
        slope = np.where(z < 0, 0.0, np.where(z > 1, 1.0, levels - z))
    else:
        levels = np.clip(np.round(z), low, high)
        slope = np.where(z < low, low, np.where(z > high, high, np.round(z) - z))
    return SCALE * levels, ((z >= low) & (z <= high)).astype(float), slope


@pytest.mark.parametrize(("bits", "signed"), CASES)
def test_forward_is_its_closed_form(bits, signed):
    x = values()
    result = elastic(x, SCALE, THRESHOLD, bits=bits, signed=signed)
    # Levels are small integers, the scale three quarters: products are exact.
    np.testing.assert_array_equal(result, oracle(x, bits, signed)[0])


@pytest.mark.parametrize(("bits", "signed"), CASES)
def test_gradients_are_their_closed_forms(bits, signed):
    x, scale, threshold = (tf.Variable(v) for v in (values(), SCALE, THRESHOLD))
    upstream = np.random.default_rng(3).normal(size=x.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(elastic(x, scale, threshold, bits=bits, signed=signed) * upstream)
    by_x, by_scale, by_threshold = tape.gradient(y, [x, scale, threshold])
    _, inside, slope = oracle(values(), bits, signed)
    high = max(level_range(bits, signed)[1], 1)
    np.testing.assert_array_equal(by_x, upstream * inside.astype(np.float32))
    # 48 float32 terms below 40 in sum, rounded relative to 2^-24 each.
    atol = 48 * 40 * 2.0**-24
    np.testing.assert_allclose(by_threshold, -(upstream * inside).sum(0), rtol=0, atol=atol)
    expected = (upstream * slope).sum() / np.sqrt(upstream.size * high)
    np.testing.assert_allclose(by_scale, expected, rtol=0, atol=atol)


def test_zeros_and_ties_go_up_as_a_sign_does():
    x = np.array([0.0, -0.0, -1e-30], np.float32)
    np.testing.assert_array_equal(elastic(x, 2.0, 0.0), [2, 2, -2])
    tie = np.array([1.0, np.nextafter(np.float32(1), np.float32(0))], np.float32)
    np.testing.assert_array_equal(elastic(tie, 2.0, 0.0, signed=False), [2, 0])


@pytest.mark.parametrize(("bits", "signed"), CASES)
def test_the_first_training_batch_sets_the_scale_and_later_ones_do_not(bits, signed):
    quantizer = Elastic(bits, signed, per_channel=False)
    batch = np.abs(np.random.default_rng(1).normal(size=(20, 6))).astype(np.float32)
    quantizer(batch, training=False)
    assert quantizer.scale.numpy() == 1
    quantizer(batch, training=True)
    high = max(level_range(bits, signed)[1], 1)
    expected = (2 if signed else 4) * np.abs(batch.astype(np.float64)).mean() / np.sqrt(high)
    # A mean of 120 terms and two products.
    np.testing.assert_allclose(quantizer.scale.numpy(), expected, rtol=122 * 2.0**-24)
    before = quantizer.scale.numpy()
    quantizer(3 * batch, training=True)
    assert quantizer.scale.numpy() == before


def test_a_symbolic_learning_phase_decides_whether_to_calibrate():
    quantizer = Elastic()
    step = tf.function(lambda x, training: quantizer(x, training=training))
    x = tf.fill([4, 3], 5.0)
    step(x, tf.constant(False))
    assert quantizer.scale.numpy() == 1
    step(x, tf.constant(True))
    assert quantizer.scale.numpy() == 10


def test_a_scale_below_the_smallest_counts_as_the_smallest():
    quantizer = Elastic(per_channel=False)
    x = np.array([[-1.0, 2.0]], np.float32)
    quantizer(x)
    quantizer.scale.assign(-3.0)
    np.testing.assert_array_equal(quantizer(x), np.float32(SMALLEST_SCALE) * np.sign(x))


@pytest.mark.parametrize("signed", [True, False])
def test_two_levels_tell_what_it_gives(signed):
    quantizer = Elastic(1, signed)
    x = np.random.default_rng(2).normal(size=(50, 3)).astype(np.float32)
    quantizer(x)
    quantizer.scale.assign(0.7)
    quantizer.threshold.assign([0.1, -0.2, 0.0])
    threshold, low, high = quantizer.two_levels()
    np.testing.assert_array_equal(
        quantizer(x), np.where(x - threshold >= 0, np.float32(high), np.float32(low))
    )
    assert Elastic(2).two_levels() is None


def test_bits_must_be_positive():
    with pytest.raises(ValueError, match="bits must be at least 1, not 0"):
        Elastic(0)


@pytest.mark.parametrize("per_row", [False, True])
def test_centred_sign_is_its_closed_form_and_passes_the_gradient(per_row):
    w = np.random.default_rng(4).normal(0.3, 1, size=(5, 8)).astype(np.float32)
    variable = tf.Variable(w)
    with tf.GradientTape() as tape:
        y = centred_sign(variable, per_row=per_row)
    magnitude = np.abs(w).mean(1, keepdims=True) if per_row else np.abs(w).mean()
    expected = np.where(w < w.mean(), -1, 1) * magnitude
    # A mean of 40 terms.
    np.testing.assert_allclose(y, expected, rtol=41 * 2.0**-24)
    np.testing.assert_array_equal(tape.gradient(y, variable), np.ones_like(w))
    assert len(np.unique(np.abs(y))) == (5 if per_row else 1)
    np.testing.assert_array_equal(centred_sign(y, per_row=per_row), y)


def test_in_larq_layers_they_train_save_and_load(tmp_path):
    image = keras.Input((4, 12))
    x = lq.layers.QuantDense(
        6,
        input_quantizer=Elastic(),
        kernel_quantizer=CentredSign(),
        kernel_constraint="weight_clip",
    )(image)
    x = keras.layers.Reshape((4, 6, 1))(x)
    x = lq.layers.QuantConv2D(
        2, 3, input_quantizer=Elastic(2, signed=False), kernel_quantizer="ste_sign",
        kernel_constraint="weight_clip",
    )(x)  # fmt: skip
    model = keras.Model(image, x)
    inputs = np.random.default_rng(5).normal(size=(7, 4, 12)).astype(np.float32)
    model.compile("adam", "mse")
    model.fit(inputs, np.ones((7, 2, 4, 2)), verbose=0)
    assert model.layers[1].input_quantizer.scale.numpy() != 1
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(inputs), model(inputs))
    again = loaded.layers[3].input_quantizer
    assert (again.bits, again.signed, again.precision) == (2, False, 2)


@pytest.mark.parametrize(("bits", "signed"), [(1, True), (1, False), (2, True)])
def test_scale_below_its_bound_keeps_its_gradient(bits, signed):
    quantizer = Elastic(bits, signed)
    x = tf.constant(np.linspace(0.01, 1, 12, dtype=np.float32).reshape(3, 4))
    quantizer(x)
    quantizer.scale.assign(SMALLEST_SCALE / 10)
    with tf.GradientTape() as tape:
        outputs = quantizer(x, training=False)
        loss = tf.reduce_sum(tf.square(outputs - x))
    gradient = tape.gradient(loss, quantizer.scale)
    # Every output is below its input: the scale has to grow.
    assert gradient < 0
    assert np.isfinite(outputs).all()


def test_unsigned_levels_count_from_the_minimum_where_asked():
    # Two samples with minima of their own: behind those, the closed form without a minimum.
    x = np.reshape(values()[4:] + np.float32(0.25), [2, 6, 3])
    least = (x - THRESHOLD).min((1, 2), keepdims=True)
    assert least[0] != least[1]
    upstream = np.random.default_rng(3).normal(size=x.shape).astype(np.float32)
    variables = [tf.Variable(v) for v in (x, SCALE, THRESHOLD)]
    with tf.GradientTape() as tape:
        y = elastic(*variables, bits=2, signed=False, from_minimum=True)
        loss = tf.reduce_sum(y * upstream)
    by_x, by_scale, by_threshold = tape.gradient(loss, variables)
    expected, inside, slope = oracle(x - least, 2, False)
    # Sums of a few quarters of 0.75 are exact; so is the shift by the minimum.
    np.testing.assert_array_equal(y, (expected + least).astype(np.float32))
    np.testing.assert_array_equal(by_x, upstream * inside.astype(np.float32))
    np.testing.assert_allclose(by_threshold, -(upstream * inside).sum((0, 1)), rtol=1e-5, atol=1e-5)
    scaled = (upstream * slope).sum() / np.sqrt(upstream.size * 3)
    np.testing.assert_allclose(by_scale, scaled, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("from_minimum", [False, True])
def test_zeros_behind_a_raised_threshold_lose_their_gradient_without_the_minimum(from_minimum):
    quantizer = Elastic(2, signed=False, from_minimum=from_minimum)
    x = tf.Variable(np.array([[[0.0], [0.0], [0.9]]], np.float32))
    quantizer(x)
    quantizer.scale.assign(0.5)
    quantizer.threshold.assign([0.2])
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(quantizer(x, training=False))
    assert (tape.gradient(y, x).numpy()[0, :2] == 1).all() == from_minimum


def test_no_sample_depends_on_the_minimum_of_others():
    quantizer = Elastic(2, signed=False, from_minimum=True)
    x = np.array([[0.25, 0.6, 1.6], [0.0, 0.6, 1.6]], np.float32)
    quantizer(x)
    quantizer.scale.assign(0.5)
    together = quantizer(x, training=False)
    np.testing.assert_array_equal(together[:1], quantizer(x[:1], training=False))
    np.testing.assert_array_equal(together, [[0.25, 0.75, 1.75], [0, 0.5, 1.5]])


@pytest.mark.parametrize(("bits", "signed"), [(1, True), (1, False), (2, True)])
def test_the_minimum_is_of_several_unsigned_bits_only(bits, signed):
    x = values()
    result = elastic(x, SCALE, THRESHOLD, bits=bits, signed=signed, from_minimum=True)
    np.testing.assert_array_equal(result, elastic(x, SCALE, THRESHOLD, bits=bits, signed=signed))


def test_a_threshold_that_is_not_trained_stays_in_the_configuration():
    quantizer = Elastic(1, False, trained_threshold=False, from_minimum=True)
    quantizer(np.ones((2, 3), np.float32))
    assert [w.name.split("/")[-1] for w in quantizer.trainable_weights] == ["scale:0"]
    again = Elastic.from_config(quantizer.get_config())
    assert (again.trained_threshold, again.from_minimum) == (False, True)
    # What an older version saved has neither, and counts from the threshold.
    old = {"name": "q", "bits": 2, "signed": False, "per_channel": True}
    assert not Elastic.from_config(old).from_minimum
