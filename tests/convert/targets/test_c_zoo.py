"""The zoo's families in C compute what LCE's interpreter computes.

Layers that are all binary, or have ±1 weights on inputs of few bits, do so bit for bit. A float
layer's sum of K products is rounded K times in another order, by at most K·2^-24 of the sum of the
products' sizes: 1e-5 of the largest output covers that for the layers here.
"""

import numpy as np
import pytest

import zoo
from benchmarks.conversions import calibrate
from convert.conversion import convert_model
from convert.errors import ConversionError
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.targets.c.lower import lower
from convert.targets.reading import read_network
from onebit.keras import keras
from tests.support.c_networks import CNetwork
from tests.zoo.test_models import OPTIONS
from zoo.models import models

EXACT = ("binary_net_cnn", "tfc_w1a1")
ROUNDED = (
    "binary_connect_mlp", "binary_connect_cnn", "quicknet", "bi_real_net18", "reactnet_a",
    "xnor_net_alexnet", "xnor_net_resnet18", "bwn_resnet18", "binary_ds_cnn", "binary_resnet8",
    "binary_autoencoder", "bifsmn", "bnext_mini",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", [*EXACT, *ROUNDED])
def test_family(name, tmp_path):
    keras.utils.set_random_seed(11)
    known, options = models.get(name).options, OPTIONS[name]
    model = zoo.build(name, **{key: options[key] for key in options if key in known})
    calibrate(model)
    content = convert_model(model, verification=False).tflite
    # LCE's faster kernels get zero padding wrong where channels do not fill words.
    interpreter = LceInterpreter(content, "reference")
    net = CNetwork(content, tmp_path).build("-O2")
    rng = np.random.default_rng(0)
    for _ in range(3):
        shape = (1, *model.input_shape[1:])
        images = (rng.integers(-128, 128, shape) / 128).astype(np.float32)
        (expected,), (result,) = interpreter.run_once([images]), net.run([images])
        most = 0 if name in EXACT else 1e-5 * float(np.abs(expected).max())
        np.testing.assert_allclose(result, expected, rtol=0, atol=most)


@pytest.mark.slow
def test_quicknet_small_at_its_published_size(tmp_path):
    """4 M weights, 224×224×3: no microcontroller's, but every kind of layer at its real size."""
    keras.utils.set_random_seed(11)
    model = zoo.build("quicknet_small")
    calibrate(model)
    content = convert_model(model, verification=False).tflite
    net = CNetwork(content, tmp_path).build("-O2")
    images = np.random.default_rng(0).integers(-128, 128, (1, 224, 224, 3)) / 128
    (expected,) = LceInterpreter(content).run_once([images.astype(np.float32)])
    (result,) = net.run([images.astype(np.float32)])
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))


@pytest.mark.slow
def test_binary_bert_is_refused_by_the_name_of_a_layer():
    model = zoo.build("binary_bert_tiny")
    content = convert_model(model, verification=False).tflite
    message = r"binary_bert_tiny/padding_mask cannot be written as C: .* EQUAL of int32, bool"
    with pytest.raises(ConversionError, match=message):
        lower(read_network(content))
