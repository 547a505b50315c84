"""A device behind the genuine adb that has a shell and no Python, as Android."""

import signal

import pytest

from tests.devices.harness import reasons, wait_until

pytestmark = pytest.mark.emulated
# In place of TensorFlow Lite's program, of which there is no build at hand: what it prints.
TIMINGS = """\
echo 'INFO: EXTERNAL delegate created.'
echo 'count=2 first=210 curr=190 min=190 max=210 avg=200 std=10'
echo 'count=5 first=200 curr=204 min=196 max=204 avg=200 std=3 p5=196 median=200 p95=204'
echo 'Inference timings in us: Init: 900, First inference: 300, Warmup (avg): 200, \
Inference (avg): 200'
"""
HANGS = "sleep 600"


@pytest.fixture
def android(adb_board, adb_server, harness, residual_file, tmp_path):
    """A board, how to start a tool of some lines on it, and a check that nothing is left there."""

    class Android:
        def __init__(self, script, **options):
            self.board = adb_board(python=False, **options)
            self.before = self.board.files()
            self.run = harness(adb_server.bin)
            tool = tmp_path / "benchmark_model"
            tool.write_text(f"#!/bin/sh\n{script}\n")
            self.device = ("--device", f"adb:{self.board.serial}")
            self.arguments = (str(residual_file), *self.device, "--tool", str(tool))

        def runs(self):
            return any(words == HANGS for words in self.board.processes().values())

        def check_clean(self, daemons=1):
            wait_until(
                lambda: len(self.board.processes()) == daemons, "only adbd is left on the board"
            )
            assert self.board.files() == self.before

    return Android


def test_tool_is_run_with_the_delegate(android):
    it = android(f'{TIMINGS}\necho "$@"; exit 0')
    (row,) = it.run.bench(*it.arguments)
    assert row["status"] == "invalid"
    assert row["reason"].startswith("emulated")
    assert row["host"]["board"] == "Emulated board"
    assert row["host"]["architecture"] == "aarch64"
    assert row["setup"]["delegate"].startswith("onebit-delegate")
    assert row["aggregates"]["p50_ns"] == 200_000
    assert row["cold_start"]["load_ns"] == 900_000
    it.check_clean()


@pytest.mark.parametrize(
    ("script", "arguments", "reason"),
    [
        ("echo ERROR: no such model; exit 1", (), "exited with code 1, no timings printed: ERROR"),
        ("kill -11 $$", (), "exited with code 139, no timings printed"),
        (HANGS, ("--timeout", "2"), "no result within the time limit of 2 s"),
    ],
    ids=["refused", "crash", "hang"],
)
def test_broken_tool_is_a_row(android, script, arguments, reason):
    it = android(script)
    assert reason in reasons(it.run.bench(*it.arguments, *arguments, exit_code=1))[0]
    it.check_clean()


def test_killed_adbd_is_a_row_although_adb_reports_success(android):
    it = android(f"{TIMINGS}\n{HANGS}")
    process = it.run.start(*it.arguments)
    wait_until(it.runs, "the tool runs")
    assert it.board.signal("/run/adbd/adbd") == 1
    (reason,) = reasons(it.run.finish(process, exit_code=1))
    assert "cut" in reason
    it.check_clean(daemons=0)


def test_full_disk_is_a_row(android):
    it = android(TIMINGS, disk_bytes=1 << 16)
    (reason,) = reasons(it.run.bench(*it.arguments, exit_code=1))
    assert "No space left on device" in reason
    it.check_clean()


def test_device_without_python_is_told_of_the_tool(android):
    it = android(TIMINGS)
    (reason,) = reasons(it.run.bench(it.arguments[0], *it.device, exit_code=1))
    assert "has no python3; measure with TensorFlow Lite's own program instead" in reason
    it.check_clean()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_harness_leaves_nothing_on_the_device(android, number):
    it = android(HANGS)
    process = it.run.start(*it.arguments)
    wait_until(it.runs, "the tool runs")
    process.send_signal(number)
    process.communicate(timeout=60)
    assert it.run.rows() == []
    it.check_clean()
