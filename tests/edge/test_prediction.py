"""`onebit run`: one inference on images, arrays and samples."""

import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from convert.file_conversion import convert_file
from onebit.__main__ import main
from onebit.audio import MFCC
from onebit.metadata import Metadata, Normalization
from tests.support.classifier import classifier
from tests.support.float_graphs import FloatGraph

WRITTEN = Path(__file__).parent.parent / "written_before"


@pytest.fixture
def invoke():
    """Returns a function that calls `onebit run`."""

    def call(*arguments):
        return CliRunner().invoke(main, ["run", *map(str, arguments)])

    return call


@pytest.fixture
def mlp(float_file, tmp_path):
    """The float MLP's file, whose input is `[1, 784]`, with its Keras model."""
    path = tmp_path / "mlp.tflite"
    shutil.copy(float_file.path, path)
    return path, float_file.keras_model


@pytest.fixture
def small(binary_file, tmp_path):
    """A binary network's file, whose input is `[1, 8, 8, 32]`."""
    path = tmp_path / "small.tflite"
    shutil.copy(binary_file.path, path)
    return path


@pytest.mark.parametrize("batch", [False, True])
def test_array_gives_the_outputs_of_keras(invoke, mlp, tmp_path, batch):
    file, model = mlp
    values = np.random.default_rng(1).normal(size=(1, 784)).astype(np.float32)
    np.save(tmp_path / "x.npy", values if batch else values[0])
    result = invoke(file, "--input", tmp_path / "x.npy", "-o", tmp_path / "y.npz", "--top", 3)
    assert result.exit_code == 0, result.stderr
    expected = model(values).numpy()
    with np.load(tmp_path / "y.npz") as arrays:
        # 784 products of which each is rounded, and 1024 of those.
        np.testing.assert_allclose(arrays["output_0"], expected, atol=1e-4)
    table = [line.split() for line in result.stdout.splitlines()]
    shown = [int(words[1]) for words in table if len(words) > 3 and words[1].isdigit()]
    assert shown == np.argsort(-expected[0])[:3].tolist()
    assert "first inference" in result.stderr


def test_two_inputs_are_given_by_name(invoke, two_inputs_file, tmp_path):
    rng = np.random.default_rng(2)
    left, right = (rng.normal(size=(1, n)).astype(np.float32) for n in (8, 4))
    np.save(tmp_path / "l.npy", left)
    np.save(tmp_path / "r.npy", right)
    file = two_inputs_file.path
    by_name = ["--input", f"right={tmp_path / 'r.npy'}", "--input", f"left={tmp_path / 'l.npy'}"]
    result = invoke(file, *by_name, "--format", "json")
    assert result.exit_code == 0, result.stderr
    expected = two_inputs_file.keras_model([left, right]).numpy()
    np.testing.assert_allclose(json.loads(result.stdout)["outputs"][0], expected, atol=1e-5)
    np.savez(tmp_path / "both.npz", left=left, right=right)
    again = invoke(file, "--input", tmp_path / "both.npz", "--format", "json")
    assert json.loads(again.stdout)["outputs"] == json.loads(result.stdout)["outputs"]


@pytest.mark.parametrize("backend", ["lce", "lce:reference"])
def test_backend_is_chosen(invoke, small, tmp_path, backend):
    np.save(tmp_path / "x.npy", np.ones((8, 8, 32), np.float32))
    options = ["--input", tmp_path / "x.npy", "--backend", backend, "--format", "json"]
    assert json.loads(invoke(small, *options).stdout)["backend"] == backend


def test_samples_show_their_label(invoke, mlp, tmp_path):
    inputs = np.random.default_rng(3).normal(size=(4, 784)).astype(np.float32)
    np.savez(tmp_path / "data.npz", inputs=inputs, labels=[3, 1, 4, 1])
    (tmp_path / "names.txt").write_text("".join(f"class{n}\n" for n in range(10)))
    options = ["--input", tmp_path / "data.npz", "--labels", tmp_path / "names.txt"]
    assert "label: class4" in invoke(mlp[0], *options, "--sample", 2).stdout


