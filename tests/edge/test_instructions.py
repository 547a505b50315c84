"""Counted instructions in rows: by the kernel, under QEMU, or the reason why not."""

import dataclasses
import json

import pytest
from click.testing import CliRunner

from edge.__main__ import main
from edge.bench import cells, instructions
from edge.bench.instructions import RUNS, count_instructions
from edge.devices import RunnerError
from edge.devices.local import LocalDevice
from edge.emulation.counting import Counted
from edge.emulation.userland import UnavailableError
from edge.results.comparison import compare
from edge.results.row import Instructions
from edge.results.row_files import read_rows
from edge.results.row_json import from_json, to_json
from edge.results.tables import bench_columns, bench_line

REQUEST = {"model_path": "m.tflite", "runtime": "lce", "options": {}, "threads": 1, "seed": 0}
REFUSED = {"status": "failed", "reason": "out of reach"}


class Device:
    """Answers `count` with a document."""

    def __init__(self, answer, kind="local"):
        self.answer, self.kind, self.asked = answer, kind, []

    def run(self, request, seconds):
        self.asked.append(request)
        return self.answer


@pytest.fixture
def qemu(monkeypatch):
    """Has QEMU count these numbers, or fail."""

    def set_up(spent=(), answer=None, error=None):
        def run_counted(command, given, seconds):
            if error is not None:
                raise error
            assert json.loads(given)["marks"] is True
            document = answer or {"status": "ok", "empty_runs": 2, "counts": [0] * RUNS}
            return Counted(0, json.dumps(document).encode(), "", tuple(spent), "qemu 7 -cpu max")

        monkeypatch.setattr(instructions, "run_counted", run_counted)

    return set_up


def test_kernel_is_asked_first(qemu):
    qemu(error=AssertionError("QEMU ran"))
    device = Device({"status": "ok", "counts": [5, 6], "counter": "perf_event"})
    assert count_instructions(device, REQUEST, 1) == Instructions((5, 6), "perf_event")
    assert device.asked == [{**REQUEST, "action": "count", "runs": RUNS}]


def test_qemu_counts_less_what_marks_take(qemu):
    qemu(spent=[11, 10, *range(1010, 1010 + RUNS)])
    found = count_instructions(Device(REFUSED), REQUEST, 1)
    counts = tuple(range(1000, 1000 + RUNS))
    assert found == Instructions(counts, "qemu 7 -cpu max", "out of reach")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"error": UnavailableError("a compiler is missing")}, "nor does QEMU: a compiler is"),
        ({"spent": [1, 1, 100]}, "nor does QEMU: 1 of 5 inferences were counted"),
        ({"spent": []}, "nor does QEMU: 0 of 5 inferences were counted"),
        ({"answer": {"status": "failed", "reason": "no lce"}}, "nor does QEMU: no lce"),
    ],
)
def test_reasons_of_both_are_kept(qemu, options, words):
    qemu(**options)
    found = count_instructions(Device(REFUSED), REQUEST, 1)
    assert found.counts == ()
    assert found.refused.startswith("out of reach; ")
    assert words in found.refused


@pytest.mark.parametrize(
    ("device", "threads", "words"),
    [
        (Device(REFUSED, "ssh"), 1, "out of reach"),
        (Device(REFUSED), 2, "out of reach; QEMU counts one thread"),
    ],
)
def test_qemu_is_for_one_thread_of_this_machine(qemu, device, threads, words):
    qemu(error=AssertionError("QEMU ran"))
    found = count_instructions(device, {**REQUEST, "threads": threads}, 1)
    assert found == Instructions(refused=words)


def test_row_keeps_counts_and_tables_show_the_fewest(make_row):
    row = make_row(instructions=Instructions((1_234_567, 1_234_570), "perf_event"))
    assert from_json(to_json(row)) == row
    assert "instructions" in bench_columns([row, make_row()])
    assert "instructions" not in bench_columns([make_row()])
    assert bench_line(row)["instructions"] == "1,234,567"
    refused = make_row(instructions=Instructions(refused="no"))
    assert bench_line(refused)["instructions"] is None


def counted(row, *counts, counter="perf_event", **changes):
    return dataclasses.replace(row, instructions=Instructions(counts, counter), **changes)


def test_disturbed_rows_compare_by_instructions(make_row):
    old = counted(make_row(), 1000, 1003, status="invalid", reason="loud")
    new = counted(make_row(), 1020, status="invalid", reason="loud")
    (found,) = compare([old], [new])
    assert found.verdict == "not compared"
    assert found.more_instructions == pytest.approx(0.02)


def test_counts_of_two_counters_are_not_compared(make_row):
    old, new = counted(make_row(), 1000), counted(make_row(), 1020, counter="qemu")
    assert compare([old], [new])[0].more_instructions is None


@pytest.mark.slow
@pytest.mark.emulated
def test_qemu_counts_the_same_each_time(float_file):
    request = REQUEST | {"model_path": str(float_file.path)}
    with LocalDevice() as device:
        device.run = lambda *_: REFUSED
        first, second = (count_instructions(device, request, 60) for _ in range(2))
    if not first.counts and "is missing" in first.refused:
        pytest.skip(first.refused)
    assert first.counter.startswith("qemu-x86_64 ")
    # 813,056 products, eight at once; Python and the interpreter come on top.
    assert 813_056 / 8 < min(first.counts) < 813_056 * 4
    assert min(second.counts) == pytest.approx(min(first.counts), rel=1e-3)


def test_command_asks_once_a_cell_and_says_why_nobody_counts(float_file, tmp_path, monkeypatch):
    calls = []

    def refuse(device, request, seconds):
        calls.append(request["runtime"])
        return Instructions(refused="out of reach; nor does QEMU: gcc is missing")

    monkeypatch.setattr(cells, "count_instructions", refuse)
    rows = tmp_path / "rows.jsonl"
    quick = ["--mode", "quick", "--runs", "3", "--seconds", "0.01", "--warmup", "0.01"]
    options = ["--runtime", "litert", "--instructions", "-r", "2", "-o", str(rows)]
    result = CliRunner().invoke(main, ["bench", str(float_file.path), *quick, *options])
    assert result.exit_code == 0, result.output
    assert calls == ["litert"]
    first, second = read_rows(str(rows))
    assert first.instructions.refused.startswith("out of reach")
    assert second.instructions == first.instructions
    assert "note: no instructions of float_mlp on litert, " in result.stderr


def test_command_asks_again_after_a_fault(float_file, quick_plan, monkeypatch):
    answers = [RunnerError("the connection was cut"), Instructions((7,), "perf_event")]

    def count(device, request, seconds):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(cells, "count_instructions", count)
    planned = cells.repeated(cells.plan_cells([float_file.path], ["litert"]), 2)
    with LocalDevice() as device:
        plan = dataclasses.replace(quick_plan, instructions=True)
        first, second = cells.run_cells(planned, device, plan)
    assert first.instructions.refused == "the connection was cut"
    assert second.instructions.counts == (7,)
