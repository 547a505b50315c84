import numpy as np
import pytest

from onebit.keras import keras, lq, tf
from zoo.layers.reactnet_layers import RPReLU, RSign, rprelu, rsign

SEED = 17
CHANNELS = 5


def _random(*shape):
    return np.random.default_rng([SEED, *shape]).normal(size=shape, scale=1.5).astype(np.float32)


def _rsign_gradient(x, threshold):
    distance = np.abs(x - threshold)
    return np.where(distance <= 1, 2 * (1 - distance), 0)


def test_rsign_turns_at_the_threshold_of_its_channel_which_is_positive():
    below = np.nextafter(np.float32(0.5), np.float32(0))
    x = np.array([[0.5, -0.0, -2.0], [below, 0.0, -1.9]], np.float32)
    threshold = np.array([0.5, 0.0, -1.95], np.float32)
    np.testing.assert_array_equal(rsign(x, threshold), [[1, 1, -1], [-1, 1, 1]])


def test_rsign_has_the_closed_forms_gradient_in_both_arguments():
    x, threshold = tf.Variable(_random(7, CHANNELS)), tf.Variable(_random(CHANNELS))
    upstream = _random(7, CHANNELS)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(rsign(x, threshold) * upstream)
    to_x, to_threshold = tape.gradient(y, [x, threshold])
    expected = _rsign_gradient(x.numpy(), threshold.numpy()) * upstream
    assert np.any(expected == 0)
    assert np.any(expected)
    # Three roundings of float32 on values below 16; the sum of 7 adds as many.
    np.testing.assert_allclose(to_x, expected, atol=16 * 3 * 2**-24)
    np.testing.assert_allclose(to_threshold, -expected.sum(0), atol=16 * 10 * 2**-24)


@pytest.mark.parametrize("distance", [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5])
def test_rsigns_gradient_is_a_triangle_around_the_threshold(distance):
    x, threshold = tf.constant([[2.0 + distance]]), tf.constant([2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = rsign(x, threshold)
    assert tape.gradient(y, x) == max(0.0, 2 - 2 * abs(distance))


def test_rprelu_is_its_closed_form_with_all_gradients():
    values = [_random(6, 3, CHANNELS), *(_random(CHANNELS) + k for k in (0.25, 0.5, 0.75))]
    x, gamma, zeta, beta = variables = [tf.Variable(value) for value in values]
    upstream = _random(6, 3, CHANNELS)
    with tf.GradientTape() as tape:
        y = rprelu(x, gamma, zeta, beta)
        total = tf.reduce_sum(y * upstream)
    gradients = tape.gradient(total, variables)

    shifted = values[0] - values[1]
    above = shifted > 0
    slope = np.where(above, 1, values[3])
    # Five roundings of float32 on values below 64; the sums of 18 add as many.
    rounding = 64 * 5 * 2**-24
    np.testing.assert_allclose(y, slope * shifted + values[2], atol=rounding)
    expected = [slope, -slope, np.ones_like(shifted), np.where(above, 0, shifted)]
    np.testing.assert_allclose(gradients[0], expected[0] * upstream, atol=rounding)
    for gradient, factor in zip(gradients[1:], expected[1:], strict=True):
        np.testing.assert_allclose(gradient, (factor * upstream).sum((0, 1)), atol=5 * rounding)


def test_rprelus_corner_passes_no_gradient_to_its_input_and_threshold():
    gamma = np.array([0.0, 0.75, -1.5, 0.1], np.float32)
    x, zeta, beta = gamma[None, None], np.ones(4, np.float32), np.full(4, 0.25, np.float32)
    variables = [tf.Variable(value) for value in (x, gamma, zeta, beta)]
    with tf.GradientTape() as tape:
        y = rprelu(*variables)
    np.testing.assert_array_equal(y, np.ones((1, 1, 4)))
    to_x, to_gamma, to_zeta, to_beta = tape.gradient(y, variables)
    for gradient in (to_x, to_gamma, to_beta):
        np.testing.assert_array_equal(gradient, np.zeros(gradient.shape))
    np.testing.assert_array_equal(to_zeta, np.ones(4))


def test_rprelu_starts_as_pytorchs_prelu():
    x = np.array([[-4.0, -1.0, 0.0, 2.0]], np.float32)
    np.testing.assert_array_equal(RPReLU()(x), [[-1.0, -0.25, 0.0, 2.0]])


def _model():
    image = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(32, 3, name="first")(image)
    x = lq.layers.QuantConv2D(
        32,
        3,
        padding="same",
        input_quantizer=RSign(),
        kernel_quantizer="ste_sign",
        kernel_constraint="weight_clip",
        use_bias=False,
        name="binary",
    )(x)
    x = keras.layers.BatchNormalization()(x)
    x = RPReLU(name="activation")(x)
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    for layer in ("binary", "activation"):
        for weight in model.get_layer(layer).trainable_weights:
            if weight.shape.rank == 1:
                weight.assign(weight + 0.3 * _random(*weight.shape))
    return model


def test_thresholds_are_trainable_weights_of_a_larq_layer():
    model = _model()
    names = [weight.name for weight in model.get_layer("binary").trainable_weights]
    assert any("threshold" in name for name in names)
    assert len(model.get_layer("activation").trainable_weights) == 3


def test_both_save_and_load_with_their_weights(tmp_path):
    model, images = _model(), _random(4, 6, 6, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(images), model(images))
    assert loaded.get_layer("binary").input_quantizer.precision == 1


def test_a_layer_with_rsign_converts_to_a_binary_one_and_rprelu_to_one_operator():
    import convert
    from convert.tflite.graph import Graph
    from convert.verification import verify

    model = _model()
    conversion = convert.convert_model(model)
    kinds = {layer.name: layer.kind for layer in conversion.report.layers}
    assert kinds["binary"] == "binary"
    graph = Graph.from_bytes(conversion.tflite)
    operators = [graph.op_name(op) for op in graph.operators]
    assert operators.count("LceBconv2d") == 1
    assert operators.count("PRELU") == 1
    assert "RELU" not in operators
    result = verify(model, conversion.tflite, [_random(8, 6, 6, 3)], split="random")
    assert result.summary() == "exact"
