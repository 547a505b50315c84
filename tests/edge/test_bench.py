"""Cells on this machine, with runners that work and runners that break in every way."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import edge
from edge.bench import cells as cells_module
from edge.bench.cells import plan_cells, repeated, run_cells
from edge.bench.fleet_run import done_cells
from edge.bench.reference import compare_outputs
from edge.devices import Offer, RunnerError
from edge.devices.local import LocalDevice
from onebit.errors import UsageError

REPOSITORY = Path(edge.__file__).parent.parent


@pytest.fixture
def run_with(tmp_path, quick_plan, float_file):
    """Returns a function that benchmarks with a runner whose `bench` is the given code.

    Only the first cell (lce) meets that code; the probe and the second cell (litert) work.
    """

    def run(code, timeout_seconds=20.0):
        script = tmp_path / "runner.py"
        script.write_text(
            f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
            "import os, time, json\n"
            "from edge.runner import main as runner\n"
            "real = runner.ACTIONS['bench']\n"
            "def bench(request):\n"
            "    if request['runtime'] == 'lce':\n"
            f"        {code}\n"
            "    return real(request)\n"
            "runner.ACTIONS['bench'] = bench\n"
            "sys.exit(runner.main(sys.argv[1:]))\n"
        )
        cells = plan_cells([float_file.path], ["lce", "litert"])
        with LocalDevice([sys.executable, str(script)]) as device:
            plan = dataclasses.replace(quick_plan, timeout_seconds=timeout_seconds)
            return list(run_cells(cells, device, plan))

    return run


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("os.kill(os.getpid(), 9)", "the runner was killed by SIGKILL"),
        ("os.write(2, b'free(): bad\\n'); os.abort()", "killed by SIGABRT: free(): bad"),
        ("os._exit(3)", "ended with code 3 and printed '' instead of a result"),
        ("raise MemoryError('too big')", "out of memory: too big"),
        ("return {'samples_ns': [1, 2]}", "incomplete"),
        ("return {'samples_ns': [], 'status': 'ok'}", "incomplete"),
        ("return {'status': 'splendid'}", "instead of a result"),
    ],
)
def test_broken_runner_costs_only_its_own_row(run_with, code, reason):
    broken, fine = run_with(code)
    assert broken.status == "failed"
    assert reason in broken.reason
    assert "\n" not in broken.reason
    assert broken.summary is None
    assert broken.samples_ns == ()
    assert fine.status in ("ok", "invalid")
    assert fine.summary.runs >= 10


@pytest.mark.parametrize(
    ("runtimes", "hint"), [({"litert"}, "make delegate"), (set(), "pip install ai-edge-litert")]
)
def test_file_that_nothing_runs_is_refused(binary_file, runtimes, hint):
    offer = Offer(frozenset(runtimes), delegate=False)
    with pytest.raises(UsageError, match=f"nothing here runs {binary_file.path}.*{hint}"):
        plan_cells([binary_file.path], offer=offer)


def test_garbage_on_standard_output_is_a_failed_row(run_with):
    script = "[os.write(fd, b'garbage\\n') for fd in range(3, 20) if _is_open(fd)]; os._exit(0)"
    code = f"_is_open = lambda fd: os.path.exists(f'/proc/self/fd/{{fd}}'); {script}"
    broken, _ = run_with(code)
    assert broken.status == "failed"
    assert "printed 'garbage' instead of a result" in broken.reason


def test_hanging_runner_meets_the_time_limit_and_leaves_no_process(run_with, tmp_path):
    pids = tmp_path / "pids"
    code = (
        "import subprocess; child = subprocess.Popen(['sleep', '600']);"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}'); time.sleep(600)"
    )
    start = time.monotonic()
    broken, fine = run_with(code, timeout_seconds=4.0)
    assert time.monotonic() - start < 30
    assert broken.status == "failed"
    assert broken.reason == "no result within the time limit of 4 s"
    assert fine.status != "failed"
    for pid in map(int, pids.read_text().split()):
        assert ended(pid)


def ended(pid):
    """Whether a process is gone, or a zombie that waits for its parent."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_interrupt_ends_the_runner_and_removes_the_folder(tmp_path, float_file):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "edge", "bench", str(float_file.path), "--seconds", "600"]
    process = subprocess.Popen(
        [*command, "--runs", "20000", "--warmup", "500"],
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    runner_pid = wait_for_runner(process.pid)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr.decode().strip().splitlines()[-1] == "interrupted"
    assert ended(runner_pid)
    assert list(tmp_path.iterdir()) == []


def descendants(parent):
    """The ids of the processes that a process has started, and those that these have."""
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                yield int(child)
                yield from descendants(child)


def wait_for_runner(parent, timeout_seconds=30):
    """The process id of the runner that measures, once it has been at it for a moment."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        for child in descendants(parent):
            # The probe loads no interpreter: this is the cell's process.
            with contextlib.suppress(OSError):
                if "interpreter_wrapper" in Path(f"/proc/{child}/maps").read_text():
                    return child
        time.sleep(0.05)
    raise AssertionError("no runner appeared")


def test_benchmark_gives_a_row_for_each_file_backend_and_thread_count(
    float_file, binary_file, quick_plan
):
    rows = edge.benchmark(
        [float_file.path, binary_file.path],
        runtimes=["lce", "lce:xnnpack", "litert"],
        threads=[1, 2],
        plan=dataclasses.replace(quick_plan, seed=5),
    )
    cells = [(row.model.name, row.setup.name, row.setup.threads) for row in rows]
    assert cells == [
        (model, setup, threads)
        for model in ("float_mlp", "binary_net")
        for setup in ("lce", "lce:xnnpack", "litert")
        for threads in (1, 2)
    ]
    assert len({row.run.id for row in rows}) == 1
    for row in rows:
        if row.model.name == "binary_net" and row.setup.runtime == "litert":
            assert row.status == "skipped"
            assert "LceBconv2d" in row.reason
            continue
        assert row.status in ("ok", "invalid")
        assert row.setup.seed == 5
        assert row.setup.runtime_version
        assert row.summary.runs == len(row.samples_ns) >= 10
        assert row.host.cores == os.cpu_count()
        assert row.parity.inputs == quick_plan.parity_inputs
        first = row.setup.name == "lce" and row.setup.threads == 1
        assert row.parity.reference == (None if first else "lce")
        if not first:
            # Sums of up to 1024 float32 products of magnitude below 1: 1024 * 2^-24 = 6e-5.
            assert row.parity.max_abs_difference < 6e-5
            assert row.parity.argmax_agreement == 1.0
    same_kernels = [row.parity.output_sha256 for row in rows[:2]]
    assert same_kernels[0] == same_kernels[1]


@pytest.mark.parametrize("built", [True, False])
def test_default_backends_suit_the_file(float_file, binary_file, built, capfd):
    offer = Offer(frozenset({"lce", "litert"}), delegate=built)
    planned = plan_cells([float_file.path, binary_file.path], offer=offer)
    assert [(c.model.name, c.backend.name) for c in planned] == [
        ("float_mlp", "lce"),
        ("float_mlp", "litert"),
        ("binary_net", "lce"),
        ("binary_net", "lce:indirect_bgemm"),
        *([("binary_net", "litert:delegate")] if built else []),
    ]
    assert ("make delegate" in capfd.readouterr().err) is not built


def test_delegate_that_is_not_built_is_refused_with_a_hint(binary_file):
    offer = Offer(frozenset({"litert"}), delegate=False)
    with pytest.raises(UsageError, match="make delegate"):
        plan_cells([binary_file.path], ["litert:delegate"], offer=offer)


@pytest.mark.parametrize(("runtimes", "threads"), [([], [1]), (["lce"], []), (["lce"], [0])])
def test_nothing_to_measure_is_refused(float_file, runtimes, threads):
    with pytest.raises(UsageError, match="at least one"):
        plan_cells([float_file.path], runtimes, threads)


def test_machine_that_cannot_run_the_runner_says_so(float_file, quick_plan):
    cells = plan_cells([float_file.path], ["lce"])
    with LocalDevice(["false"]) as device, pytest.raises(RunnerError, match="ended with code 1"):
        list(run_cells(cells, device, quick_plan))


def test_local_device_removes_its_folder():
    with LocalDevice() as device:
        folder = Path(device.facts["folder"])
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
    with pytest.raises(RuntimeError):
        device.get("x")


def outputs(*values):
    return [np.array(values, np.float32).reshape(len(values), 1, -1)]


def test_comparison_is_the_largest_difference_and_the_share_of_equal_classes():
    difference, agreement = compare_outputs(
        outputs([1, 2, 3], [5, 4, 3]), outputs([1, 2, 3.5], [4, 5, 3])
    )
    assert difference == 1.0
    assert agreement == 0.5


def test_comparison_knows_when_there_is_nothing_to_compare():
    assert compare_outputs(outputs([1, 2]), outputs([1, 2, 3])) == (None, None)
    assert compare_outputs(outputs([1, np.nan]), outputs([1, 2]))[0] is None
    assert compare_outputs(outputs([1], [2]), outputs([1], [3])) == (1.0, None)
    two = outputs([1, 2]) * 2
    assert compare_outputs(two, two) == (0.0, None)
    # Unsigned bytes must not wrap around.
    bytes_ = [np.array([[[3]]], np.uint8)], [np.array([[[250]]], np.uint8)]
    assert compare_outputs(*bytes_)[0] == 247.0


def test_repetitions_take_turns(float_file):
    cells = repeated(plan_cells([float_file.path], ["lce", "litert"]), 2)
    assert [(cell.backend.name, cell.repetition) for cell in cells] == [
        ("lce", 1), ("litert", 1), ("lce", 2), ("litert", 2)
    ]  # fmt: skip


def test_done_cells_are_counted(make_row, failed):
    counts = done_cells([make_row(), make_row(), failed(), make_row(threads=2)])
    assert sorted(counts.values()) == [1, 2]


@pytest.mark.parametrize(
    ("retries", "emulated", "measured", "status"),
    [
        (0, False, 1, "invalid"),
        (1, False, 2, "invalid"),
        (5, False, 3, "ok"),
        (5, True, 1, "invalid"),
    ],
)
def test_invalid_rows_are_measured_again(
    monkeypatch, make_row, float_file, quick_plan, retries, emulated, measured, status
):
    disturbed = dataclasses.replace(make_row(), status="invalid", reason="loud")
    host = dataclasses.replace(disturbed.host, emulated=emulated)
    answers = iter([disturbed, disturbed, make_row()])
    asked = []

    def run_cell(cell, *_):
        asked.append(cell)
        return next(answers), None

    class Device:
        def probe(self):
            return host

    monkeypatch.setattr(cells_module, "_run_cell", run_cell)
    cells = plan_cells([float_file.path], ["lce"])
    (row,) = run_cells(cells, Device(), quick_plan, retries=retries)
    assert (len(asked), row.status) == (measured, status)
