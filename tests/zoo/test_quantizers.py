import numpy as np
import pytest

from onebit.keras import keras, lq, tf
from zoo.layers.quantizers import (
    ScaledSign,
    StochasticSign,
    hard_sigmoid,
    scaled_sign,
    stochastic_sign,
    straight_through_sign,
)

ABOVE_MINUS_ONE = np.nextafter(np.float32(-1), np.float32(0))
EDGES = np.array([-2, -1, ABOVE_MINUS_ONE, -0.5, -0.0, 0.0, 0.5, 1, 2], np.float32)


def test_hard_sigmoid_is_its_closed_form():
    expected = [0, 0, 2**-25, 0.25, 0.5, 0.5, 0.75, 1, 1]
    # nextafter(-1, 0) = -1 + 2^-24, whose distance from -1 is exact in float32.
    np.testing.assert_array_equal(hard_sigmoid(EDGES), np.array(expected, np.float32))


@pytest.mark.parametrize(("x", "p"), [(-1.5, 0), (-0.6, 0.2), (-0.0, 0.5), (0.6, 0.8), (1.0, 1)])
def test_draws_are_positive_as_often_as_the_hard_sigmoid_says(x, p):
    count = 40_000
    drawn = StochasticSign(seed=3)(tf.fill([count], x), training=True).numpy()
    assert set(np.unique(drawn)) <= {-1.0, 1.0}
    # Five standard deviations of a binomial share; 0 at the clip edges, where it is certain.
    tolerance = 5 * np.sqrt(p * (1 - p) / count)
    assert abs(np.mean(drawn > 0) - p) <= tolerance + 1e-12


def test_a_draw_compares_the_uniform_number_with_the_hard_sigmoid():
    x = np.array([-1, -0.5, 0, 0.5, 1], np.float32)
    uniform = np.array([0, 0.25, 0.4999, 0.75, 0.9999999], np.float32)
    np.testing.assert_array_equal(stochastic_sign(x, uniform), [-1, -1, 1, -1, 1])


def test_outside_training_it_is_the_sign_with_zero_positive():
    drawn = StochasticSign(seed=1)(EDGES, training=False)
    np.testing.assert_array_equal(drawn, [-1, -1, -1, -1, 1, 1, 1, 1, 1])


@pytest.mark.parametrize("training", [False, True])
def test_the_gradient_passes_straight_through(training):
    x = tf.Variable(EDGES)
    upstream = np.arange(1, len(EDGES) + 1, dtype=np.float32)
    quantizer = StochasticSign(seed=1)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(quantizer(x, training=training) * upstream)
    np.testing.assert_array_equal(tape.gradient(y, x), upstream)


def test_the_function_form_of_the_sign_passes_the_gradient():
    x = tf.Variable(EDGES)
    with tf.GradientTape() as tape:
        y = straight_through_sign(x)
    np.testing.assert_array_equal(y, np.where(EDGES < 0, -1.0, 1.0))
    np.testing.assert_array_equal(tape.gradient(y, x), np.ones_like(EDGES))


def test_draws_differ_from_call_to_call_and_repeat_with_the_seed():
    x = tf.zeros([64])

    def draws(seed):
        quantizer = StochasticSign(seed=seed)
        return np.stack([quantizer(x, training=True) for _ in range(3)])

    first = draws(7)
    assert not np.array_equal(first[0], first[1])
    np.testing.assert_array_equal(first, draws(7))
    assert not np.array_equal(first, draws(8))


def test_without_a_seed_the_global_one_decides():
    x = tf.zeros([64])
    results = []
    for seed in (5, 5, 6):
        keras.utils.set_random_seed(seed)
        results.append(StochasticSign()(x, training=True).numpy())
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


def _model():
    return keras.Sequential(
        [
            lq.layers.QuantDense(
                8,
                kernel_quantizer=StochasticSign(seed=2),
                kernel_constraint="weight_clip",
                input_shape=(16,),
                use_bias=False,
            )
        ]
    )


def test_a_checkpoint_restores_the_position_in_the_sequence(tmp_path):
    x = tf.ones([1, 16])
    model = _model()
    step = tf.function(lambda: model(x, training=True))
    step()
    checkpoint = tf.train.Checkpoint(model=model)
    path = checkpoint.write(str(tmp_path / "state"))
    expected = [step().numpy() for _ in range(3)]

    other = _model()
    tf.train.Checkpoint(model=other).read(path).assert_consumed()
    again = tf.function(lambda: other(x, training=True))
    np.testing.assert_array_equal([again().numpy() for _ in range(3)], expected)


def test_its_state_is_no_weight():
    assert [tuple(weight.shape) for weight in _model().weights] == [(16, 8)]


def test_in_a_larq_layer_it_draws_in_training_and_saves_and_loads(tmp_path):
    model = _model()
    x = tf.random.stateless_normal([4, 16], seed=(1, 2))
    assert not np.array_equal(model(x, training=True), model(x, training=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    assert loaded.layers[0].kernel_quantizer.seed == 2
    assert loaded.layers[0].kernel_quantizer.precision == 1


def test_a_symbolic_learning_phase_chooses_the_branch():
    quantizer = StochasticSign(seed=4)

    @tf.function
    def call(training):
        return quantizer(tf.fill([200], -0.5), training=training)

    assert set(call(tf.constant(True)).numpy()) == {-1.0, 1.0}
    assert set(call(tf.constant(False)).numpy()) == {-1.0}


def _latent(*shape):
    values = np.random.default_rng([9, *shape]).uniform(-1.5, 1.5, shape).astype(np.float32)
    values.flat[:3] = [0.0, -0.0, 1.0]
    return values


@pytest.mark.parametrize("shape", [(3, 3, 4, 5), (7, 2), (1, 1, 1, 3)])
def test_the_scaled_sign_has_one_magnitude_per_channel_and_the_papers_gradient(shape):
    values, upstream = _latent(*shape), _latent(*shape[::-1]).reshape(shape)
    weights = tf.Variable(values)
    with tf.GradientTape() as tape:
        y = scaled_sign(weights)
        total = tf.reduce_sum(y * upstream)
    count = values[..., 0].size
    alpha = np.abs(values.astype(np.float64)).reshape(-1, shape[-1]).mean(0)
    # The mean of n numbers below 2 and one product: n + 1 roundings of float32.
    rounding = 2 * (count + 1) * 2**-24
    np.testing.assert_allclose(y, alpha * np.where(values < 0, -1, 1), rtol=0, atol=rounding)
    factor = 1 / count + alpha * (np.abs(values) <= 1)
    np.testing.assert_allclose(
        tape.gradient(total, weights), factor * upstream, rtol=0, atol=3 * rounding
    )


def test_the_scaled_sign_works_in_a_larq_layer_and_serialises():
    layer = lq.layers.QuantConv2D(
        4, 3, kernel_quantizer=ScaledSign(), kernel_constraint="weight_clip", use_bias=False
    )
    model = keras.Sequential([keras.Input((5, 5, 3)), layer])
    images = _latent(2, 5, 5, 3)
    expected = tf.nn.conv2d(images, scaled_sign(layer.kernel.latent_variable), 1, "VALID")
    np.testing.assert_array_equal(model(images), expected)
    again = keras.Sequential.from_config(model.get_config())
    assert isinstance(again.layers[0].kernel_quantizer, ScaledSign)
    assert again.layers[0].kernel_quantizer.precision == 1