def test_output_replaces_earlier_outputs_and_nothing_else(invoke, mlp, tmp_path):
    data, output = tmp_path / "data.npz", tmp_path / "y.npz"
    np.savez(data, inputs=np.ones((1, 784), np.float32))
    before = data.read_bytes()
    refused = invoke(mlp[0], "--input", data, "-o", data)
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "is not an earlier output" in refused.stderr
    assert "--force" in refused.stderr
    assert data.read_bytes() == before
    for _ in range(2):
        assert invoke(mlp[0], "--input", data, "-o", output).exit_code == 0
    assert invoke(mlp[0], "--input", data, "-o", data, "--force").exit_code == 0
    assert data.read_bytes() != before


def image_model(tmp_path):
    """The file of an earlier version, which takes 28×28 digits, with its report."""
    for name in ("model.tflite", "model.report.json"):
        shutil.copy(WRITTEN / name, tmp_path / name)
    return tmp_path / "model.tflite"


def test_image_is_resized_and_scaled_as_the_report_says(invoke, tmp_path):
    image = pytest.importorskip("PIL.Image")
    file = image_model(tmp_path)
    report = json.loads((tmp_path / "model.report.json").read_text())
    shape = json.loads(json.dumps(report["card"]["input_shape"]))
    scaling = report["card"]["preprocessing"]
    pixels = np.random.default_rng(4).integers(0, 256, shape, np.uint8)
    image.fromarray(pixels[..., 0]).save(tmp_path / "x.png")
    scale, offset = (np.float32(scaling[key]) for key in ("scale", "offset"))
    np.save(tmp_path / "x.npy", pixels.astype(np.float32) * scale + offset)  # as in training
    by_image, by_array = (
        invoke(file, "--input", tmp_path / f"x.{kind}", "--format", "json")
        for kind in ("png", "npy")
    )
    assert by_image.exit_code == 0, by_image.stderr
    answers = [json.loads(result.stdout) for result in (by_image, by_array)]
    assert answers[0]["outputs"] == answers[1]["outputs"]
    assert {line["class"] for line in answers[0]["classes"]} <= set(report["card"]["classes"])
    report["file"]["sha256"] = "0" * 64
    (tmp_path / "model.report.json").write_text(json.dumps(report))
    stale = invoke(file, "--input", tmp_path / "x.png")
    assert (stale.exit_code, stale.stderr.count("\n")) == (1, 2)
    assert "describes another file than model.tflite" in stale.stderr
    (tmp_path / "model.report.json").unlink()
    unknown = invoke(file, "--input", tmp_path / "x.png")
    assert (unknown.exit_code, unknown.stderr.count("\n")) == (1, 1)
    assert "nothing says how" in unknown.stderr
    named = ["--scale", scaling["scale"], "--offset", scaling["offset"], "--format", "json"]
    scaled = invoke(file, "--input", tmp_path / "x.png", *named)
    np.testing.assert_allclose(
        json.loads(scaled.stdout)["outputs"][0], answers[0]["outputs"][0], atol=1e-4
    )


def test_metadata_in_the_file_come_before_the_report(invoke, tmp_path):
    image = pytest.importorskip("PIL.Image")
    labels = ("red", "green", "blue", "grey", "pink")
    metadata = Metadata(labels=labels, normalization={0: Normalization((10, 20, 30), (2, 4, 8))})
    content = convert_file(classifier(), verification=False, metadata=metadata).tflite
    file = tmp_path / "x.tflite"
    file.write_bytes(content)
    pixels = np.random.default_rng(5).integers(0, 256, (4, 4, 3), np.uint8)
    image.fromarray(pixels).save(tmp_path / "x.png")
    np.save(tmp_path / "x.npy", ((pixels - np.float32([10, 20, 30])) / [2, 4, 8]).astype("f4"))
    by_image, by_array = (
        json.loads(invoke(file, "--input", tmp_path / f"x.{kind}", "--format", "json").stdout)
        for kind in ("png", "npy")
    )
    assert by_image["outputs"] == by_array["outputs"]
    assert by_image["classes"][0]["class"] == labels[np.argmax(by_image["outputs"][0])]
    file.write_bytes(content.replace(b"M001", b"M000"))
    damaged = invoke(file, "--input", tmp_path / "x.npy")
    assert (damaged.exit_code, damaged.stderr.count("\n")) == (1, 1)
    assert "the metadata of" in damaged.stderr


