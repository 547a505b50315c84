"""An embedded engineer's way from a trained model to firmware and CI, command by command.

Her network, made with tf_keras and Larq and nothing of the zoo, knows three kinds of stripes. Its
second version is to replace the first: is it smaller, and as accurate?
"""

import json
import re
import subprocess

import numpy as np
import pytest
from click.testing import CliRunner

from onebit.__main__ import main
from onebit.keras import keras, lq

pytestmark = pytest.mark.slow

CLASSES = ("across", "down", "aslant")
SIZE = 12
BINARY = {
    "input_quantizer": "ste_sign",
    "kernel_quantizer": "ste_sign",
    "kernel_constraint": "weight_clip",
}


def pictures(count, seed):
    """Noisy stripes `[count, SIZE, SIZE, 1]` of three directions as bytes, and their classes."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    y, x = np.mgrid[:SIZE, :SIZE]
    phase = random.uniform(0, 2 * np.pi, (count, 1, 1))
    waves = np.select([labels[:, None, None] == n for n in range(3)], [y + 0 * phase, x, x + y])
    images = 127.5 + 90 * np.sin(1.6 * waves + phase) + random.normal(0, 20, (count, SIZE, SIZE))
    return np.clip(images, 0, 255).astype(np.uint8)[..., None], labels


def normalized(images):
    return (images.astype(np.float32) - np.float32(127.5)) / np.float32(127.5)


def network(version):
    """Version 1 with a real second convolution, version 2 with a binary one."""
    layers = keras.layers
    second = {"padding": "same", "use_bias": False, "name": "second"}
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="stem"),
            layers.BatchNormalization(momentum=0.8),
            lq.layers.QuantConv2D(32, 3, pad_values=1, **second, **BINARY)
            if version == 2
            else layers.Conv2D(32, 3, **second),
            layers.BatchNormalization(momentum=0.8),
            layers.ReLU(),
            layers.SeparableConv2D(16, 3, use_bias=False, name="separable"),
            layers.BatchNormalization(momentum=0.8),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, "softmax", name="classes"),
        ],
        name="stripes",
    )


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Her folder: two trained models, labelled samples, a photo and the names of the classes."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("desk")
    images, labels = pictures(600, 0)
    for version in (1, 2):
        keras.utils.set_random_seed(version)
        model = network(version)
        model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
        model.fit(normalized(images), labels, batch_size=50, epochs=6, verbose=0)
        model.save(folder / f"v{version}.keras")
    images, labels = pictures(200, 1)
    np.savez(folder / "val.npz", inputs=normalized(images), labels=labels)
    Image.fromarray(images[0, ..., 0]).save(folder / "photo.png")
    (folder / "photo.txt").write_text(CLASSES[labels[0]])
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    return folder


@pytest.fixture
def onebit(desk, monkeypatch):
    """Runs a command line in her folder: onebit("convert audit v1.tflite", 1)."""
    monkeypatch.chdir(desk)
    monkeypatch.setenv("COLUMNS", "120")

    def run(command, exit_code=0):
        result = CliRunner().invoke(main, command.split())
        assert result.exit_code == exit_code, result.output
        return result

    return run


FACTS = "--labels labels.txt --normalize 127.5,127.5 --author Eve --license MIT"


@pytest.mark.parametrize("version", [1, 2])
def test_1_conversion_verifies_on_her_samples_and_says_what_comes_next(onebit, version):
    name = f"v{version}"
    result = onebit(f"convert model {name}.keras -o {name}.tflite --verify-data val.npz {FACTS}")
    assert "against Keras on 200 " in result.stdout
    assert "mismatch" not in result.stdout
    accuracy = re.search(r"accuracy: (\S+)% in Keras, (\S+)% in the file", result.stdout)
    assert accuracy[1] == accuracy[2]
    assert float(accuracy[1]) > 90
    assert "labels: 3 (across, down, aslant)" in result.stdout
    assert f"run it: onebit run {name}.tflite --input" in result.stderr
    assert f"measure it: onebit edge bench {name}.tflite" in result.stderr


def test_2_audit_is_a_list_of_what_to_do(onebit, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = onebit("convert audit v1.tflite")
    assert max(map(len, result.stdout.splitlines())) <= 80
    layers = json.loads(onebit("convert audit v1.tflite --format json").stdout)["layers"]
    names = [layer["name"] for layer in layers]
    halves = ["separable (depthwise)", "separable (pointwise)"]
    assert names == ["stem", "second", *halves, "classes"]
    assert all(layer["fix"] for layer in layers if layer["reason_code"] == "real")
    failed = onebit("convert audit v1.tflite --fail-if-float", 1)
    assert "5 of 5 layers are float" in failed.stderr


def test_3_audit_holds_what_was_reached(onebit):
    """In CI: the second version may not become float again."""
    allow = "--allow stem --allow separable --allow classes"
    assert "second" in onebit(f"convert audit v1.tflite --fail-if-float {allow}", 1).stderr
    onebit(f"convert audit v2.tflite --fail-if-float {allow}")
    onebit("convert audit v2.tflite --fail-if-float-above 20%")
    assert "over 20.0%" in onebit("convert audit v1.tflite --fail-if-float-above 20%", 1).stderr


def test_4_run_names_what_a_photo_shows(onebit, desk):
    result = onebit("run v2.tflite --input photo.png --backend lce --format json")
    first, *_ = json.loads(result.stdout)["classes"]
    assert first["class"] == (desk / "photo.txt").read_text()
    assert first["probability"] > 0.5


QUICK = "--runs 3 --seconds 0.01 --warmup 0.01"


def test_5_two_versions_are_measured_in_turn_and_compared(onebit):
    files = "v1.tflite v2.tflite --as old --as new"
    result = onebit(f"edge bench {files} -r 3 {QUICK} --backend lce --data val.npz -o rows.jsonl")
    assert "accuracy" in result.stdout
    compare = "edge compare rows.jsonl --models old new --with-invalid"
    result = onebit(f"{compare} --fail-if-larger 1% --fail-if-less-accurate 5pp")
    assert "3 pairs" in result.stdout
    back = onebit("edge compare rows.jsonl --models new old --fail-if-larger 1%", 1)
    assert "regression: old is" in back.stderr
    assert "% larger: " in back.stderr


def test_6_report_has_what_a_decision_takes(onebit, desk):
    onebit("edge report rows.jsonl -o report.html --title Stripes")
    page = (desk / "report.html").read_text()
    for words in ("Stripes", "what it costs", "Not binary in old", "accuracy on the device", "new"):
        assert words in page


def test_7_firmware_has_the_network_and_its_labels(onebit, desk):
    onebit("convert export v2.tflite --to c -o stripes")
    header = (desk / "stripes/src/stripes.h").read_text()
    assert "extern const char *const stripes_labels[STRIPES_LABELS];" in header
    assert "pixels: (pixel - 127.5) / 127.5" in header
    done = subprocess.run(
        ["make", "-C", "stripes", "check", "CFLAGS=-O1"], capture_output=True, text=True
    )
    assert "stripes: 2 of 2 vectors agree" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("convert model v1.tflite -o v3.tflite --int8", "--int8 and --representative-data need"),
        ("convert model v1.keras -o v3.tflite --labels val.npz", "val.npz does not exist"),
        ("run v1.tflite --input labels.txt", "labels.txt is none of what a model is fed with"),
        ("edge bench v9.tflite", "v9.tflite does not exist"),
        ("edge compare rows.jsonl --models old v9", "no rows of 'v9'"),
        ("convert export v1.tflite --to c -o labels.txt", "labels.txt"),
    ],
)
def test_8_what_goes_wrong_is_one_line(onebit, command, message):
    result = CliRunner().invoke(main, command.split())
    assert result.exit_code in (1, 2)
    assert message in result.stderr
    assert "Traceback" not in result.stderr
