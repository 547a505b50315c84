import math

import numpy as np
import pytest

import zoo
from onebit.errors import UsageError
from onebit.keras import keras, lq, tf
from zoo.layers.channel_layers import ChannelScale
from zoo.layers.elastic_quantizer import Elastic
from zoo.recipes import Recipe, resolve_recipe
from zoo.training.optimizers import (
    GlorotScaledAdam,
    GlorotScaledSGD,
    glorot_coefficient,
    is_decayed,
    make_optimizer,
    quantizer_weights,
)


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


def _layers():
    latent = lq.layers.QuantDense(
        3, kernel_quantizer="ste_sign", kernel_constraint=lq.constraints.WeightClip(1.25)
    )
    model = keras.Sequential([keras.Input((4,)), latent, keras.layers.Dense(2)])
    return model, [0.5 * tf.ones_like(weight) for weight in model.trainable_weights]


def test_weight_decay_adds_to_the_gradient_of_kernels_only():
    recipe = Recipe("float_mlp", "mnist_5k", optimizer="sgd", weight_decay=0.25, learning_rate=0.5)
    model, gradients = _layers()
    optimizer = make_optimizer(recipe, 10)
    before = [weight.numpy() for weight in model.trainable_weights]
    optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
    for weight, old in zip(model.trainable_weights, before, strict=True):
        decay = 0.25 * old if old.ndim > 1 else 0
        # Three roundings of float32 on values below 2.
        np.testing.assert_allclose(weight.numpy(), old - 0.5 * (0.5 + decay), atol=6 * 2**-24)


def test_latent_and_real_weights_have_their_own_optimizers_and_a_checkpoint(tmp_path):
    recipe = Recipe(
        "float_mlp", "mnist_5k", learning_rate=0.01, real_learning_rate=0.1, momentum=0.9
    )
    model, gradients = _layers()
    optimizer = make_optimizer(recipe, 10)
    optimizer.build(model.trainable_weights)
    before = [weight.numpy() for weight in model.trainable_weights]
    optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
    for weight, old in zip(model.trainable_weights, before, strict=True):
        # Adam's first step is the learning rate, SGD's the rate times the gradient.
        step = 0.01 if "quant_dense" in weight.name and old.ndim > 1 else 0.05
        np.testing.assert_allclose(weight.numpy(), old - step, atol=1e-6)
    assert int(optimizer.iterations) == 1
    assert float(optimizer.learning_rate) == pytest.approx(0.01)  # of the last step

    path = tf.train.Checkpoint(optimizer=optimizer, model=model).write(str(tmp_path / "state"))
    other, _ = _layers()
    again = make_optimizer(recipe, 10)
    again.build(other.trainable_weights)
    tf.train.Checkpoint(optimizer=again, model=other).read(path).assert_consumed()
    for one, two in ((optimizer, model), (again, other)):
        one.apply_gradients(zip(gradients, two.trainable_weights, strict=True))
    for weight, same in zip(model.trainable_weights, other.trainable_weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), same.numpy())


def test_fan_in_scaled_sgd_multiplies_gradients_of_latent_weights_by_their_fan_in():
    recipe = Recipe("bwn_resnet18", "imagenet", optimizer="sgd", fan_in_scaling=True)
    optimizer = make_optimizer(recipe, steps=10)
    latent = tf.Variable(tf.zeros([3, 3, 4, 5]), constraint=lq.constraints.WeightClip(1.0))
    real = tf.Variable(tf.zeros([3, 3, 4, 5]))
    optimizer.build([latent, real])
    gradient = tf.fill([3, 3, 4, 5], 0.01)
    rate = float(optimizer.learning_rate)
    optimizer.apply_gradients([(gradient, latent), (gradient, real)])
    np.testing.assert_allclose(real.numpy(), -rate * 0.01, rtol=1e-6)
    np.testing.assert_allclose(latent.numpy(), -rate * 0.01 * 3 * 3 * 4, rtol=1e-6)


def test_adam_takes_its_epsilon_from_the_recipe():
    assert make_optimizer(Recipe("float_mlp", "mnist"), 10).epsilon == 1e-7
    assert make_optimizer(Recipe("dorefanet", "imagenet", adam_epsilon=1e-5), 10).epsilon == 1e-5


def test_adam_takes_its_beta_1_from_the_recipe():
    assert make_optimizer(Recipe("float_mlp", "mnist"), 10).beta_1 == 0.9
    recipe = Recipe("meliusnet29", "imagenet", optimizer="radam", adam_beta_1=0.95)
    assert make_optimizer(recipe, 10).beta_1 == 0.95


