"""Layers of Keras 3 beside Larq's, on the same weights; models; weights that move both ways."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onebit.errors import OnebitError
from onebit.keras import keras as keras2
from onebit.keras import lq, tf  # before keras, whose TensorFlow it sets up

import keras  # isort: skip
from zoo.keras3 import constraints, layers, models, weights  # isort: skip

ROOT = Path(__file__).parents[3]
BOTH = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}

LAYERS = {
    "dense": ("QuantDense", (20,), (7,), {**BOTH, "activation": "relu"}),
    "dense on a sequence": ("QuantDense", (5, 20), (7,), {**BOTH, "use_bias": False}),
    "weights only": ("QuantDense", (20,), (7,), {"kernel_quantizer": "magnitude_aware_sign"}),
    "plain": ("QuantDense", (20,), (7,), {}),
    "conv": ("QuantConv2D", (8, 9, 4), (6, 3), BOTH),
    "zeros": ("QuantConv2D", (8, 9, 4), (6, 3), {**BOTH, "padding": "same", "strides": 2}),
    "ones": ("QuantConv2D", (8, 9, 4), (6, 3), {**BOTH, "padding": "same", "pad_values": 1.0}),
    "ones with strides": (
        "QuantConv2D",
        (8, 9, 4),
        (6, 3),
        {**BOTH, "padding": "same", "pad_values": 1.0, "strides": 2},
    ),
    "dilated": (
        "QuantConv2D",
        (9, 9, 4),
        (6, 3),
        {**BOTH, "padding": "same", "pad_values": 1.0, "dilation_rate": 2},
    ),
    "groups": ("QuantConv2D", (8, 9, 4), (6, 3), {**BOTH, "groups": 2}),
    "sequence": ("QuantConv1D", (11, 4), (6, 3), {**BOTH, "padding": "same", "pad_values": -1.0}),
    "causal": ("QuantConv1D", (11, 4), (6, 3), {**BOTH, "padding": "causal", "dilation_rate": 2}),
    "depthwise": (
        "QuantDepthwiseConv2D",
        (8, 9, 4),
        (3,),
        {
            "input_quantizer": "approx_sign",
            "depthwise_quantizer": "ste_sign",
            "padding": "same",
            "pad_values": 1.0,
            "depth_multiplier": 2,
        },
    ),
}


def pair(name, shape, arguments, options):
    """A layer of each framework on the same weights, and inputs."""
    random = np.random.default_rng(0)
    ours, theirs = getattr(layers, name), getattr(lq.layers, name)
    ours, theirs = ours(*arguments, **options), theirs(*arguments, **options)
    x = random.normal(0, 1, (2, *shape)).astype(np.float32)
    theirs(tf.constant(x))
    ours.build((None, *shape))
    values = [random.normal(0, 1, w.shape).astype(np.float32) for w in theirs.get_weights()]
    theirs.set_weights(values)
    ours.set_weights(values)
    return ours, theirs, x


@pytest.mark.parametrize(("name", "shape", "arguments", "options"), LAYERS.values(), ids=LAYERS)
def test_layer_computes_and_learns_as_larqs(name, shape, arguments, options):
    ours, theirs, x = pair(name, shape, arguments, options)
    found = []
    for layer, variables in (
        (ours, [v.value for v in ours.trainable_variables]),
        (theirs, theirs.trainable_variables),
    ):
        inputs = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            output = layer(inputs)
            total = tf.reduce_sum(output * tf.cos(output))
        found.append([output, *tape.gradient(total, [inputs, *variables])])
    for left, right in zip(*found, strict=True):
        # Sums of a few dozen products, in another order at most.
        np.testing.assert_allclose(np.asarray(left), np.asarray(right), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "shape", "arguments", "options"), LAYERS.values(), ids=LAYERS)
def test_layer_is_saved_and_loaded(name, shape, arguments, options, tmp_path):
    image = keras.Input(shape)
    model = keras.Model(image, getattr(layers, name)(*arguments, **options)(image))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(1).normal(0, 1, (2, *shape)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(loaded(x)), np.asarray(model(x)))


def test_constraint_clips_and_has_larqs_name():
    layer = layers.QuantDense(4, kernel_quantizer="ste_sign", kernel_constraint="weight_clip")
    assert isinstance(layer.kernel_constraint, constraints.WeightClip)
    clipped = constraints.WeightClip(1.25)(np.array([-3, 0.5, 2], np.float32))
    np.testing.assert_array_equal(np.asarray(clipped), [-1.25, 0.5, 1.25])


def test_border_of_an_unknown_size_needs_a_stride_of_one():
    assert layers.same_width(None, taps=4, stride=1, dilation=1) == (1, 2)
    with pytest.raises(ValueError, match="known size"):
        layers.same_width(None, taps=3, stride=2, dilation=1)


def test_causal_padding_takes_zeros_only():
    with pytest.raises(ValueError, match="causal"):
        layers.QuantConv1D(4, 3, padding="causal", pad_values=1.0)


ZOO = {
    "binary_net_mlp": {"units": 32},
    "binary_connect_mlp": {"units": 32},
    "binary_net_cnn": {"input_shape": (8, 8, 3), "width": 4},
    "binary_connect_cnn": {"input_shape": (8, 8, 3), "width": 4},
}


@pytest.mark.parametrize(("name", "options"), ZOO.items(), ids=ZOO)
def test_weights_move_from_larq_to_keras_3_and_back(name, options, tmp_path):
    import zoo

    theirs, ours = zoo.build(name, **options), getattr(models, name)(**options)
    random = np.random.default_rng(0)
    for model in (theirs, ours):
        model.set_weights([random.uniform(0.1, 1, w.shape) for w in model.get_weights()])
    weights.save(theirs, tmp_path / "theirs.npz")
    weights.load(ours, tmp_path / "theirs.npz")
    x = random.normal(0, 1, (4, *theirs.input_shape[1:])).astype(np.float32)
    expected = np.asarray(theirs(x))
    # Two roundings of each of a few layers' normalisations.
    np.testing.assert_allclose(np.asarray(ours(x)), expected, rtol=1e-5, atol=1e-5)
    weights.save(ours, tmp_path / "ours.npz")
    before = [np.array(w) for w in theirs.get_weights()]
    theirs.set_weights([np.zeros_like(w) for w in before])
    weights.load(theirs, tmp_path / "ours.npz")
    for left, right in zip(theirs.get_weights(), before, strict=True):
        np.testing.assert_array_equal(left, right)


def test_weights_of_another_model_are_refused(tmp_path):
    weights.save(models.binary_net_mlp(units=16), tmp_path / "weights.npz")
    with pytest.raises(OnebitError, match=r"hidden_1 has weights of the shapes"):
        weights.load(models.binary_net_mlp(units=32), tmp_path / "weights.npz")
    with pytest.raises(OnebitError, match="has the weights of 8 layers"):
        weights.load(models.binary_net_mlp(units=16, layers=2), tmp_path / "weights.npz")
    (tmp_path / "text.npz").write_text("no weights")
    with pytest.raises(OnebitError, match=r"not an \.npz file"):
        weights.load(models.binary_net_mlp(units=16), tmp_path / "text.npz")


def test_quicknet_has_larq_zoos_layers():
    import larq_zoo

    theirs = larq_zoo.sota.QuickNetSmall(weights=None, input_shape=(64, 64, 3), num_classes=10)
    ours = models.quicknet_small((64, 64, 3), 10)
    shapes = [w.shape for w in theirs.get_weights()]
    assert [w.shape for w in ours.get_weights()] == shapes
    random = np.random.default_rng(0)
    values = [random.uniform(0.2, 1, shape).astype(np.float32) - 0.5 * (len(shape) > 1)
              for shape in shapes]  # fmt: skip
    theirs.set_weights(values)
    ours.set_weights(values)
    x = random.normal(0, 1, (2, 64, 64, 3)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(ours(x)), np.asarray(theirs(x)), rtol=1e-4, atol=1e-5)


def test_neither_larq_nor_tf_keras_nor_tensorflow_is_imported_by_the_files():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['larq', 'tf_keras', 'larq_zoo'])); "
        "import zoo.keras3.models; "
        "sys.exit(any(name in sys.modules and sys.modules[name] for name in ('larq', 'tf_keras')))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_keras_2_layers_are_untouched():
    assert keras2.layers.Layer is not keras.layers.Layer


@pytest.mark.slow
def test_script_of_the_readme_runs(tmp_path):
    text = (ROOT / "README.md").read_text()
    (script,) = [part for part in text.split("```") if "import keras3 as lq" in part]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("TF_USE_LEGACY_KERAS", None)
    command = [sys.executable, "-c", script.removeprefix("python\n")]
    result = subprocess.run(
        command, check=True, env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert re.search(r"(exact|rounding flips.*), 9\d\.\d%, 30\.\d times smaller", result.stdout)
    assert (tmp_path / "digits.tflite").stat().st_size < 400_000
