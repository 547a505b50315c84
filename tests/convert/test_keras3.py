"""Models of Keras 3 and SavedModels as sources: converted, verified against Keras, refused."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from convert.__main__ import main
from tests.convert.models import images

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow  # several processes with TensorFlow

MAKE = """
import sys, numpy as np, keras
from keras import ops
from zoo import keras3 as lq
from zoo.keras3.models import binary_net_cnn

folder = sys.argv[1]
BINARY = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}
keras.utils.set_random_seed(1)

@keras.saving.register_keras_serializable(package="mine")
class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2 * x

class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = lq.layers.QuantDense(33, input_quantizer="approx_sign",
                                           kernel_quantizer="ste_sign")
        self.norm = keras.layers.BatchNormalization()
        self.logits = lq.layers.QuantDense(5, input_quantizer="ste_sign",
                                           kernel_quantizer="magnitude_aware_sign")
    def call(self, x):
        return self.logits(self.norm(self.hidden(x)))

def randomised(model):
    random = np.random.default_rng(0)
    for layer in model._flatten_layers(include_self=False):
        values = [random.normal(size=w.shape) + 3 * (w.ndim == 1) for w in layer.get_weights()]
        layer.set_weights(values)
    return model

cnn = randomised(binary_net_cnn((8, 8, 3), width=8))
cnn.save(folder + "/cnn.keras")
cnn.save(folder + "/cnn.h5")
cnn.export(folder + "/saved_model", format="tf_saved_model", verbose=False)
image = keras.Input((6,))
keras.Model(image, Doubled()(image)).save(folder + "/custom.keras")
keras.Sequential([image, keras.layers.Lambda(lambda x: x + 1)]).save(folder + "/lambda.keras")
keras.Sequential([keras.layers.Dense(2)]).save(folder + "/unbuilt.h5")
named = lq.layers.QuantConv2D(5, 3, name="conv 1 (é)", **BINARY)
keras.Sequential([keras.Input((8, 8, 3)), named, keras.layers.Flatten(name="a b")]).save(
    folder + "/names.keras"
)
for batch in (None, 3):
    image = keras.Input((4, 40), batch_size=batch)
    rows = lq.layers.QuantDense(33, name="inner", **BINARY)(ops.reshape(image, (-1, 40)))
    rows = lq.layers.QuantDense(5, name="outer", **BINARY)(keras.layers.BatchNormalization()(rows))
    model = randomised(keras.Model(image, [ops.reshape(rows, (-1, 4, 5)), rows]))
    model.save(f"{folder}/rows_of_{batch}.keras")
np.savez(folder + "/rows.npz", inputs=np.random.default_rng(0).normal(size=(20, 4, 40)))
subclassed = Subclassed()
subclassed(np.zeros((1, 40), "float32"))
randomised(subclassed).export(folder + "/subclassed", format="tf_saved_model", verbose=False)
x = np.random.default_rng(0).normal(size=(20, 8, 8, 3)).astype("float32")
np.savez(folder + "/data.npz", inputs=x, labels=cnn.predict(x, verbose=0).argmax(1))

import convert
conversion = convert.convert_model(subclassed)
conversion.save(folder + "/object.tflite")
"""

CUSTOM = """
import keras

@keras.saving.register_keras_serializable(package="mine")
class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2 * x
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Models that a script with Keras 3 has saved, as a user's would."""
    folder = tmp_path_factory.mktemp("keras3")
    environment = {
        "PYTHONPATH": str(ROOT),
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "ONEBIT_DELEGATE_LIBRARY": str(folder / "absent.so"),
    }
    command = [sys.executable, "-c", MAKE, str(folder)]
    subprocess.run(command, check=True, env=environment, cwd=folder, capture_output=True)
    return folder


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("name", ["cnn.keras", "cnn.h5", "saved_model"])
def test_model_is_converted_and_verified_against_keras_on_the_users_data(name, made, tmp_path):
    output = tmp_path / "cnn.tflite"
    result = run(
        "model", made / name, "-o", output, "--verify-data", made / "data.npz", "--no-delegate"
    )
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "cnn.report.json").read_text())
    kinds = [layer["kind"] for layer in report["layers"] if layer["reason_code"] != "elementwise"]
    assert kinds == ["binary_weights"] + ["binary"] * 8
    verification = report["verification"]
    assert verification["reference"] == "Keras"
    assert verification["samples"] == 20
    assert len(verification["compared_layers"]) == 8
    assert verification["verdict"] in ("exact", "rounding flips")
    assert verification["accuracy_keras"] == 1
    if name != "saved_model":  # whose signature has lost the layers' names
        assert {layer["name"] for layer in report["layers"]} >= {"conv_1_1", "hidden_2", "logits"}


