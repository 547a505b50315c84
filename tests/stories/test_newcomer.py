"""A newcomer's first hour: help, mistakes, the first run, its file, its measurement.

    pytest -m slow tests/stories/test_newcomer.py

The pages' own commands are run by tests/test_pages_run.py; here are the steps between them: what is
mistyped, what is asked for too early, and what each command says to do next.
"""

import json
import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest

from onebit.processes import worker_command

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("newcomer")


@pytest.fixture
def onebit(folder):
    """Runs a command in the folder; gives standard output, standard error and the exit code."""

    def call(*arguments):
        done = subprocess.run(
            worker_command("onebit", *map(str, arguments)),
            cwd=folder, capture_output=True, text=True,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done.stdout, done.stderr, done.returncode

    return call


def test_help_leads_from_the_command_to_an_example(onebit):
    for arguments in (
        (),
        ("zoo",),
        ("zoo", "train"),
        ("convert",),
        ("convert", "model"),
        ("edge",),
    ):
        out, _, code = onebit(*arguments, "--help")
        assert code == 0
        assert "Usage: " in out
        assert "\\b" not in out
    assert onebit("--version")[0].startswith("onebit, version ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("zoo", "train", "binary_net_mlp", "-o", "runs/x"), "there is no recipe 'binary_net_mlp'"),
        (("zoo", "train", "binary_net_mlp_mnist_5"), "missing option '-o'"),
        (("zoo", "evaluate", "runs/x"), "does not exist; train a run folder with onebit zoo train"),
        (("zoo", "runs"), "no run folder in runs; train with onebit zoo train"),
        (("convert", "model", "runs/x", "-o", "x.tflite"), "runs/x does not exist"),
        (("run", "x.tflite", "--input", "x.png"), "x.tflite"),
        (("edge", "report", "rows.jsonl", "-o", "report.html"), "rows.jsonl"),
    ],
)
def test_too_early_or_mistyped_is_one_line_that_says_what_to_do(onebit, arguments, words):
    out, errors, code = onebit(*arguments)
    assert code in (1, 2)
    assert words in errors
    assert out == ""
    assert errors.splitlines()[-1].lower().startswith("error: ")


def test_the_first_run_logs_a_line_a_record_in_a_pipe(onebit, folder):
    train = ("zoo", "train", "binary_net_mlp_mnist_5k", "--smoke", "-o", "runs/first")
    out, errors, code = onebit(*train)
    assert code == 0
    assert out.startswith("runs/first: ")
    lines = errors.splitlines()
    assert all("epoch" in line for line in lines)
    assert lines[-1].startswith("binary_net_mlp_mnist_5k: epoch 2/2: loss ")
    assert "is finished" in onebit(*train)[0]
    assert "runs/first" in onebit("zoo", "runs")[0]
    assert onebit("zoo", "evaluate", "runs/first")[2] == 0


def test_the_file_says_how_to_run_and_measure_it(onebit):
    out, errors, code = onebit("convert", "model", "runs/first", "-o", "first.tflite")
    assert code == 0
    assert "against Keras on 128 test samples: " in out
    following = [line.partition(": ")[2] for line in errors.splitlines()]
    assert "onebit edge bench first.tflite -o rows.jsonl" in following
    out, _, code = onebit("run", "first.tflite", "--input", "runs/first")
    assert code == 0
    assert "label: " in out


def test_it_is_measured_and_reported(onebit, folder):
    bench = ("edge", "bench", "first.tflite", "-o", "rows.jsonl", "--mode", "quick")
    assert onebit(*bench)[2] == 0
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    assert len(rows) >= 2
    assert onebit("edge", "report", "rows.jsonl", "-o", "report.html")[2] == 0
    assert "first" in (folder / "report.html").read_text()


SILENCE_S = 2.0
"""How long a command may print nothing, neither lines nor a spinner, before its result."""


@pytest.mark.parametrize(
    "arguments",
    [
        ("zoo", "train", "binary_net_mlp_mnist_5k", "--smoke", "-o", "runs/second"),
        ("zoo", "evaluate", "runs/first"),
        ("zoo", "export", "runs/first", "-o", "first.npz"),
        ("zoo", "show", "binary_net_mlp"),
        ("convert", "model", "runs/first", "-o", "again.tflite"),
        ("convert", "verify", "runs/first", "first.tflite"),
        ("run", "first.tflite", "--input", "runs/first"),
    ],
    ids=" ".join,
)
def test_nothing_is_silent_on_a_terminal(folder, arguments):
    assert longest_silence(worker_command("onebit", *arguments), folder) <= SILENCE_S


def longest_silence(command, folder):
    """The longest time in seconds that a command on a terminal lets one wait for more output."""
    terminal, end = pty.openpty()
    last, longest = time.monotonic(), 0.0
    with subprocess.Popen(command, cwd=folder, stdin=end, stdout=end, stderr=end) as process:
        os.close(end)
        while process.poll() is None:
            if not select.select([terminal], [], [], 0.05)[0]:
                continue
            try:
                os.read(terminal, 1 << 16)
            except OSError:  # the other end is closed
                break
            now = time.monotonic()
            last, longest = now, max(longest, now - last)
    os.close(terminal)
    assert process.returncode == 0
    return longest
