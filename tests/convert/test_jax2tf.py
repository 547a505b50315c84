"""A binary network in plain JAX, trained a few steps and exported by jax2tf.

    pytest -m slow tests/convert/test_jax2tf.py

The first run downloads JAX and TensorFlow (1.5 GB) into ~/.cache/onebit-test-envs.
"""

import subprocess

import numpy as np
import pytest

from tests.support import peers
from tests.support.exported import convert_exported

pytestmark = pytest.mark.slow

JAX = peers.Environment("jax2tf", ("jax==0.4.38", "tensorflow-cpu==2.18.1"))

TRAIN = """
import jax
import jax.numpy as jnp
import numpy as np
import tensorflow as tf
from jax.experimental import jax2tf

@jax.custom_vjp
def sign(x):
    return jnp.where(x >= 0, 1.0, -1.0)

def forward(x):
    return sign(x), x

def backward(x, upstream):
    return (upstream * (jnp.abs(x) <= 1),)

sign.defvjp(forward, backward)

def convolution(x, kernel, padding):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )

def net(weights, x):
    x = convolution(x, weights["stem"], "SAME") * weights["scale"] + weights["shift"]
    x = convolution(sign(x), sign(weights["conv"]), "VALID") / 17 + weights["offset"]
    x = sign(x).reshape(x.shape[0], -1)
    return x @ sign(weights["dense"]) / 34

random = np.random.default_rng(0)
shapes = {"stem": (3, 3, 1, 32), "scale": (32,), "shift": (32,), "conv": (3, 3, 32, 32),
          "offset": (32,), "dense": (36 * 32, 10)}
weights = {name: random.normal(size=shape).astype("float32") for name, shape in shapes.items()}
x = random.normal(size=(256, 8, 8, 1)).astype("float32")
y = (x[:, 0, 0, 0] > 0).astype(int)

def loss(weights, x, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(net(weights, x)), y[:, None], 1).mean()

step = jax.jit(jax.value_and_grad(loss))
losses = []
for _ in range(40):
    value, gradients = step(weights, x, y)
    losses.append(float(value))
    weights = jax.tree.map(lambda w, g: w - 0.1 * g, weights, gradients)
assert losses[-1] < losses[0], losses
np.savez("data.npz", inputs=x[:64])
np.save("outputs.npy", net(weights, x[:64]))

exported = jax2tf.convert(lambda x: net(weights, x), native_serialization=False, enable_xla=False)
module = tf.Module()
module.f = tf.function(exported, autograph=False, input_signature=[tf.TensorSpec((1, 8, 8, 1))])
tf.saved_model.save(module, "saved_model", signatures=module.f)
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    python = peers.python_or_skip(JAX)
    folder = tmp_path_factory.mktemp("jax2tf")
    subprocess.run([python, "-c", TRAIN], check=True, cwd=folder, capture_output=True)
    return folder


def test_network_of_jax_becomes_binary_and_computes_what_jax_does(exported):
    layers, outputs, expected = convert_exported(exported, "saved_model")
    assert sorted(layer["kind"] for layer in layers if layer["macs"] > 2000) == [
        "binary", "binary", "float",
    ]  # fmt: skip
    # A sum of the real stem that is rounded differently may turn a bit.
    assert (outputs.argmax(-1) == expected.argmax(-1)).mean() >= 0.95
    assert np.median(np.abs(outputs - expected)) <= 1e-5
