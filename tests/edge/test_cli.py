import csv
import io
import json

import numpy as np
import pytest
from click.testing import CliRunner

from edge.__main__ import main as cli
from edge.results.row import SCHEMA_VERSION
from edge.results.row_files import read_rows
from edge.results.row_json import from_json, to_json
from onebit.metadata.tables import write

QUICK = ["--runs", "10", "--seconds", "0.02", "--warmup", "0.2"]


@pytest.fixture
def invoke():
    """Returns a function that calls the command line."""

    def call(*arguments):
        return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="python -m edge")

    return call


@pytest.fixture
def rows_path(tmp_path, make_row):
    """A file of rows: a binary model and its float baseline."""
    path = tmp_path / "rows.jsonl"
    baseline = make_row(
        name="float_mlp",
        setup="litert",
        size_bytes=11_660_000,
        accuracy=0.947,
        binary_macs=0,
        float_macs=2_800_000,
    )
    path.write_text(to_json(make_row()) + "\n" + to_json(baseline) + "\n")
    return path


def assert_one_line(result, exit_code, *parts):
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert "Traceback" not in result.stderr
    for part in parts:
        assert part in lines[-1]


def test_bench_prints_a_table_and_writes_rows(invoke, float_file, tmp_path):
    path = tmp_path / "rows.jsonl"
    result = invoke("bench", float_file.path, "-o", path, "--runtime", "lce,litert", *QUICK)
    assert result.exit_code == 0, result.output
    assert [row.setup.name for row in read_rows([path])] == ["lce", "litert"]
    for heading in ("model", "p50", "p90", "memory", "status"):
        assert heading in result.stdout
    assert "[2/2] float_mlp on litert: p50" in result.stderr
    again = invoke(
        "bench", float_file.path, "-o", path, "--append", "--runtime", "lce", "--threads", 2, *QUICK
    )
    assert again.exit_code == 0, again.output
    assert [r.setup.threads for r in read_rows([path])] == [1, 1, 2]


def test_bench_formats_agree(invoke, binary_file):
    command = ["bench", binary_file.path, "--runtime", "lce,litert", *QUICK, "--format"]
    (first, skipped) = [
        from_json(line) for line in invoke(*command, "jsonl").stdout.strip().splitlines()
    ]
    assert first.setup.name == "lce"
    assert skipped.status == "skipped"
    documents = json.loads(invoke(*command, "json").stdout)
    assert [d["status"] for d in documents][1] == "skipped"
    assert documents[0]["model"]["sha256"] == first.model.sha256
    records = list(csv.DictReader(io.StringIO(invoke(*command, "csv").stdout)))
    assert [r["setup.name"] for r in records] == ["lce", "litert"]
    assert records[0]["model.sha256"] == first.model.sha256


def test_bench_exits_with_1_when_a_cell_failed(invoke, float_file, tmp_path):
    path = tmp_path / "rows.jsonl"
    result = invoke("bench", float_file.path, "--timeout", "0.01", "--runtime", "lce", "-o", path)
    # The limit is for cells; the probe before them has its own.
    assert result.exit_code == 1
    (row,) = read_rows([path])
    assert row.status == "failed"
    assert "time limit of 0.01 s" in row.reason
    assert "failed" in result.stdout


def test_bench_refuses_what_is_no_model(invoke, tmp_path):
    text = tmp_path / "words.tflite"
    text.write_text("not a model")
    assert_one_line(invoke("bench", tmp_path / "no.tflite"), 2, "no.tflite", "does not exist")
    assert_one_line(invoke("bench", text), 2, "words.tflite", "not a TensorFlow Lite file")
    assert_one_line(invoke("bench", tmp_path), 2, "is a folder")