@pytest.mark.parametrize("batch", [None, 3])
def test_layers_may_see_several_rows_for_each_sample(batch, made, tmp_path):
    output, source = tmp_path / "rows.tflite", made / f"rows_of_{batch}.keras"
    result = run("model", source, "-o", output, "--verify-data", made / "rows.npz", "--no-delegate")
    assert result.exit_code == 0, result.output
    verification = json.loads((tmp_path / "rows.report.json").read_text())["verification"]
    assert verification["verdict"] in ("exact", "rounding flips")
    assert (verification["samples"], len(verification["compared_layers"])) == (20, 2)


def test_int8_is_verified_against_keras_and_names_its_layers(made, tmp_path):
    output, data = tmp_path / "cnn.tflite", made / "data.npz"
    result = run(
        "model", made / "cnn.keras", "-o", output, "--int8", "--representative-data", data,
        "--int8-scope", "all",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    verification = json.loads((tmp_path / "cnn.report.json").read_text())["verification"]
    assert verification["reference"] == "Keras"
    assert verification["quantization"]["float_file"].startswith(("exact", "rounding"))
    assert {"conv_1_2", "hidden_2"} <= set(verification["quantization"]["flipped_bits"])
    assert run("verify", made / "cnn.keras", output, "--verify-data", data).exit_code == 0


def test_model_object_and_subclassed_model_are_converted(made, tmp_path):
    report = json.loads((made / "object.report.json").read_text())
    assert [layer["kind"] for layer in report["layers"]] == ["binary"] * 2
    assert report["verification"]["verdict"] in ("exact", "rounding flips")
    assert report["verification"]["reference"] == "Keras"
    result = run("model", made / "subclassed", "-o", tmp_path / "s.tflite", "--no-delegate")
    assert result.exit_code == 0, result.output


def test_layers_may_have_names_that_only_other_backends_take(made, tmp_path):
    output = tmp_path / "out.tflite"
    result = run("model", made / "names.keras", "-o", output, "--no-delegate")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out.report.json").read_text())
    assert report["verification"]["verdict"] == "exact"
    assert "binary" in {layer["kind"] for layer in report["layers"]}


def test_unknown_layer_is_named_and_converts_with_its_definition(made, tmp_path):
    command = ["model", made / "custom.keras", "-o", tmp_path / "out.tflite", "--no-delegate"]
    result = run(*command)
    assert result.exit_code == 1
    assert "uses the custom object Doubled" in result.output
    assert "--custom-objects" in result.output
    definition = tmp_path / "mine.py"
    definition.write_text(CUSTOM)
    assert run(*command, "--custom-objects", definition).exit_code == 0


def test_lambda_layer_is_refused_before_anything_is_loaded(made, tmp_path):
    result = run("model", made / "lambda.keras", "-o", tmp_path / "out.tflite")
    assert result.exit_code == 1
    assert "Lambda layer" in result.output


def test_a_model_without_shapes_is_refused(made, tmp_path):
    result = run("model", made / "unbuilt.h5", "-o", tmp_path / "out.tflite")
    assert result.exit_code == 1
    assert "a Keras 3 model, is not built; call it on data once" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--verify-data", "--int8 --representative-data"])
def test_wrong_data_is_refused(option, made, tmp_path):
    np.savez(tmp_path / "data.npz", inputs=images(3, (9, 8, 3)))
    output = tmp_path / "out.tflite"
    result = run("model", made / "cnn.keras", "-o", output, *option.split(), tmp_path / "data.npz")
    assert result.exit_code == 1
    assert "the model takes [N, 8, 8, 3]" in result.output
    assert not output.exists()
