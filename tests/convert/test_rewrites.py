"""The rewrites, and how models are rebuilt."""

import sys

import numpy as np
import pytest

import zoo
from convert.conversion import convert_model
from convert.rewrites import rewrite
from convert.rewrites.conv1d_to_conv2d import conv1d_to_conv2d, is_binary_conv1d
from convert.rewrites.fix_large_kernels import fix_large_kernels
from onebit.keras import keras, lq, tf
from tests.convert.models import BINARY, images, mlp, randomise

# --- conv1d_to_conv2d


def conv1d(filters=12, kernel=3, *, inputs="ste_sign", **options):
    options = {**BINARY, **options}
    return lq.layers.QuantConv1D(filters, kernel, input_quantizer=inputs, **options)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((9, 32), {}),
        ((9, 33), {"use_bias": True, "activation": "relu"}),
        ((10, 32), {"padding": "same"}),
        ((10, 32), {"padding": "same", "strides": 2}),
        ((10, 32), {"padding": "same", "pad_values": 1.0}),
        ((11, 32), {"padding": "same", "pad_values": 1.0, "strides": 3, "kernel": 4}),
        ((10, 40), {"padding": "causal", "dilation_rate": 2}),
        ((12, 32), {"padding": "same", "pad_values": 1.0, "dilation_rate": 3}),
        ((12, 64), {"groups": 2}),
    ],
)
def test_conv1d_as_conv2d_equals_original(shape, options):
    image = keras.Input(shape)
    model = randomise(keras.Model(image, conv1d(**options)(image)))
    rewritten, layers = conv1d_to_conv2d(model)
    assert layers == [model.layers[1].name]
    x = images(5, shape)
    # Biases are added to exact sums in both forms.
    np.testing.assert_array_equal(rewritten(x), model(x))


def test_conv1d_becomes_binary_in_the_file():
    x = image = keras.Input((16, 32))
    for _ in range(2):
        x = conv1d(32, padding="same", pad_values=1.0)(x)
        x = keras.layers.BatchNormalization()(x)
    conversion = convert_model(randomise(keras.Model(image, x)))
    assert [layer.kind for layer in conversion.report.layers] == ["binary", "binary"]


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Conv1D(8, 3),
        conv1d(inputs=None),
        conv1d(inputs="ste_tern"),
        conv1d(kernel_quantizer=None, kernel_constraint=None),
        conv1d(kernel_quantizer="ste_tern", kernel_constraint=None),
    ],
    ids=["plain", "weights only", "ternary inputs", "inputs only", "ternary weights"],
)
def test_other_conv1d_layers_do_not_fire(layer):
    layer.build((None, 9, 32))
    assert not is_binary_conv1d(layer)


# --- fix_large_kernels


@pytest.fixture
def small_limit(monkeypatch):
    """Kernels of over 1,000 weights are large."""
    monkeypatch.setattr(sys.modules[fix_large_kernels.__module__], "MAX_FOLDED_WEIGHTS", 1000)


def dense(units=12, **options):
    return lq.layers.QuantDense(units, **{**BINARY, "name": "dense", **options})


def test_kernel_within_the_limit_does_not_fire():
    image = keras.Input((32,))
    model = randomise(keras.Model(image, dense()(image)))
    assert fix_large_kernels(model) == (model, [])


def test_large_kernels_hold_what_their_quantizers_make_of_them(small_limit):
    x = image = keras.Input((32,))
    x = dense(40, kernel_quantizer="magnitude_aware_sign", use_bias=True)(x)
    x = lq.layers.QuantDense(20, name="small", **BINARY)(x)
    model = randomise(keras.Model(image, x))
    rewritten, layers = fix_large_kernels(model)
    assert layers == ["dense"]
    x = images(5, (32,))
    np.testing.assert_array_equal(rewritten(x), model(x))
    assert rewritten.get_layer("dense").kernel_quantizer is None


@pytest.mark.slow
@pytest.mark.parametrize("inputs", ["ste_sign", None], ids=["binary", "weights only"])
def test_dense_beyond_the_converters_limit_converts_to_one_bit_a_weight(inputs):
    image = keras.Input((57600,))
    layer = lq.layers.QuantDense(1024, input_quantizer=inputs, **BINARY)
    conversion = convert_model(keras.Model(image, layer(image)))
    assert len(conversion.tflite) <= 8_000_000
    assert conversion.report.layers[0].kind == ("binary" if inputs else "binary_weights")


def test_nested_shared_and_sequential_models_keep_names_and_weights(small_limit):
    shared = dense(33, name="shared", input_quantizer="ste_sign")
    inner = keras.Sequential([keras.Input((33,)), dense(32, name="inner_dense")], name="inner")
    image = keras.Input((33,))
    x = inner(shared(shared(image)))
    model = randomise(keras.Model(image, keras.layers.Dense(3, name="head")(x)))
    rewritten, layers = fix_large_kernels(model)
    assert sorted(layers) == ["inner_dense", "shared"]
    assert [layer.name for layer in rewritten.layers] == [layer.name for layer in model.layers]
    assert len(rewritten.get_layer("shared").inbound_nodes) == 2
    x = images(5, (33,))
    np.testing.assert_array_equal(rewritten(x), model(x))


def test_tables_half_as_large_hold_what_their_quantizers_make_of_them(small_limit):
    # 20·32 numbers in float64 are more than 1,000 in float32.
    options = {"layers": 1, "units": 32, "heads": 2, "vocabulary": 20, "input_shape": (8,)}
    model = zoo.build("binary_bert_tiny", **options)
    rewritten, layers = fix_large_kernels(model)
    assert "token_embedding" in layers
    assert rewritten.get_layer("token_embedding").embeddings_quantizer is None
    tokens = np.arange(16, dtype=np.int32).reshape(2, 8)
    np.testing.assert_array_equal(rewritten(tokens), model(tokens))


def test_given_model_is_not_changed(small_limit):
    model = mlp()
    weights = [w.copy() for w in model.get_weights()]
    nodes = [len(layer.inbound_nodes) for layer in model.layers]
    assert rewrite(model).fired
    assert [len(layer.inbound_nodes) for layer in model.layers] == nodes
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_subclassed_model_is_left_with_a_reason(small_limit):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = dense(40)

        def call(self, inputs):
            return self.dense(inputs)

    model = Subclassed()
    model(tf.zeros((1, 32)))
    result = rewrite(model)
    assert result.model is model
    assert "subclassed" in (result.skipped or "")
