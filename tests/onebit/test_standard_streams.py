"""Commands end well whatever their standard output and error are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
OLD = ROOT / "tests" / "written_before"

ASCII = [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}]
RUNS = ("zoo", "runs", OLD / "run")
COMMANDS = [  # that print by click, by rich, and by both
    ("--help",),
    ("zoo", "list"),
    RUNS,
    ("convert", "audit", OLD / "model.tflite"),
    ("edge", "report", OLD / "rows.jsonl"),
    ("run", OLD / "model.tflite", "--input", OLD / "run"),
]
NAMES = ["help", "list", "runs", "audit", "report", "run"]

ERROR = (
    "error: cannot write standard output: No space left on device; free the space, or send it "
    "elsewhere\n"
)


def onebit(*arguments, environment=None, **streams):
    command = [sys.executable, "-m", "onebit", *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return subprocess.run(command, cwd=ROOT, env=os.environ | (environment or {}), **streams)


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_a_full_standard_output_is_one_line(command):
    with open("/dev/full", "w") as full:
        done = onebit(*command, stdout=full)
    # LiteRT says on standard error which delegate it made.
    said = [line for line in done.stderr.decode().splitlines(True) if not line.startswith("INFO: ")]
    assert (done.returncode, said) == (1, [ERROR])


def test_a_reader_that_leaves_ends_the_command_without_a_word():
    reader, writer = os.pipe()
    os.close(reader)
    for command in (("--help",), RUNS, (*RUNS, "--format", "csv")):
        done = onebit(*command, stdout=writer)
        assert (done.returncode, done.stderr) == (1, b""), command
    os.close(writer)


def test_a_full_standard_error_changes_no_result():
    with open("/dev/full", "w") as full:
        assert onebit(*RUNS, stderr=full).returncode == 0
        assert onebit("zoo", "nothing", stderr=full).returncode == 2


# TensorFlow, which the list imports, writes to standard error by its number.
@pytest.mark.parametrize(("descriptor", "command"), [(1, RUNS), (2, RUNS), (2, ("zoo", "list"))])
def test_closed_streams_change_no_exit_code(descriptor, command):
    done = onebit(*command, preexec_fn=lambda: os.close(descriptor))
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("environment", ASCII, ids=lambda settings: next(iter(settings)))
@pytest.mark.parametrize("command", COMMANDS[2:5], ids=NAMES[2:5])
def test_characters_that_an_encoding_lacks_are_replaced(command, environment):
    done = onebit(*command, environment=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout


@pytest.mark.parametrize("environment", ASCII, ids=lambda settings: next(iter(settings)))
def test_json_stays_valid_in_a_narrow_encoding(environment):
    done = onebit(*RUNS, "--format", "json", environment=environment)
    assert done.returncode == 0, done.stderr
    plain = onebit(*RUNS, "--format", "json")
    assert json.loads(done.stdout) == json.loads(plain.stdout)
