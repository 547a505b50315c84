"""`edge bench`, `devices` and `doctor` with several devices, through a fake ssh."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

from edge.__main__ import main as cli
from edge.results.row_files import read_rows
from tests.edge.test_benchmark_model import OLD

QUICK = ["--runs", "10", "--seconds", "0.02", "--warmup", "0.2"]


@pytest.fixture
def invoke(fake):
    """Returns a function that calls the command line, where the host `off` refuses."""
    fake(before='case "$*" in *"-- off"*) echo "ssh: Connection refused" >&2; exit 255;; esac')

    def call(*arguments):
        return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="python -m edge")

    return call


def bench(float_file, path, *more):
    """The arguments that measure a file on a board, on one that is off, and here."""
    devices = [part for d in ("ssh://pi@board", "ssh://off", "local") for part in ("--device", d)]
    return ["bench", float_file.path, *devices, "--runtime", "litert", "-o", path, *QUICK, *more]


def test_device_that_is_off_costs_only_its_own_rows(invoke, float_file, tmp_path):
    path = tmp_path / "rows.jsonl"
    result = invoke(*bench(float_file, path, "--threads", "1,2"))
    assert result.exit_code == 1
    rows = {(row.host.device, row.setup.threads): row for row in read_rows([path])}
    assert set(rows) == {(d, t) for d in ("board", "off", "local") for t in (1, 2)}
    for (device, _), row in rows.items():
        if device == "off":
            assert row.status == "failed"
            assert "Connection refused" in row.reason
            assert row.host.kind == "ssh"
        else:
            assert row.status in ("ok", "invalid")
            assert row.summary is not None
    assert len({row.run.id for row in rows.values()}) == 1
    # The other device is compared with this machine: it is the same one, so no bit differs.
    assert rows["board", 1].parity.reference.endswith("on the host")
    assert "device" in result.stdout
    assert "off: float_mlp on litert" in result.stderr


def test_resume_measures_what_is_missing_or_failed(invoke, float_file, tmp_path):
    path = tmp_path / "rows.jsonl"
    invoke(*bench(float_file, path, "--threads", "1"))
    before = path.read_bytes()
    assert before.count(b"\n") == 3
    path.write_bytes(before + before.splitlines()[0][:70])  # as a kill leaves it
    result = invoke(*bench(float_file, path, "--threads", "1,2", "--resume"))
    assert result.exit_code == 1
    assert path.read_bytes().startswith(before)
    added = read_rows([path])[3:]
    found = sorted((row.host.device, row.setup.threads) for row in added)
    assert found == [("board", 2), ("local", 2), ("off", 1), ("off", 2)]


def test_resume_adds_the_repetitions_that_are_missing(invoke, float_file, tmp_path):
    path = tmp_path / "rows.jsonl"
    options = ["--runtime", "litert", *QUICK, "-o", path]
    for repeat in ("1", "3"):
        result = invoke("bench", float_file.path, *options, "-r", repeat, "--resume")
        assert result.exit_code == 0, result.stderr
    assert [row.setup.repetition for row in read_rows([path])] == [1, 2, 3]


def test_rows_have_the_names_that_are_given(invoke, float_file, tmp_path):
    path = tmp_path / "rows.jsonl"
    options = ["--runtime", "litert", *QUICK, "-o", path]
    assert invoke("bench", float_file.path, *options, "--as", "release").exit_code == 0
    assert [row.model.name for row in read_rows([path])] == ["release"]
    result = invoke("bench", float_file.path, *options, "--as", "a", "--as", "b")
    assert (result.exit_code, "--as is given 2 times for 1 files" in result.stderr) == (2, True)


def test_resume_never_cuts_a_file_of_something_else(invoke, float_file, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("my notes\nwithout an end")
    result = invoke(*bench(float_file, path, "--resume"))
    assert result.exit_code == 2
    assert "holds something other than result rows" in result.stderr
    assert path.read_text() == "my notes\nwithout an end"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--resume"], "--resume needs a file after -o"),
        (["--device", "ssh://-oProxyCommand=x"], "no dash at the beginning"),
        (["--device", "pi@board"], "is not a device"),
        (["--fleet", "no.toml"], "no.toml does not exist"),
        (["--tool", "no"], "the tool no does not exist"),
        (["--device", "local", "--device", "local"], "--device local is given twice"),
        (["--tool", "TOOL", "--affinity", "0"], "no affinity"),
        (["--tool", "TOOL", "--runtime", "litert"], "--runtime is for the runner"),
        (["--tool", "TOOL", "--profile-ops"], "--profile-ops is for the runner"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(
    invoke, float_file, options, words, tmp_path
):
    (tmp_path / "tool").touch()
    options = [str(tmp_path / "tool") if option == "TOOL" else option for option in options]
    result = invoke("bench", float_file.path, *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert words in result.stderr.splitlines()[-1]


def test_tool_measures_on_a_board_behind_ssh(invoke, float_file, tmp_path):
    path, tool = tmp_path / "rows.jsonl", tmp_path / "my benchmark_model"
    tool.write_text("#!/bin/sh\ncat <<X\n" + OLD + "X\n")
    result = invoke("bench", float_file.path, "--device", "ssh://board", "--tool", tool,
                    "--threads", "2", "-o", path)  # fmt: skip
    assert result.exit_code == 0, result.output
    (row,) = read_rows([path])
    assert (row.setup.name, row.setup.threads) == ("benchmark_model", 2)
    assert row.aggregates.mean_ns == 14_290_900
    assert row.host.architecture == "x86_64"
    assert "14.3 ms (mean)" in result.stdout


def test_devices_lists_what_is_reachable(invoke):
    result = invoke("devices", "--device", "ssh://board", "--device", "ssh://off",
                    "--format", "csv")  # fmt: skip
    assert result.exit_code == 1
    records = {r["device"]: r for r in csv.DictReader(io.StringIO(result.stdout))}
    assert records["board"]["state"] == "reachable"
    assert "litert" in records["board"]["runtimes"]
    assert records["off"]["state"] == "not reachable"
    assert "Connection refused" in records["off"]["reason"]
    assert records["local"]["state"] == "reachable"


@pytest.mark.parametrize("format_", ["table", "json", "jsonl", "csv"])
def test_doctor_prints_every_format(invoke, format_):
    result = invoke("doctor", "ssh://board", "--format", format_)
    assert "disk" in result.stdout
    if format_ == "json":
        errors = [check for check in json.loads(result.stdout) if check["state"] == "error"]
        assert result.exit_code == (1 if errors else 0)


def test_doctor_of_a_device_that_is_off_is_one_line(invoke):
    result = invoke("doctor", "ssh://off")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: cannot reach off")