def test_a_sound_becomes_the_spectrogram_of_the_models_shape(invoke, tmp_path):
    g = FloatGraph()
    x = g.tensor((1, 49, 10, 1))
    weights = np.random.default_rng(6).normal(size=(2, 490)).astype(np.float32)
    content = g.build([x], [g.dense(g.reshape(x, (1, 490)), g.constant(weights))])
    pixels = Normalization.from_scale([MFCC.step], [MFCC.low])
    metadata = Metadata(labels=("yes", "no"), normalization={0: pixels})
    file = tmp_path / "spotter.tflite"
    file.write_bytes(convert_file(content, verification=False, metadata=metadata).tflite)
    levels = (0.3 * 2**15 * np.sin(np.arange(12_000) * 0.2)).astype("<i2")
    sound = levels / 2**15
    with wave.open(str(tmp_path / "yes.wav"), "wb") as written:
        written.setparams((1, 2, 16_000, 0, "NONE", None))
        written.writeframes(levels.tobytes())
    # What the data set would hold, as a number of its own.
    np.save(tmp_path / "yes.npy", pixels(MFCC(np.pad(sound, (0, 4_000)))))
    by_sound, by_array = (
        invoke(file, "--input", tmp_path / f"yes.{kind}", "--format", "json")
        for kind in ("wav", "npy")
    )
    assert by_sound.exit_code == 0, by_sound.stderr
    answers = [json.loads(result.stdout) for result in (by_sound, by_array)]
    assert answers[0]["outputs"] == answers[1]["outputs"]
    assert answers[0]["classes"][0]["class"] in ("yes", "no")
    other = invoke(image_model(tmp_path), "--input", tmp_path / "yes.wav")
    assert (other.exit_code, other.stderr.count("\n")) == (2, 1)
    assert "not a sound: those are MFCCs as [1, 49, 10, 1]" in other.stderr


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--input", "absent.npy"], 2, "absent.npy does not exist"),
        (["--input", "nosuch"], 2, "nosuch does not exist"),
        (["--input", "x.pdf"], 2, "x.pdf is none of what a model is fed with"),
        (["--input", "text.npy"], 1, "text.npy is not an .npy file"),
        (["--input", "short.npy"], 1, "takes [1, 784] for"),
        (["--input", "nan.npy"], 1, "nan.npy: NaN or infinity in "),
        (["--input", "good.npy", "--backend", "lcf"], 2, "'lcf'"),
        (["--input", "good.npy", "--sample", "1"], 2, "has 1 samples"),
        (
            ["--input", "good.npy", "--labels", "two.txt"],
            2,
            "two.txt has 2 names, and the model 10",
        ),
        (["--input", "good.npy", "--offset", "1"], 2, "--offset needs --scale"),
        (["--input", "good.npy", "--scale", "1/0"], 2, "is not a number"),
        (["--input", "good.npy", "--scale", "1e999"], 2, "is not a number"),
        (["--input", "good.npy", "--scale", "1e-320"], 2, "is out of the range of float32"),
        (["--input", "good.npy", "--scale", "1", "--offset", "1e39"], 2, "is out of the range"),
        (["--input", "good.npy", "-o", "y.npy"], 2, "must end in .npz"),
        (["--input", "good.npy", "--labels", "absent.txt"], 1, "absent.txt does not exist"),
        (["--input", "x.png"], 2, "takes [1, 784], not images"),
    ],
)
def test_wrong_input_is_one_line(invoke, mlp, tmp_path, monkeypatch, options, code, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "x.pdf").write_text("no image")
    (tmp_path / "two.txt").write_text("cat\ndog\n")
    np.save("short.npy", np.zeros((1, 783), np.float32))
    np.save("nan.npy", np.full((1, 784), np.nan, np.float32))
    np.save("good.npy", np.zeros((1, 784), np.float32))
    result = invoke(mlp[0].name, *options)
    assert result.exit_code == code
    assert words in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not Path("y.npy").exists()
