import math

import numpy as np
import pytest

from onebit.keras import keras, lq, tf
from zoo.optimizers import GlorotScaledAdam, GlorotScaledSGD, glorot_coefficient, make_optimizer
from zoo.recipes import Recipe


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((784, 1024), math.sqrt(1808 / 1.5)), ((3, 3, 16, 32), math.sqrt(9 * 48 / 1.5))],
)
def test_coefficient_is_the_inverse_of_glorots(shape, expected):
    assert glorot_coefficient(shape) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("scaled", "plain", "power"),
    [
        (GlorotScaledAdam, keras.optimizers.Adam, 1),
        (GlorotScaledSGD, keras.optimizers.SGD, 2),
    ],
)
def test_only_clipped_kernels_move_faster(scaled, plain, power):
    random = np.random.default_rng(3)
    start = random.uniform(-0.5, 0.5, (4, 6)).astype(np.float32)
    slope = random.normal(size=(4, 6)).astype(np.float32)
    moves = []
    for optimizer in (scaled(1e-4), plain(1e-4)):
        latent = tf.Variable(start, constraint=lq.constraints.WeightClip(1.0))
        real = tf.Variable(start)
        optimizer.apply_gradients([(tf.constant(slope), latent), (tf.constant(slope), real)])
        moves.append((latent.numpy() - start, real.numpy() - start))
    (fast, unscaled), (slow, same) = moves
    np.testing.assert_array_equal(unscaled, same)
    # Differences of float32 numbers below 1 are off by 2^-24 each; the factor magnifies slow's.
    factor = glorot_coefficient((4, 6)) ** power
    np.testing.assert_allclose(fast, factor * slow, atol=(1 + factor) * 2**-23)
    assert np.all(np.abs(fast) > np.abs(slow))


def test_scaled_kernels_stay_clipped():
    latent = tf.Variable(tf.zeros((8, 8)), constraint=lq.constraints.WeightClip(1.0))
    GlorotScaledAdam(10.0).apply_gradients([(tf.ones((8, 8)), latent)])
    np.testing.assert_array_equal(latent, -np.ones((8, 8)))


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, keras.optimizers.Adam),
        ({"optimizer": "sgd", "momentum": 0.9}, keras.optimizers.SGD),
        ({"glorot_scaling": True}, GlorotScaledAdam),
        ({"optimizer": "sgd", "glorot_scaling": True}, GlorotScaledSGD),
    ],
)
def test_the_recipe_decides_the_optimizer_and_its_decay(fields, kind):
    recipe = Recipe("m", "d", learning_rate=1e-2, final_learning_rate=1e-4, **fields)
    optimizer = make_optimizer(recipe, steps=10)
    assert type(optimizer) is kind
    schedule = optimizer._learning_rate
    assert [float(schedule(step)) for step in (0, 5, 10)] == pytest.approx([1e-2, 1e-3, 1e-4])
    if "momentum" in fields:
        assert optimizer.momentum == 0.9
