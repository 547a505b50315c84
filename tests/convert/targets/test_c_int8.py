"""int8 operators in C compute what LCE's interpreter computes, bit for bit."""

import numpy as np
import pytest

from convert.conversion import convert_model
from convert.int8.settings import Int8
from convert.runtimes.lce_interpreter import LceInterpreter
from onebit.keras import keras, lq
from tests.convert.models import BINARY, images, randomise
from tests.support.c_networks import CNetwork
from tests.support.int8_graphs import CASES, Int8Graph, int8_case


def computes_what_lce_computes(content, arrays, folder):
    (expected,) = LceInterpreter(content).run_once(arrays)
    (result,) = CNetwork(content, folder).build().run(arrays)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", CASES)
def test_operator(name, tmp_path):
    computes_what_lce_computes(*int8_case(name), tmp_path)


@pytest.mark.parametrize("code", ["ADD", "SUB", "MUL"])
def test_all_pairs_of_integers(code, tmp_path):
    computes_what_lce_computes(*Int8Graph().all_pairs(code), tmp_path)


@pytest.mark.parametrize("scope", [pytest.param("layers", marks=pytest.mark.slow), "all"])
def test_converted_model(scope, tmp_path):
    image = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(8, 3, activation="relu", padding="same")(image)
    x = keras.layers.MaxPool2D()(x)
    shortcut = x = keras.layers.Conv2D(32, 3, padding="same")(x)
    x = lq.layers.QuantConv2D(32, 3, padding="same", pad_values=1, input_quantizer="ste_sign",
                              **BINARY)(x)  # fmt: skip
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Add()([x, shortcut])
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(10, activation="softmax")(x)
    model = randomise(keras.Model(image, x))
    samples = images(30, (12, 12, 3))
    int8 = Int8([samples], "mse", "int8", scope)
    content = convert_model(model, int8=int8, verification=False).tflite
    interpreter = LceInterpreter(content)
    net = CNetwork(content, tmp_path).build()
    rng = np.random.default_rng(0)
    for _ in range(5):
        inputs = [rng.integers(-128, 128, (1, 12, 12, 3)).astype(np.int8)]
        (expected,), (result,) = interpreter.run_once(inputs), net.run(inputs)
        # The softmax's exponentials are rounded otherwise in the last place.
        np.testing.assert_allclose(result.astype(int), expected.astype(int), rtol=0, atol=1)
