"""A binary network trained on Keras' JAX backend, in an environment without TensorFlow.

    pytest -m slow tests/convert/test_keras3_jax.py

The first run downloads Keras 3 and JAX (0.5 GB) into ~/.cache/onebit-test-envs.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.runtimes.lce_interpreter import LceInterpreter
from tests.support import peers

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
JAX = peers.Environment("keras3-jax", ("keras==3.12.4", "jax==0.4.38"))

TRAIN = """
import sys
import keras
import numpy as np
from zoo.keras3.models import binary_net_mlp

assert keras.backend.backend() == "jax"
random = np.random.default_rng(0)
x = random.normal(size=(512, 8, 8, 1)).astype("float32")
model = binary_net_mlp((8, 8, 1), units=48)
before = [np.array(w) for w in model.get_weights()]
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(1e-2), loss)
history = model.fit(x, (x[:, 0, 0, 0] > 0).astype(int), epochs=4, batch_size=64, verbose=0)
losses = history.history["loss"]
assert losses[-1] < losses[0], losses
assert any((a != b).any() for a, b in zip(before, model.get_weights()))
model.save("jax.keras")
np.savez("jax.npz", inputs=x[:100])
np.save("outputs.npy", model.predict(x[:100], verbose=0))
assert "tensorflow" not in sys.modules and "larq" not in sys.modules
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    python = peers.python_or_skip(JAX)
    folder = tmp_path_factory.mktemp("jax")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax"}
    subprocess.run([python, "-c", TRAIN], check=True, env=environment, cwd=folder)
    return folder


def test_model_of_the_jax_backend_is_converted_and_computes_what_jax_does(trained):
    output = trained / "jax.tflite"
    command = ["model", trained / "jax.keras", "-o", output, "--verify-data", trained / "jax.npz"]
    result = CliRunner().invoke(main, [*map(str, command), "--no-delegate"])
    assert result.exit_code == 0, result.output
    report = json.loads((trained / "jax.report.json").read_text())
    assert [layer["kind"] for layer in report["layers"]] == ["binary_weights"] + ["binary"] * 3
    expected, inputs = np.load(trained / "outputs.npy"), np.load(trained / "jax.npz")["inputs"]
    (outputs,) = LceInterpreter(output.read_bytes()).run([inputs])
    # Two signs behind sums of integers; a number within rounding of its threshold is rare.
    same = np.abs(outputs - expected).max(1) <= 1e-4 * np.abs(expected).max()
    assert same.mean() >= 0.98
