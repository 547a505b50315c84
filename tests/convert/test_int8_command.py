import json

import numpy as np
import pytest
from click.testing import CliRunner

from convert.__main__ import main
from tests.convert.int8_models import SHAPE, mixed_net
from tests.convert.models import images


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("int8")
    mixed_net().save(path / "mixed.keras")
    np.savez(path / "calibration.npz", inputs=images(64, SHAPE, 7))
    inputs = images(32, SHAPE, 8)
    np.savez(path / "test.npz", inputs=inputs, labels=mixed_net()(inputs).numpy().argmax(-1))
    return path


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_int8_file_and_its_verdict(folder, tmp_path):
    output = tmp_path / "mixed.tflite"
    arguments = ["--int8", "--representative-data", folder / "calibration.npz", "--io", "int8"]
    arguments += ["--verify-data", folder / "test.npz"]
    result = run("model", folder / "mixed.keras", "-o", output, *arguments)
    assert result.exit_code == 0, result.output
    assert "32 test.npz samples: quantised (argmax agrees on" in result.stdout
    assert "before quantisation: exact" in result.stdout
    report = json.loads((tmp_path / "mixed.report.json").read_text())
    assert [layer["kind"] for layer in report["layers"]] == ["int8", "binary", "binary", "int8"]
    assert report["verification"]["quantization"]["faults"] == []

    again = run("verify", folder / "mixed.keras", output, "--verify-data", folder / "test.npz")
    assert again.exit_code == 0, again.output
    assert "quantised (argmax agrees on" in again.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--int8"], "--int8 and --representative-data"),
        (["--representative-data", "x.npz"], "--int8 and --representative-data"),
        (["--io", "int8"], "--io needs --int8"),
        (["--int8-scope", "all"], "--int8-scope needs --int8"),
        (["--int8-ranges", "minmax"], "--int8-ranges needs --int8"),
    ],
)
def test_options_that_need_each_other(folder, tmp_path, options, message):
    result = run("model", folder / "mixed.keras", "-o", tmp_path / "x.tflite", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.full((40, *SHAPE), np.nan, np.float32), "NaN"),
        (np.ones((40, *SHAPE), np.float32), "every number of the representative samples is 1"),
        (np.zeros((40, 3), np.float32), "inputs have the shape [40, 3]"),
    ],
)
def test_useless_representative_data_is_refused(folder, tmp_path, inputs, message):
    np.savez(tmp_path / "data.npz", inputs=inputs)
    result = run(
        *("model", folder / "mixed.keras", "-o", tmp_path / "x.tflite"),
        *("--int8", "--representative-data", tmp_path / "data.npz"),
    )
    assert result.exit_code == 1
    assert message in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data.npz"]
