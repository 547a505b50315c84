"""Outputs that Onebit wrote may be overwritten, any other only when asked to; old reports load."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.conversion import convert_model
from convert.report import Reason, Report
from convert.report_files import read_report
from onebit.errors import OnebitError
from tests.convert.models import mlp

WRITTEN_BEFORE = Path(__file__).parent.parent / "written_before" / "model.report.json"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "mlp.keras"
    mlp().save(path)
    return path


@pytest.fixture(scope="module")
def conversion():
    return convert_model(mlp(), verification=False)


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_own_output_is_overwritten_by_the_same_command(saved, tmp_path):
    arguments = ["model", saved, "-o", tmp_path / "x.tflite", "--header", tmp_path / "x.h"]
    for _ in range(2):
        assert run(*arguments, "--samples", 0).exit_code == 0
    for _ in range(2):
        assert run("weights", tmp_path / "x.tflite", "-o", tmp_path / "w.npz").exit_code == 0


@pytest.mark.parametrize(
    ("name", "option"), [("x.tflite", "-o"), ("x.report.json", "-o"), ("x.h", "--header")]
)
def test_file_of_others_is_kept_unless_forced(saved, tmp_path, name, option):
    (tmp_path / name).write_bytes(b"precious")
    arguments = ["model", saved, "-o", tmp_path / "x.tflite", "--samples", 0]
    if option == "--header":
        arguments += ["--header", tmp_path / "x.h"]
    result = run(*arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"{name} exists, and is not an earlier output" in result.stderr
    assert "--force" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"precious"
    assert run(*arguments, "--force").exit_code == 0
    assert (tmp_path / name).read_bytes() != b"precious"


def test_file_that_was_changed_since_is_kept(conversion, tmp_path):
    conversion.save(tmp_path / "x.tflite")
    conversion.save(tmp_path / "x.tflite")
    (tmp_path / "x.tflite").write_bytes(conversion.tflite + b"more")
    with pytest.raises(OnebitError, match="not an earlier output") as error:
        conversion.save(tmp_path / "x.tflite")
    assert error.value.reason == "not-ours"
    conversion.save(tmp_path / "x.tflite", force=True)
    assert (tmp_path / "x.tflite").read_bytes() == conversion.tflite


def test_empty_file_is_nothing_to_lose(conversion, tmp_path):
    (tmp_path / "x.tflite").touch()
    conversion.save(tmp_path / "x.tflite")


def test_weights_keep_a_file_of_others(conversion, tmp_path):
    conversion.save(tmp_path / "x.tflite")
    (tmp_path / "w.npz").write_bytes(b"precious")
    arguments = ["weights", tmp_path / "x.tflite", "-o", tmp_path / "w.npz"]
    assert run(*arguments).exit_code == 1
    assert (tmp_path / "w.npz").read_bytes() == b"precious"
    assert run(*arguments, "--force").exit_code == 0


def test_report_reads_back_as_it_was(conversion, tmp_path):
    path = conversion.save(tmp_path / "x.tflite")
    assert read_report(path) == conversion.report
    assert json.loads(path.read_text())["layers"][0]["reason_code"] == "real-inputs"


def test_report_of_another_version_is_read_under_the_present_names():
    report = read_report(WRITTEN_BEFORE)
    content = json.loads(WRITTEN_BEFORE.read_text())
    assert isinstance(report, Report)
    assert [layer.fix for layer in report.layers] == [e["mend"] for e in content["layers"]]
    assert report.layers[0].reason_code is None
    assert report.verification.bit_flips == content["verification"]["flips"] == []
    assert report.verification.delegate.verdict == "exact"


@pytest.mark.parametrize("content", ["[]", "{}", '{"file": 3}', "no json"])
def test_other_json_is_not_a_report(content, tmp_path):
    (tmp_path / "x.report.json").write_text(content)
    with pytest.raises(OnebitError, match=r"x\.report\.json is not"):
        read_report(tmp_path / "x.report.json")


def test_every_reason_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "converting.md").read_text()
    assert [code.value for code in Reason if f"`{code.value}`" not in text] == []


@pytest.mark.parametrize("columns", [None, 80])
def test_tables_fit_80_columns_and_break_no_words(conversion, tmp_path, monkeypatch, columns):
    conversion.save(tmp_path / "x.tflite")
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.chdir(tmp_path)
    lines = run("audit", "x.tflite").stdout.splitlines()
    assert max(map(len, lines)) <= (columns or 100)
    text = " ".join(lines)
    assert all(word in text for word in ("dense_1", "binary weights", "multiply-accumulates"))