def test_bench_refuses_a_truncated_file_before_measuring(invoke, float_file, tmp_path):
    whole = float_file.path.read_bytes()
    file, rows = tmp_path / "cut.tflite", tmp_path / "rows.jsonl"
    file.write_bytes(whole[: len(whole) // 2])
    result = invoke("bench", float_file.path, file, "-o", rows, *QUICK)
    assert_one_line(result, 1, f"{file} is truncated or damaged", "copy the file again")
    assert not rows.exists()


def test_a_whole_file_that_a_runtime_refuses_is_a_failed_row(invoke, binary_file, tmp_path):
    file, rows = tmp_path / "unknown.tflite", tmp_path / "rows.jsonl"
    file.write_bytes(binary_file.path.read_bytes().replace(b"LceQuantize", b"LceQuantise"))
    result = invoke("bench", file, "-o", rows, "--runtime", "lce", *QUICK)
    assert result.exit_code == 1
    assert [row.status for row in read_rows([rows])] == ["failed"]


def test_bench_refuses_wrong_options_before_measuring(invoke, float_file, tmp_path):
    path = float_file.path
    unwritable = tmp_path / "file"
    unwritable.write_text("")
    for options, parts in [
        (["--runtime", "lce:indirect"], ["no runtime", "lce:indirect_bgemm"]),
        (["--threads", "two"], ["'two'", "1,2"]),
        (["--threads", "0"], ["positive"]),
        (["--runs", "0"], ["--runs"]),
        (["--append"], ["-o"]),
        (["--overwrite"], ["-o"]),
        (["--overwrite", "--resume", "-o", tmp_path / "x"], ["--overwrite and --resume"]),
        (["--overwrite", "--append", "-o", tmp_path / "x"], ["--overwrite and --append"]),
        (["-o", path], ["float_mlp.tflite holds something other than result rows"]),
        (["-o", path, "--overwrite"], ["holds something other than result rows"]),
        (["--affinity", "big"], ["affinity big: local has no big and little cores"]),
        (["--affinity", "9999"], ["affinity 9999: local has no core 9999; its cores are"]),
        (["--device", "ssh://pi:hunter2@board"], ["holds a password"]),
        (["--device", "ssh:/pi:hunter2@board"], ["is not a device"]),
        (["--data", tmp_path / "no.npz"], ["there is no file"]),
        (["-o", unwritable / "rows.jsonl"], ["cannot write", "file is not a folder"]),
        (["-o", tmp_path], ["cannot write", "Is a directory"]),
    ]:
        result = invoke("bench", path, *options)
        assert_one_line(result, 2, *parts)
        assert "[1/" not in result.stderr
        assert "hunter2" not in result.stderr
    assert path.read_bytes()[4:8] == b"TFL3"


def test_bench_keeps_earlier_rows_unless_it_may_overwrite_them(invoke, float_file, tmp_path):
    path = tmp_path / "rows.jsonl"
    command = ["bench", float_file.path, "-o", path, "--runtime", "litert", *QUICK]
    for options, count in (([], 1), ([], 2), (["--append"], 3), (["--overwrite"], 1)):
        result = invoke(*command, *options)
        assert result.exit_code == 0, result.output
        assert len(read_rows(path)) == count


def test_bench_refuses_samples_that_do_not_fit_before_measuring(invoke, float_file, tmp_path):
    data = tmp_path / "x.npz"
    for arrays, words in [
        ({"inputs": np.zeros((3, 7), np.float32)}, "takes [1, 784]"),
        ({"inputs": np.zeros((3, 784), np.uint8)}, "store the samples preprocessed"),
        ({"inputs": np.full((3, 784), np.nan)}, "NaN"),
        ({"inputs": np.zeros((0, 784))}, "no samples"),
        ({"inputs": np.zeros((3, 784)), "labels": np.full((3, 1), 10)}, "has 10 classes"),
        ({"left": np.zeros((3, 784)), "right": np.zeros((3, 784))}, "has left, right"),
    ]:
        np.savez(data, **arrays)
        result = invoke("bench", float_file.path, "--data", data)
        assert_one_line(result, 1, words)
        assert "[1/" not in result.stderr


def test_bench_feeds_several_inputs_by_name(invoke, two_inputs_file, tmp_path):
    rng = np.random.default_rng(2)
    left, right = (rng.uniform(-1, 1, (20, n)).astype(np.float32) for n in (8, 4))
    labels = two_inputs_file.keras_model([left, right]).numpy().argmax(-1)
    np.savez(tmp_path / "two.npz", right=right, left=left, labels=np.eye(3)[labels])
    path = tmp_path / "rows.jsonl"
    result = invoke(
        "bench", two_inputs_file.path, "--data", tmp_path / "two.npz", "-o", path, *QUICK
    )
    assert result.exit_code == 0, result.output
    for row in read_rows(path):
        assert row.evaluation.accuracy == 1.0


def test_bench_warns_of_doubtful_samples(invoke, float_file, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 784)).astype(np.float32)
    np.savez(tmp_path / "pixels.npz", inputs=pixels)
    result = invoke(
        "bench", float_file.path, "--data", tmp_path / "pixels.npz", "--runtime", "litert", *QUICK
    )
    assert "warning: " in result.stderr
    assert "like raw pixels" in result.stderr


def test_report_prints_the_headline_and_writes_the_page(invoke, rows_path, tmp_path):
    page = tmp_path / "report.html"
    result = invoke("report", rows_path, "-o", page)
    assert result.exit_code == 0, result.output
    for text in ("binary_net_mlp", "94.50 %", "400 kB", "29.0×", "29.1×", "10.0 MB"):
        assert text in result.stdout
    assert page.read_text().startswith("<!doctype html>")
    assert {path.name for path in tmp_path.iterdir()} == {"rows.jsonl", "report.html"}


def test_report_formats(invoke, rows_path):
    markdown = invoke("report", rows_path, "--format", "md").stdout.splitlines()
    assert markdown[0].startswith("| model | backend | accuracy in Keras |")
    assert markdown[1].count("---") == markdown[0].count("|") - 1
    assert markdown[2].startswith("| binary_net_mlp | lce | 94.50 % |")
    binary, baseline = json.loads(invoke("report", rows_path, "--format", "json").stdout)
    assert binary["compression_baseline"] == 11_660_000 / 400_000
    assert baseline["compression_baseline"] is None
    records = list(
        csv.DictReader(io.StringIO(invoke("report", rows_path, "--format", "csv").stdout))
    )
    assert records[1]["accuracy_file"] == "0.947"


def test_report_shows_the_host_only_where_there_are_several(invoke, rows_path, make_row):
    assert "Cortex" not in invoke("report", rows_path, "--format", "md").stdout
    with rows_path.open("a") as file:
        file.write(to_json(make_row(cpu="Cortex-A76")) + "\n")
    output = invoke("report", rows_path, "--format", "md").stdout
    assert "| local (Cortex-A72) | binary_net_mlp |" in output
    assert "| local (Cortex-A76) | binary_net_mlp |" in output


def test_report_refuses_malformed_rows(invoke, rows_path, tmp_path):
    page = tmp_path / "report.html"
    good = rows_path.read_text()
    newer = good.replace(f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 99')
    for content, parts in [
        (good + "{broken", ["rows.jsonl, line 3"]),
        (newer, ["rows.jsonl, line 1", "schema_version 99", "update Onebit"]),
        ("\n", ["no rows in"]),
    ]:
        rows_path.write_text(content)
        assert_one_line(invoke("report", rows_path, "-o", page), 1, *parts)
    assert_one_line(invoke("report", tmp_path / "absent.jsonl"), 2, "absent.jsonl")
    assert not page.exists()


def test_report_refuses_an_unwritable_page(invoke, rows_path, tmp_path):
    assert_one_line(invoke("report", rows_path, "-o", tmp_path), 2, "must end in .html")
    result = invoke("report", rows_path, "-o", tmp_path / "report.jsonl")
    assert_one_line(result, 2, "must end in .html")
    result = invoke("report", rows_path, "-o", rows_path / "report.html")
    assert_one_line(result, 1, "cannot write", "rows.jsonl is not a folder")


@pytest.mark.parametrize("command", ["bench", "report"])
def test_help_has_an_example(invoke, command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    example = result.stdout.partition("  Example:\n")[2]
    assert example.startswith(f"    onebit edge {command} ")


def test_number_of_threads_has_a_bound(tmp_path):
    file = tmp_path / "x.tflite"
    file.write_bytes(b"")
    result = CliRunner().invoke(cli, ["bench", str(file), "--threads", "5000"])
    assert result.exit_code == 2
    assert "5000 threads are more than 256" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.tflite", "--seconds", "inf"], "'inf' is not a finite number"),
        (["x.tflite", "--timeout", "nan"], "'nan' is not a finite number"),
        (["x.tflite"], "x.tflite is empty; convert the model again"),
        (["notes.txt"], "notes.txt is not a TensorFlow Lite file; convert a Keras model with"),
        (["x.tflite", "-o", "rows.csv"], "the rows in rows.csv would be JSON Lines; name it"),
        (["x.tflite", "--device", "ssh://"], "'ssh://' names no host; write ssh://user@host"),
        (["x.tflite", *2 * ["--device", "local"]], "--device local is given twice"),
        (["x.tflite", "--fleet", "latin.toml"], "latin.toml is not a text in UTF-8"),
    ],
)
def test_wrong_usage_of_bench_is_one_line(invoke, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.tflite").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not a model")
    (tmp_path / "latin.toml").write_bytes("# f\xfcnf".encode("latin-1"))
    result = invoke("bench", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr.splitlines()[-1]
    assert not (tmp_path / "rows.csv").exists()


def test_backend_is_another_name_of_runtime(invoke, tmp_path):
    file = tmp_path / "x.tflite"
    file.write_bytes(write({2: [{}]}, b"TFL3"))
    for option in ("--runtime", "--backend"):
        result = invoke("bench", file, option, "lcf")
        assert (result.exit_code, "'lcf'" in result.stderr) == (2, True)


def test_files_without_rows_cannot_be_compared(invoke, tmp_path):
    empty = tmp_path / "rows.jsonl"
    empty.write_text("\n")
    result = invoke("compare", empty, empty)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: {empty} holds no rows; measure with onebit edge bench first\n"


def test_missing_rows_are_not_taken_for_a_regression(invoke, tmp_path):
    result = invoke("compare", tmp_path / "absent.jsonl", tmp_path / "absent.jsonl")
    assert result.exit_code == 2
    assert result.stderr == f"error: {tmp_path / 'absent.jsonl'} does not exist\n"