def test_rectified_adam_is_the_papers_algorithm():
    recipe = Recipe(
        *("meliusnet29", "imagenet"),
        optimizer="radam",
        adam_epsilon=1e-5,
        learning_rate=0.01,
        final_learning_rate=0.001,
        schedule="linear",
        weight_decay=0.1,
    )
    optimizer = make_optimizer(recipe, steps=10)
    random = np.random.default_rng(5)
    weight = random.normal(size=(3, 2))
    variable = tf.Variable(weight.astype(np.float32))
    mean = square = np.zeros_like(weight)
    lengths = []
    for step in range(1, 11):
        gradient = random.normal(size=(3, 2))
        optimizer.apply_gradients([(tf.constant(gradient, tf.float32), variable)])
        decayed = gradient + 0.1 * weight
        mean = 0.9 * mean + 0.1 * decayed
        square = 0.999 * square + 0.001 * decayed**2
        most = 2 / (1 - 0.999) - 1
        length = most - 2 * step * 0.999**step / (1 - 0.999**step)
        unbiased = mean / (1 - 0.9**step)
        if length > 5:
            unbiased /= (np.sqrt(square) + 1e-5) / math.sqrt(1 - 0.999**step)
            unbiased *= math.sqrt(
                (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)
            )
        weight = weight - (0.01 - 0.009 * (step - 1) / 10) * unbiased
        lengths.append(length)
        # Keras takes 1 - 0.999ᵗ from a float32 power, which is off by 2^-24 of some 0.005.
        np.testing.assert_allclose(variable.numpy(), weight, atol=2e-6)
    # Both branches were taken.
    assert lengths[0] < 5 < lengths[-1]


@pytest.mark.parametrize("optimizer", ["adamw", "radam", "bop"])
def test_glorot_scaling_is_refused_where_no_step_would_be_scaled(optimizer):
    with pytest.raises(UsageError, match=f"goes with optimizer adam or sgd, not {optimizer}"):
        Recipe("m", "d", optimizer=optimizer, glorot_scaling=True)


def test_reactnets_decay_is_of_convolutions_and_shifts():
    options = {"input_shape": (40, 40, 3), "classes": 3, "width": 4, "binary_weights": False}
    weights = zoo.build("react_resnet18", **options).trainable_weights
    kinds = {}
    for weight in weights:
        kind = weight.name.split("/")[-1].split(":")[0]
        kind = "dense" if kind == "kernel" and weight.shape.rank == 2 else kind
        kinds.setdefault(kind, set()).add(is_decayed(weight, "convolutions"))
    decayed = {kind for kind, found in kinds.items() if found == {True}}
    assert decayed == {"kernel", "threshold", "shift_in", "shift_out"}
    assert set(kinds) - decayed == {"gamma", "beta", "slope", "bias", "dense"}
    assert {is_decayed(w, "kernels") for w in weights if w.shape.rank == 1} == {False}


def test_a_recipe_says_what_is_decayed():
    recipe = resolve_recipe("reactnet_a_binary_activations_imagenet")
    optimizer = make_optimizer(recipe, 10)
    assert (optimizer.coupled_decay, optimizer.decayed) == (1e-5, "convolutions")
    assert make_optimizer(resolve_recipe("xnor_net_alexnet_imagenet"), 10).decayed == "kernels"


def test_quantizers_scales_and_thresholds_have_their_own_rate():
    recipe = Recipe(
        "binary_bert_tiny", "debian_sections", learning_rate=0.01, quantizer_learning_rate=1e-3
    )
    # LayerScale has a weight named scale too, which belongs to no quantizer.
    model = keras.Sequential([keras.Input((4,)), Elastic(), ChannelScale(), keras.layers.Dense(2)])
    model.layers[0].calibrated.assign(1.0)
    weights = model.trainable_weights
    optimizer = make_optimizer(recipe, 10, quantizer_weights(model))
    optimizer.build(weights)
    before = [weight.numpy() for weight in weights]
    optimizer.apply_gradients([(0.5 * tf.ones_like(weight), weight) for weight in weights])
    steps = {
        "/".join(weight.name.split("/")[-2:]): float(tf.reduce_max(abs(weight - old)))
        for weight, old in zip(weights, before, strict=True)
    }
    # Adam's first step is the rate. A float32 near 1 is known to 6e-8.
    quantizer, scale, dense = (layer.name for layer in model.layers)
    expected = {f"{quantizer}/{name}:0": 1e-3 for name in ("scale", "threshold")}
    expected |= {f"{scale}/{name}:0": 1e-2 for name in ("scale", "shift")}
    expected |= {f"{dense}/{name}:0": 1e-2 for name in ("kernel", "bias")}
    assert steps == pytest.approx(expected, abs=2e-7)


def test_what_a_networks_quantizers_learn_is_found_within_its_layers():
    options = {"input_shape": (8,), "classes": 3, "layers": 1, "units": 32, "vocabulary": 50}
    found = quantizer_weights(zoo.build("binary_bert_tiny", **options))
    assert {weight.name.split("/")[-1] for weight in found} == {"scale:0", "threshold:0"}


@pytest.mark.parametrize(
    "fields", [{"optimizer": "sgd"}, {"glorot_scaling": True}, {"real_learning_rate": 0.1}]
)
def test_a_rate_for_quantizers_needs_adam_for_all(fields):
    with pytest.raises(UsageError, match="quantizer_learning_rate goes with optimizer adam"):
        Recipe("m", "d", quantizer_learning_rate=1e-4, **fields)
