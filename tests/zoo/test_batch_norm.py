"""Moments of batch normalisation, estimated for the network that is tested."""

import numpy as np
import pytest

import zoo
from onebit.keras import keras, lq
from zoo.layers.quantizers import StochasticSign
from zoo.recipes import resolve_recipe
from zoo.training.batch_norm import (
    draws_weights,
    estimate_moments,
    estimates_moments,
    latent_weights,
    set_moments,
    with_moments,
)
from zoo.training.inputs import options_of

RNG = np.random.default_rng(5)
IMAGES = (RNG.normal(size=(60, 6)) * np.arange(1, 7)).astype(np.float32)


def network(**dropout):
    """Two dense layers with drawn weights, each before a batch normalisation."""
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((6,))
    for index, units in enumerate((5, 4)):
        x = keras.layers.Dropout(dropout.get("rate", 0.0))(x)
        x = lq.layers.QuantDense(
            units,
            kernel_quantizer=StochasticSign(seed=index),
            kernel_constraint="weight_clip",
            use_bias=False,
        )(x)
        x = keras.layers.BatchNormalization(name=f"norm_{index}")(x)
        x = keras.layers.ReLU()(x) if index == 0 else x
    model = keras.Model(inputs, x)
    for weight in model.trainable_weights:
        weight.assign(np.random.default_rng(7).uniform(-1, 1, weight.shape))
    return model


def kernels(model):
    return [w.numpy() for w in model.trainable_weights if "kernel" in w.name]


def direct(images, weights, norms):
    """Mean and variance of both layers' outputs over all images at once."""
    first = images.astype(float) @ weights[0]
    gamma, beta, epsilon = norms[0]
    hidden = (first - first.mean(0)) / np.sqrt(first.var(0) + epsilon) * gamma + beta
    second = np.maximum(hidden, 0) @ weights[1]
    return [(x.mean(0), x.var(0)) for x in (first, second)]


def norms(model):
    layers = [model.get_layer(f"norm_{i}") for i in (0, 1)]
    return [(layer.gamma.numpy(), layer.beta.numpy(), layer.epsilon) for layer in layers]


@pytest.mark.parametrize("latent", [False, True])
def test_moments_of_one_batch_are_those_of_a_direct_computation(latent):
    model = network()
    weights = [w if latent else np.where(w < 0, -1.0, 1.0) for w in kernels(model)]
    if latent:
        with latent_weights(model):
            moments = estimate_moments(model, [IMAGES])
    else:
        moments = estimate_moments(model, [IMAGES])
    for index, (mean, variance) in enumerate(direct(IMAGES, weights, norms(model))):
        # Sums of 60 products in float32 against float64.
        np.testing.assert_allclose(moments[f"norm_{index}/mean"], mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(moments[f"norm_{index}/variance"], variance, rtol=1e-4)


def test_moments_over_unequal_batches_pool_those_of_each_batch():
    model = network()
    batches = [IMAGES[:37], IMAGES[37:50], IMAGES[50:]]
    moments = estimate_moments(model, batches)
    weights = [np.where(w < 0, -1.0, 1.0) for w in kernels(model)]
    # Each batch goes through the first layer with its own moments, so that the second layer's
    # inputs are not those of one pass over all images.
    by_batch = [direct(batch, weights, norms(model)) for batch in batches]
    shares = np.array([[len(batch)] for batch in batches]) / len(IMAGES)
    whole = direct(IMAGES, weights, norms(model))
    for index in (0, 1):
        means, variances = map(np.array, zip(*(layers[index] for layers in by_batch), strict=True))
        mean = (shares * means).sum(0)
        variance = (shares * (variances + (means - mean) ** 2)).sum(0)
        np.testing.assert_allclose(moments[f"norm_{index}/mean"], mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(moments[f"norm_{index}/variance"], variance, rtol=1e-4)
        # Pooled moments of unchanged inputs are those of all images at once: the first layer's.
        assert np.allclose(mean, whole[index][0], rtol=1e-3) == (index == 0)


def test_estimating_changes_neither_the_model_nor_its_later_calls():
    model = network()
    before = model.get_weights()
    outputs = model(IMAGES, training=False).numpy()
    estimate_moments(model, [IMAGES])
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert np.array_equal(model(IMAGES, training=False).numpy(), outputs)


def test_stored_moments_normalise_what_they_were_estimated_on():
    model = network()
    set_moments(model, estimate_moments(model, [IMAGES]))
    gamma, beta, epsilon = norms(model)[1]
    outputs = model(IMAGES, training=False).numpy()
    variance = model.get_layer("norm_1").moving_variance.numpy()
    np.testing.assert_allclose(outputs.mean(0), beta, atol=1e-4)
    expected = np.abs(gamma) * np.sqrt(variance / (variance + epsilon))
    np.testing.assert_allclose(outputs.std(0), expected, rtol=1e-3)


def test_other_moments_hold_in_their_block_only():
    model = network()
    outputs = model(IMAGES, training=False).numpy()
    with with_moments(model, estimate_moments(model, [IMAGES])):
        assert not np.allclose(model(IMAGES, training=False).numpy(), outputs)
    assert np.array_equal(model(IMAGES, training=False).numpy(), outputs)


def test_drawn_weights_are_those_of_the_stochastic_form():
    assert draws_weights(network())
    assert not draws_weights(zoo.build("binary_connect_mlp", units=8))
    assert not draws_weights(zoo.build("float_mlp", units=8, dropout=0.5))


@pytest.mark.parametrize(
    ("recipe", "estimated"),
    [
        ("binary_connect_mlp_stochastic_mnist_5k", True),
        ("float_mlp_dropout_mnist_5k", True),
        ("float_mlp_dropout_mnist", True),
        ("float_mlp_dropout_fashion_mnist", True),
        ("float_mlp_mnist_5k", False),
        ("binary_connect_mlp_mnist_5k", False),
        # Dropout, and programs with moving averages.
        ("binary_net_mlp_mnist", False),
        ("xnor_net_nin_cifar10", False),
    ],
)
def test_moments_are_estimated_where_the_authors_do_it(recipe, estimated):
    recipe = resolve_recipe(recipe)
    options = options_of(recipe, (28, 28, 1), 10) | recipe.smoke_options
    assert estimates_moments(recipe, zoo.build(recipe.model, **options)) is estimated
