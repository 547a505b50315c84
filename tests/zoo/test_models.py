import subprocess
import sys

import numpy as np
import pytest

import zoo
from onebit.keras import keras, lq, tf
from zoo.losses import SquaredHinge
from zoo.registry import models

# Small enough that every registered model trains a step in a second.
TINY = {"units": 16, "width": 4, "input_shape": (8, 8, 1), "classes": 3}
VARIANTS = {"binary_connect_mlp": [{"stochastic": True}], "binary_net_mlp": [{"dropout": 0.3}]}
CASES = [
    pytest.param(name, extra, id=name + "".join(f"-{key}" for key in extra))
    for name in zoo.names()
    for extra in [{}, *VARIANTS.get(name, [])]
]


def _tiny(name, **extra):
    keras.utils.set_random_seed(11)
    known = models.get(name).options
    return zoo.build(name, **{key: TINY[key] for key in TINY if key in known}, **extra)


def _batch():
    generator = np.random.default_rng(5)
    return generator.uniform(-1, 1, (12, 8, 8, 1)).astype(np.float32), generator.integers(
        3, size=12
    )


@pytest.mark.parametrize(("name", "extra"), CASES)
def test_model_trains_a_step_with_gradients_everywhere(name, extra):
    model = _tiny(name, **extra)
    images, labels = _batch()
    optimizer = keras.optimizers.Adam(0.01)
    before = [weight.numpy() for weight in model.trainable_weights]
    with tf.GradientTape() as tape:
        loss = SquaredHinge()(labels, model(images, training=True))
    gradients = tape.gradient(loss, model.trainable_weights)
    assert np.isfinite(loss)
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert gradient is not None, weight.name
        assert np.all(np.isfinite(gradient)), weight.name
        assert np.any(gradient), weight.name
    optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert not np.array_equal(weight, old), weight.name


@pytest.mark.parametrize(("name", "extra"), CASES)
def test_model_saves_and_loads_to_the_same_output(name, extra, tmp_path):
    model = _tiny(name, **extra)
    images, _ = _batch()
    model(images, training=True)  # moves the averages of batch normalisation off their start
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(images), model(images))
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]


@pytest.mark.parametrize("name", zoo.names())
def test_model_has_the_shape_and_classes_that_it_was_asked_for(name):
    model = _tiny(name)
    assert model.name == name
    assert model.input_shape == (None, 8, 8, 1)
    assert model.output_shape == (None, 3)


@pytest.mark.parametrize("name", [name for name in zoo.names() if models.get(name).twin])
def test_twin_has_the_same_shape_and_no_quantizer(name):
    model, twin = _tiny(name), _tiny(models.get(name).twin)
    shapes = [[tuple(weight.shape) for weight in net.weights] for net in (model, twin)]
    assert shapes[0] == shapes[1]
    assert not any(type(layer).__module__.startswith("larq") for layer in twin.layers)


@pytest.mark.parametrize("name", zoo.names())
def test_binarisation_is_what_the_registry_says(name):
    kind = models.get(name).kind
    layers = [layer for layer in _tiny(name).layers if hasattr(layer, "kernel")]
    kernels = [getattr(layer, "kernel_quantizer", None) is not None for layer in layers]
    inputs = [getattr(layer, "input_quantizer", None) is not None for layer in layers]
    assert kernels == [kind != "float"] * len(layers)
    real = [False] + [kind == "binary weights and activations"] * (len(layers) - 1)
    assert inputs == real


@pytest.mark.parametrize("name", zoo.names())
def test_layers_before_batch_norm_have_no_bias(name):
    layers = _tiny(name).layers
    assert not any(layer.use_bias for layer in layers if hasattr(layer, "kernel"))


def test_binary_kernels_are_plus_or_minus_one_and_latent_weights_stay_clipped():
    model = _tiny("binary_net_mlp")
    images, labels = _batch()
    model.compile(keras.optimizers.Adam(5.0), SquaredHinge())
    model.fit(images, labels, epochs=2, verbose=0)
    latent = model.get_layer("hidden_2").kernel
    assert np.max(np.abs(latent.numpy())) == 1.0
    with lq.context.quantized_scope(True):
        assert set(np.unique(model.get_layer("hidden_2").get_weights()[0])) == {-1.0, 1.0}


def test_binary_convolutions_pad_with_one_and_the_first_with_zero():
    model = _tiny("binary_net_cnn")
    pads = [layer.pad_values for layer in model.layers if isinstance(layer, lq.layers.QuantConv2D)]
    assert pads == [0.0] + [1.0] * 5


def test_the_convolutional_network_has_the_papers_size():
    # (2×128C3)-MP2-(2×256C3)-MP2-(2×512C3)-MP2-(2×1024FC)-10 on 32×32×3, counted by hand.
    convolutions = 9 * (3 * 128 + 128**2 + 128 * 256 + 256**2 + 256 * 512 + 512**2)
    dense = 512 * 4 * 4 * 1024 + 1024**2 + 1024 * 10
    norms = 4 * (2 * 128 + 2 * 256 + 2 * 512 + 2 * 1024 + 10)
    assert zoo.build("binary_net_cnn").count_params() == convolutions + dense + norms


def test_a_saved_model_loads_in_a_process_that_only_imports_zoo(tmp_path):
    _tiny("binary_connect_mlp", stochastic=True).save(tmp_path / "model.keras")
    code = (
        "import sys, zoo; from onebit.keras import keras;"
        "model = keras.models.load_model(sys.argv[1], safe_mode=True);"
        "print(type(model.get_layer('logits').kernel_quantizer).__name__)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "model.keras")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "StochasticSign"
