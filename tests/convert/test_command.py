import json
import re
import signal
import subprocess
import sys
import types

import numpy as np
import pytest
from click.testing import CliRunner

import zoo
from convert.__main__ import main
from convert.report import Verification
from convert.runtimes.lce import convert_with_lce
from onebit.keras import keras, lq
from onebit.metadata import Metadata, Normalization, read_metadata
from tests.convert.models import BINARY, images, mlp
from tests.support.damage import boastful_npz


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "mlp.keras"
    mlp().save(path)
    return path


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_model_writes_the_file_and_its_report(saved, tmp_path):
    result = run("model", saved, "-o", tmp_path / "out" / "mlp.tflite")
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "mlp.report.json",
        "mlp.tflite",
    ]
    report = json.loads((tmp_path / "out" / "mlp.report.json").read_text())
    assert report["verification"]["verdict"] == "exact"
    assert report["passes"]["binarise_layers"] == ["dense_2", "dense_3"]
    assert "dense_1" in result.stdout
    assert "against Keras on 16 random samples: exact" in result.stdout


def test_saved_subclassed_model_is_converted(tmp_path):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__(name="subclassed")  # Keras would number it through the process
            self.dense = lq.layers.QuantDense(4, input_quantizer="ste_sign", **BINARY)

        def call(self, inputs):
            return self.dense(inputs)

    model = Subclassed()
    model(np.zeros((1, 32), np.float32))
    model.save(tmp_path / "model", save_format="tf")
    result = run("model", tmp_path / "model", "-o", tmp_path / "x.tflite")
    assert result.exit_code == 0, result.stderr
    assert "100.0% binary" in result.stdout
    assert "against Keras on 16 random samples: exact" in result.stdout


def test_file_of_a_keras_model_says_what_the_options_say(saved, tmp_path):
    facts = ["--author", "Eve", "--normalize", "127.5,64"]
    result = run("model", saved, "-o", tmp_path / "x.tflite", "--samples", 0, *facts)
    assert "author: Eve\npixels: (pixel - 127.5) / 64\n" in result.stdout
    found = read_metadata((tmp_path / "x.tflite").read_bytes(), "x")
    assert found == Metadata(
        mlp().name, author="Eve", normalization={0: Normalization((127.5,), (64,))}
    )


def test_samples_zero_skips_the_verification(saved, tmp_path):
    result = run("model", saved, "-o", tmp_path / "x.tflite", "--samples", 0, "--format", "json")
    assert json.loads(result.stdout)["verification"] is None


