"""Outputs of `benchmark_model`, in the formats that its versions print."""

import dataclasses
from pathlib import Path

import pytest

from edge.bench.benchmark_model import TOOL_BACKENDS, tool_cells, tool_command, tool_row
from edge.bench.cells import unmeasured_row
from edge.bench.measurement import Plan
from edge.devices import Completed, RunnerError
from edge.results.row import Host, Model, Run

OLD = """\
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: EXTERNAL delegate created.
INFO: Explicitly applied EXTERNAL delegate, and the model graph will be completely executed by it.
INFO: Initialized session in 52.687ms.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if \
exceeding 150 seconds.
INFO: count=35 first=19105 curr=13909 min=13585 max=19105 avg=14452.5 std=1240

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if \
exceeding 150 seconds.
INFO: count=70 first=14941 curr=14066 min=13728 max=16145 avg=14290.9 std=452

INFO: Inference timings in us: Init: 52687, First inference: 19105, Warmup (avg): 14452.5, \
Inference (avg): 14290.9
INFO: Memory footprint delta from the start of the tool (MB): init=21.9492 overall=34.5234
"""
NEW = OLD.replace("avg=14290.9 std=452", "avg=14290.9 std=452 p5=13800 median=14200 p95=15100")
SAME = OLD.replace(
    "count=70 first=14941 curr=14066 min=13728 max=16145 avg=14290.9 std=452", "count=70 curr=12"
)
LARGE = OLD.replace("avg=14290.9", "avg=1.42909e+06")


@pytest.fixture
def row():
    """The row of a cell that was not measured, with the delegate."""
    model = Model("net", "net.tflite", "0" * 64, 100, ("LceBconv2d",))
    (cell,) = tool_cells([model], Path("benchmark_model"), [1])
    run = Run("id", "2026-01-01T00:00:00+00:00", "edge bench", "0.1.0")
    row = unmeasured_row(cell, run, Host("phone", kind="adb"), Plan(), "nothing was measured")
    setup = dataclasses.replace(row.setup, delegate="onebit-delegate 0.1.0")
    return dataclasses.replace(row, setup=setup)


def printed(text, code=0):
    return Completed(code, text.encode(), "")


def test_output_becomes_a_row_without_unreported_fields(row):
    found = tool_row(printed(OLD), row)
    assert found.status == "ok"
    assert found.reason is None
    runs = found.aggregates
    assert (runs.runs, runs.mean_ns, runs.min_ns, runs.max_ns, runs.std_ns, runs.p50_ns) == (
        70, 14_290_900, 13_728_000, 16_145_000, 452_000, None,
    )  # fmt: skip
    assert found.cold_start.load_ns == 52_687_000
    assert found.cold_start.first_inference_ns == 19_105_000
    assert found.cold_start.import_ns is None
    assert found.memory.above_baseline_bytes == round(34.5234 * 2**20)
    assert found.memory.baseline_bytes is None
    assert found.summary is None
    assert found.samples_ns == ()
    assert found.parity is None


def test_newer_output_has_the_median(row):
    assert tool_row(printed(NEW), row).aggregates.p50_ns == 14_200_000


def test_equal_and_large_values_are_read(row):
    same = tool_row(printed(SAME), row).aggregates
    assert (same.min_ns, same.max_ns, same.mean_ns, same.std_ns) == (12e3, 12e3, 12e3, 0)
    assert tool_row(printed(LARGE), row).aggregates.mean_ns == 1.42909e9


def test_standard_error_counts_too(row):
    assert tool_row(Completed(0, b"", OLD), row).aggregates.runs == 70


@pytest.mark.parametrize("end", range(0, OLD.index("Inference (avg)") + 10, 40))
def test_output_that_is_cut_is_an_error_although_the_code_is_0(row, end):
    with pytest.raises(RunnerError, match="no timings printed"):
        tool_row(printed(OLD[:end]), row)


def test_error_of_the_program_is_the_reason(row):
    text = "INFO: STARTING!\nERROR: Could not open 'x.tflite'.\nERROR: Benchmarking failed.\n"
    with pytest.raises(RunnerError, match=r"code 1, .* Could not open 'x.tflite'"):
        tool_row(printed(text, 1), row)


def test_delegate_that_was_not_taken_is_an_error(row):
    without = "".join(line for line in OLD.splitlines(True) if "EXTERNAL" not in line)
    with pytest.raises(RunnerError, match="delegate"):
        tool_row(printed(without), row)


def test_scattered_runs_are_invalid(row):
    found = tool_row(printed(OLD.replace("std=452", "std=9000")), row)
    assert found.status == "invalid"
    assert "63% of the mean" in found.reason


def test_backends_follow_the_program_and_the_file():
    stock, lce = Path("android_benchmark_model"), Path("lce_benchmark_model_arm64")
    plain, binary = Model("a", "a", "0", 1), Model("b", "b", "1", 1, ("LceQuantize",))
    names = [cell.backend.name for cell in tool_cells([plain, binary], stock, [1])]
    assert names == ["benchmark_model", "benchmark_model:delegate"]
    names = [cell.backend.name for cell in tool_cells([plain, binary], lce, [1])]
    assert names == [
        "lce_benchmark_model", "lce_benchmark_model", "lce_benchmark_model:indirect_bgemm",
    ]  # fmt: skip


def test_command_carries_plan_delegate_and_the_users_flags_last():
    command = tool_command(
        "/t/tool", "/t/m.tflite", TOOL_BACKENDS["benchmark_model:delegate"], 4,
        Plan(min_runs=20, min_seconds=0.5, warmup_seconds=1, timeout_seconds=60), "/t/d.so",
        ["--num_runs=7"],
    )  # fmt: skip
    assert command == [
        "/t/tool", "--graph=/t/m.tflite", "--num_threads=4", "--num_runs=20", "--min_secs=0.5",
        "--max_secs=60", "--warmup_runs=1", "--warmup_min_secs=1",
        "--external_delegate_path=/t/d.so", "--external_delegate_options=num_threads:4",
        "--num_runs=7",
    ]  # fmt: skip
    options = TOOL_BACKENDS["lce_benchmark_model:indirect_bgemm"]
    assert "--use_indirect_bgemm=true" in tool_command("t", "m", options, 1, Plan(), None)
