import numpy as np
import pytest

from convert.rewrites import rewrite
from convert.rewrites.dense_to_pointwise_conv import dense_to_pointwise_conv, is_binary_dense
from convert.runtimes.lce import convert_with_lce
from convert.runtimes.lce_interpreter import LceInterpreter
from onebit.keras import keras, lq, tf
from tests.convert.models import BINARY, images, mlp, mlp_in_numpy, randomise


def dense(units=8, *, inputs="ste_sign", **options):
    return lq.layers.QuantDense(units, input_quantizer=inputs, **{**BINARY, **options})


def built(layer, channels=32):
    layer.build((None, channels))
    return layer


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((33,), {}),
        ((33,), {"use_bias": True}),
        ((64,), {"activation": "relu"}),
        ((7, 33), {}),
        ((3, 5, 40), {"use_bias": True, "activation": "tanh"}),
        ((32,), {"kernel_quantizer": "magnitude_aware_sign", "kernel_constraint": None}),
        ((32,), {"inputs": "approx_sign"}),
    ],
)
def test_rewritten_model_equals_original(shape, options):
    image = keras.Input(shape)
    model = randomise(keras.Model(image, dense(12, **options)(image)))
    rewritten, layers = dense_to_pointwise_conv(model)
    assert layers == [model.layers[1].name]
    x = images(9, shape)
    # One kernel per magnitude is summed exactly; magnitude-aware scales round once per term, in
    # either form, and 32 terms of size one are off by at most 32 · 2^-24 each way.
    np.testing.assert_allclose(rewritten(x), model(x), rtol=0, atol=2 * 32 * 2.0**-24)
    if options.get("kernel_quantizer") is None and options.get("activation") != "tanh":
        np.testing.assert_array_equal(rewritten(x), model(x))


@pytest.mark.parametrize("value", [0.0, -0.0, np.nan])
def test_rewritten_sign_treats_zeros_and_nan_as_larq_does(value):
    image = keras.Input((32,))
    model = randomise(keras.Model(image, dense(4)(image)))
    x = np.full((1, 32), value, np.float32)
    np.testing.assert_array_equal(dense_to_pointwise_conv(model)[0](x), model(x))


def test_binary_dense_in_the_file_is_a_binary_convolution_and_equals_numpy():
    model = mlp(units=(48, 40))
    content = convert_with_lce(rewrite(model).model)
    assert content.count(b"LceBconv2d") == 1  # one operator code
    x = images(50)
    (outputs,) = LceInterpreter(content).run([x])
    # The outputs reach 30; three layers of at most 48 terms round to 2^-24 relative each.
    np.testing.assert_allclose(outputs, mlp_in_numpy(model, x), rtol=0, atol=30 * 3 * 48 * 2.0**-24)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Dense(8),
        dense(inputs=None),
        dense(kernel_quantizer=None, kernel_constraint=None),
        dense(kernel_quantizer="ste_tern", kernel_constraint=None),
        dense(inputs="ste_tern"),
        dense(inputs="ste_heaviside"),
        dense(inputs=lq.quantizers.DoReFa(1)),
        dense(inputs=lq.quantizers.DoReFa(2)),
        dense(kernel_quantizer=lq.quantizers.DoReFa(2, mode="weights"), kernel_constraint=None),
    ],
    ids=["plain", "weights only", "inputs only", "ternary weights", "ternary inputs", "heaviside",
         "dorefa 1 bit", "dorefa 2 bits", "dorefa weights"],
)  # fmt: skip
def test_other_dense_layers_do_not_fire(layer):
    assert not is_binary_dense(built(layer))


def test_model_without_binary_dense_is_returned_as_it_is():
    model = mlp(binary_inputs=False)
    assert dense_to_pointwise_conv(model) == (model, [])


def test_nested_shared_and_sequential_models_keep_names_and_weights():
    shared = dense(32, name="shared")
    inner = keras.Sequential([keras.Input((32,)), dense(32, name="inner_dense")], name="inner")
    image = keras.Input((32,))
    x = inner(shared(shared(image)))
    model = randomise(keras.Model(image, keras.layers.Dense(3, name="head")(x)))
    rewritten, layers = dense_to_pointwise_conv(model)
    assert sorted(layers) == ["inner_dense", "shared"]
    assert [layer.name for layer in rewritten.layers] == [layer.name for layer in model.layers]
    assert len(rewritten.get_layer("shared").inbound_nodes) == 2
    x = images(5, (32,))
    np.testing.assert_array_equal(rewritten(x), model(x))


def test_the_given_model_is_not_changed():
    model = mlp()
    weights = [w.copy() for w in model.get_weights()]
    nodes = [len(layer.inbound_nodes) for layer in model.layers]
    rewrite(model)
    assert [len(layer.inbound_nodes) for layer in model.layers] == nodes
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_subclassed_model_is_left_with_a_reason():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = dense(4)

        def call(self, inputs):
            return self.dense(inputs)

    model = Subclassed()
    model(tf.zeros((1, 32)))
    result = rewrite(model)
    assert result.model is model
    assert "subclassed" in (result.skipped or "")