def test_labelled_samples_give_accuracies(saved, tmp_path):
    inputs = images(40)
    labels = mlp().predict(inputs, verbose=0).argmax(-1)
    np.savez(tmp_path / "data.npz", inputs=inputs, labels=labels)
    result = run(
        "model", saved, "-o", tmp_path / "x.tflite", "--verify-data", tmp_path / "data.npz"
    )
    assert "accuracy: 100.00% in Keras, 100.00% in the file" in result.stdout


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 6, 6, 1))}, "no array named inputs"),
        ({"inputs": np.zeros((2, 5, 6, 1))}, r"the model takes \[N, 6, 6, 1\]"),
        ({"inputs": np.zeros((2, 6, 6, 1), np.uint8)}, "uint8"),
        ({"inputs": np.zeros((0, 6, 6, 1))}, "no samples"),
        ({"inputs": np.full((2, 6, 6, 1), np.nan)}, "NaN or infinity"),
        ({}, "its arrays: none"),
        ({"inputs": np.zeros((2, 6, 6, 1)), "labels": np.zeros(3)}, "labels"),
        ({"inputs": np.zeros((2, 6, 6, 1)), "labels": np.ones(2) / 2}, "labels are float64"),
        (
            {"inputs": np.zeros((2, 6, 6, 1)), "labels": np.array([0, 10])},
            "labels go from 0 to 10; class numbers begin at 0, and the model's last is 9",
        ),
        ({"inputs": np.array([{}, {}])}, "plain arrays"),
    ],
)
def test_unfit_samples_are_refused_in_one_line(saved, tmp_path, arrays, message):
    np.savez(tmp_path / "data.npz", **arrays)
    output = tmp_path / "x.tflite"
    result = run("model", saved, "-o", output, "--verify-data", tmp_path / "data.npz")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert re.search(message, result.stderr)
    assert not output.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.npz", "does not exist"),
        ("text.npz", "is not an .npz file"),
        ("single.npy", "is not an .npz file"),
        ("boastful.npz", "is not an .npz file"),
        ("folder", "is not a run folder"),
    ],
)
def test_what_holds_no_samples_is_refused_in_one_line(saved, tmp_path, name, message):
    (tmp_path / "text.npz").write_text("no archive")
    np.save(tmp_path / "single.npy", images(3))
    boastful_npz(tmp_path / "boastful.npz")
    (tmp_path / "folder").mkdir()
    result = run("model", saved, "-o", tmp_path / "x.tflite", "--verify-data", tmp_path / name)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert message in result.stderr
    assert not (tmp_path / "x.tflite").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["absent.keras", "-o", "x.tflite"], 1, "absent.keras does not exist"),
        (["zoo:binary_net_mpl", "-o", "x.tflite"], 2, "did you mean binary_net_mlp"),
        (["absent.keras", "-o", "x.bin"], 2, "must end in .tflite"),
        (["absent.keras"], 2, "missing option '-o'"),
    ],
)
def test_wrong_usage_is_one_line(arguments, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("model", *arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_unwritable_output_is_refused_before_the_conversion(saved, tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = run("model", saved, "-o", tmp_path / "file" / "x.tflite")
    assert result.exit_code == 1
    assert "cannot write" in result.stderr
    assert (tmp_path / "file").read_text() == "in the way"


def test_folder_in_the_place_of_the_output_is_refused(saved, tmp_path):
    (tmp_path / "x.tflite").mkdir()
    result = run("model", saved, "-o", tmp_path / "x.tflite")
    assert (result.exit_code, "is a directory" in result.stderr) == (2, True)


def test_existing_file_survives_a_failed_conversion(tmp_path):
    (tmp_path / "x.tflite").write_bytes(b"precious")
    result = run("model", tmp_path / "absent.h5", "-o", tmp_path / "x.tflite")
    assert result.exit_code == 1
    assert [p.name for p in tmp_path.iterdir()] == ["x.tflite"]
    assert (tmp_path / "x.tflite").read_bytes() == b"precious"


def test_mismatch_writes_nothing_unless_asked_to(saved, tmp_path, monkeypatch):
    verdict = Verification(
        samples=16,
        split="random",
        verdict="mismatch",
        flipped_samples=0,
        unexplained_samples=16,
        agreement=0.1,
        accuracy_keras=None,
        accuracy_file=None,
        max_abs_difference=9.0,
        tolerance=1e-3,
        compared_layers=[],
        bit_flips=[],
        kernel="indirect_bgemm",
    )
    monkeypatch.setattr(sys.modules["convert.conversion"], "verify", lambda *_, **__: verdict)
    result = run("model", saved, "-o", tmp_path / "x.tflite")
    assert result.exit_code == 1
    assert "mismatch (16 of 16)" in result.stderr
    assert list(tmp_path.iterdir()) == []
    result = run("model", saved, "-o", tmp_path / "x.tflite", "--keep-mismatch")
    assert result.exit_code == 0
    assert (tmp_path / "x.tflite").exists()


def test_header_is_written_beside_the_file(saved, tmp_path):
    run("model", saved, "-o", tmp_path / "x.tflite", "--header", tmp_path / "x.h")
    size = (tmp_path / "x.tflite").stat().st_size
    assert f"x_size = {size};" in (tmp_path / "x.h").read_text()
    result = run("model", saved, "-o", tmp_path / "x.tflite", "--header", tmp_path / "x.txt")
    assert (result.exit_code, "must end in .h" in result.stderr) == (2, True)


@pytest.fixture(scope="module")
def file(saved, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "x.tflite"
    run("model", saved, "-o", path)
    return path


def test_verify_compares_an_existing_file(saved, file, tmp_path):
    result = run("verify", saved, file)
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert first == "against Keras on 16 random samples: exact"
    assert second.startswith("with the delegate: not compared, it is not there")
    np.savez(tmp_path / "data.npz", inputs=images(30))
    result = run("verify", saved, file, "--verify-data", tmp_path / "data.npz", "--samples", 20,
                 "--format", "json")  # fmt: skip
    document = json.loads(result.stdout)
    assert (document["samples"], document["split"]) == (20, "data.npz")


def test_verify_fails_on_another_models_file_and_says_where(file, tmp_path):
    mlp(seed=5).save(tmp_path / "other.keras")
    result = run("verify", tmp_path / "other.keras", file)
    assert result.exit_code == 1
    assert "mismatch (16 of 16; dense_2 is the first to differ in sample" in result.stdout
    assert "first differs in dense_2" in result.stdout
    assert result.stderr.splitlines()[-1].startswith("error: ")


def test_verify_refuses_a_file_with_other_inputs(file, tmp_path):
    image = keras.Input((3,))
    keras.Model(image, keras.layers.Dense(2)(image)).save(tmp_path / "other.keras")
    result = run("verify", tmp_path / "other.keras", file)
    assert result.exit_code == 1
    assert "takes inputs of the shapes [[6, 6, 1]], the model [[3]]" in result.stderr


def test_verify_data_takes_a_run_or_its_card(saved, file, tmp_path, monkeypatch):
    fake = types.SimpleNamespace(
        samples=types.SimpleNamespace(images=images(9), labels=np.zeros(9, np.int64)),
        preprocessing=lambda x: x,
        card={"accuracy": {"split": "test"}},
    )
    asked = []
    monkeypatch.setattr(zoo, "load_run", lambda folder: asked.append(folder) or fake, raising=False)
    (tmp_path / "card.json").write_text("{}")
    for data in (tmp_path, tmp_path / "card.json"):
        result = run("verify", saved, file, "--verify-data", data)
        assert result.stdout.startswith("against Keras on 9 test samples: exact")
    assert asked == [tmp_path, tmp_path]


def test_weights_writes_packed_arrays(file, tmp_path):
    result = run("weights", file, "-o", tmp_path / "packed.npz")
    assert result.stdout.startswith("3 layers, ")
    assert "dense_1/bits" in np.load(tmp_path / "packed.npz")
    assert run("weights", file, "-o", tmp_path / "packed.bin").exit_code == 2


def test_audit_prints_every_format(saved, tmp_path):
    run("model", saved, "-o", tmp_path / "x.tflite")
    assert "binary weights" in run("audit", tmp_path / "x.tflite").stdout
    document = json.loads(run("audit", tmp_path / "x.tflite", "--format", "json").stdout)
    lines = run("audit", tmp_path / "x.tflite", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == document["layers"]
    assert run("audit", tmp_path / "x.tflite", "--format", "csv").stdout.count("\n") == 4


def audited(path):
    return json.loads(run("audit", path, "--format", "json").stdout)["layers"]


def test_audit_fails_on_float_layers_when_asked(saved, tmp_path):
    run("model", saved, "-o", tmp_path / "x.tflite")
    result = run("audit", tmp_path / "x.tflite", "--fail-if-float")
    assert result.exit_code == 0
    (tmp_path / "float.tflite").write_bytes(convert_with_lce(mlp()))
    result = run("audit", tmp_path / "float.tflite", "--fail-if-float")
    assert result.exit_code == 1
    assert "error: 3 of 3 layers are float: " in result.stderr
    assert "LCE leaves dense layers float" in " ".join(result.stdout.split())
    layers = audited(tmp_path / "float.tflite")
    allowed = [word for layer in layers for word in ("--allow", layer["name"])]
    assert run("audit", tmp_path / "float.tflite", "--fail-if-float", *allowed).exit_code == 0


def test_audit_fails_above_a_share_of_float_when_asked(tmp_path):
    (tmp_path / "float.tflite").write_bytes(convert_with_lce(mlp()))
    first, *_ = audited(tmp_path / "float.tflite")
    partly = ["--fail-if-float-above", "60%"]
    # Of 36 × 48, 48 × 40 and 40 × 10 products the last two layers have 57%.
    result = run("audit", tmp_path / "float.tflite", *partly, "--allow", first["name"])
    assert result.exit_code == 0
    result = run("audit", tmp_path / "float.tflite", *partly)
    assert result.exit_code == 1
    assert "error: 100.0% of the multiply-accumulates are float, over 60.0%: " in result.stderr
    assert run("audit", tmp_path / "float.tflite", "--fail-if-float-above", "60").exit_code == 2
    assert run("audit", tmp_path / "float.tflite", "--allow", "x").exit_code == 2


def test_audit_of_a_text_file_is_one_line(tmp_path):
    (tmp_path / "notes.tflite").write_text("a text file")
    result = run("audit", tmp_path / "notes.tflite")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "notes.tflite is not a .tflite file" in result.stderr


def test_full_disk_is_one_line_and_leaves_nothing(saved, tmp_path):
    # A limit on the size of files stands in for a full disk: the write fails half-way.
    code = (
        "import resource, runpy, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "import convert.conversion\n"
        "save = convert.conversion.Conversion.save\n"
        "def limited(self, path, **options):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))\n"
        "    return save(self, path, **options)\n"
        "convert.conversion.Conversion.save = limited\n"
        "runpy.run_module('convert', run_name='__main__')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "model", str(saved), "-o", str(tmp_path / "x.tflite")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "cannot write" in result.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["convert_with_lce", "audited_layers", "verify"])
def test_killed_conversion_leaves_nothing(stage, saved, tmp_path):
    code = (
        "import os, runpy, signal, convert.conversion\n"
        f"convert.conversion.{stage} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        "runpy.run_module('convert', run_name='__main__')\n"
    )
    command = [sys.executable, "-c", code, "model", str(saved), "-o", str(tmp_path / "x.tflite")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_dynamic_dimensions_are_one_line(tmp_path):
    image = keras.Input((None, 8))
    keras.Model(image, keras.layers.Dense(4)(image)).save(tmp_path / "m.keras")
    for samples in (0, 4):
        arguments = [tmp_path / "m.keras", "-o", tmp_path / "x.tflite", "--samples", samples]
        result = run("model", *arguments)
        assert result.exit_code == 1
        assert re.search(r"error: input .* has the shape .*fixed sizes", result.stderr)
    assert not (tmp_path / "x.tflite").exists()


def test_a_damaged_file_to_verify_is_named(saved, file, tmp_path):
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(file.read_bytes()[:-100])
    result = run("verify", saved, cut)
    assert result.exit_code == 1
    assert f"error: {cut} is truncated" in result.stderr


def test_swapped_arguments_of_verify_are_named(saved, file):
    result = run("verify", file, saved)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {file} and {saved} are swapped; name the Keras model")
