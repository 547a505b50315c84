"""Dropout behind a quantizer, in the layers and networks that have it."""

import numpy as np
import pytest

import convert
import zoo
from onebit.keras import keras, lq, tf
from zoo.layers.binary import Dropped, dropped
from zoo.training.checkpoints import random_states

X = np.random.default_rng(3).normal(size=(200, 50)).astype(np.float32)


def test_training_drops_signs_and_scales_the_others():
    keras.utils.set_random_seed(1)
    y = Dropped(lq.quantizers.SteSign(), 0.25)(X, training=True).numpy()
    kept = y != 0
    scaled = np.where(X < 0, -1, 1).astype(np.float32) / np.float32(0.75)
    np.testing.assert_array_equal(y[kept], scaled[kept])
    # 10,000 draws: five standard errors of 0.43 % each.
    assert abs(kept.mean() - 0.75) < 5 * (0.75 * 0.25 / X.size) ** 0.5


def test_outside_training_it_is_the_quantizer():
    quantizer = Dropped("ste_sign", 0.5)
    np.testing.assert_array_equal(quantizer(X, training=False), np.where(X < 0, -1, 1))
    assert quantizer.precision == 1


def test_what_is_dropped_passes_no_gradient():
    keras.utils.set_random_seed(2)
    x = tf.constant(np.clip(X, -1, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = Dropped("ste_sign", 0.5)(x, training=True)
    np.testing.assert_array_equal(tape.gradient(y, x), np.where(y == 0, 0, 2))


def test_without_a_rate_there_is_the_quantizer_only():
    sign = lq.quantizers.SteSign()
    assert dropped(sign, 0.0) is sign


def test_it_saves_and_loads_in_a_larq_layer(tmp_path):
    image = keras.Input((50,))
    layer = lq.layers.QuantDense(4, input_quantizer=Dropped("ste_sign", 0.5), name="dense")
    model = keras.Model(image, layer(image))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    quantizer = loaded.get_layer("dense").input_quantizer
    assert (quantizer.rate, type(quantizer.quantizer).__name__) == (0.5, "SteSign")
    np.testing.assert_array_equal(loaded(X), model(X))
    assert not np.array_equal(loaded(X, training=True), loaded(X, training=True))


@pytest.mark.parametrize(
    ("name", "options", "layers"),
    [
        ("binary_net_mlp", {"units": 16, "dropout": 0.5}, 3),
        pytest.param("tfc_w1a1", {"units": 16, "dropout": 0.5}, 4, marks=pytest.mark.slow),
        ("xnor_net_nin", {"width": 12, "input_shape": (28, 28, 1)}, 2),
    ],
)
def test_networks_drop_behind_their_signs_and_convert(name, options, layers):
    keras.utils.set_random_seed(4)
    model = zoo.build(name, **options)
    quantizers = [getattr(layer, "input_quantizer", None) for layer in model.layers]
    assert sum(isinstance(each, Dropped) for each in quantizers) == layers
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in model.layers)
    # Each has a state that checkpoints save, so that a resumed training draws on.
    assert len(list(random_states(model))) == layers
    plain = zoo.build(name, **{**options, "dropout": 0.0})
    for mine, theirs in zip(model.weights, plain.weights, strict=True):
        theirs.assign(mine)
    images = np.random.default_rng(5).normal(size=(4, *model.input_shape[1:])).astype(np.float32)
    np.testing.assert_array_equal(model(images), plain(images))
    reports = [convert.convert_model(each).report for each in (model, plain)]
    assert reports[0].kinds() == reports[1].kinds()
    assert reports[0].verification.summary() == "exact"
