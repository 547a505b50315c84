import numpy as np
import pytest

import zoo
from onebit.errors import UsageError
from onebit.keras import keras, lq, tf
from zoo.recipes import Recipe
from zoo.training.bop import Bop
from zoo.training.optimizers import LatentAndReal, make_optimizer


def test_steps_follow_algorithm_1():
    random = np.random.default_rng(1)
    weights = random.choice([-1.0, 1.0], (6, 7)).astype(np.float32)
    variable, average = tf.Variable(weights), np.zeros((6, 7), np.float32)
    optimizer, gamma, threshold = Bop(0.25, threshold=0.2), np.float32(0.25), 0.2
    flips = 0
    for _ in range(8):
        gradient = random.normal(size=(6, 7)).astype(np.float32)
        average = average + gamma * (gradient - average)
        flip = (np.abs(average) >= threshold) & (np.sign(average) == np.sign(weights))
        weights = np.where(flip, -weights, weights)
        flips += flip.sum()
        optimizer.apply_gradients([(tf.constant(gradient), variable)])
        np.testing.assert_array_equal(variable, weights)
    assert 10 < flips < 8 * 42


def test_weights_that_are_not_binary_become_their_signs():
    variable = tf.Variable([-0.3, 0.0, 0.7])
    Bop(0.5, threshold=10.0).apply_gradients([(tf.ones(3), variable)])
    np.testing.assert_array_equal(variable, [-1, 1, 1])


def test_an_equal_optimizer_is_made_of_its_configuration():
    copy = Bop.from_config(Bop(0.125, threshold=0.5).get_config())
    assert (float(copy.learning_rate), copy.threshold) == (0.125, 0.5)


def test_the_recipe_gives_binary_weights_to_bop_and_the_others_to_adam():
    recipe = Recipe("m", "d", optimizer="bop", bop_gamma=0.5, bop_threshold=0.25)
    optimizer = make_optimizer(recipe, steps=10)
    assert isinstance(optimizer, LatentAndReal)
    assert isinstance(optimizer.latent, Bop)
    assert optimizer.latent.threshold == 0.25
    assert type(optimizer.real) is keras.optimizers.Adam


@pytest.mark.slow
def test_bop_trains_a_network_and_resumes(tmp_path):
    settings = {"optimizer": "bop", "bop_gamma": "0.01", "bop_threshold": "1e-4", "units": "32"}
    recipe = zoo.resolve_recipe("binary_net_mlp_mnist_5k", {**settings, "epochs": "4"}, smoke=True)
    run = zoo.train(recipe, tmp_path / "whole")
    kernel = run.model.get_layer("hidden_2").kernel
    assert isinstance(kernel, lq.quantized_variable.QuantizedVariable)
    assert set(np.unique(kernel.numpy())) == {-1.0, 1.0}
    assert run.history[-1]["loss"] < run.history[0]["loss"]
    assert run.history[0]["flip_ratio"] > 0


@pytest.mark.parametrize("value", ["0", "-1"])
def test_hyperparameters_must_be_above_zero(value):
    with pytest.raises(UsageError, match="bop_gamma must be above 0"):
        zoo.resolve_recipe("binary_net_mlp_mnist_5k", {"bop_gamma": value})
