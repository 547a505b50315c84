"""TensorFlow Lite's `benchmark_model`, and LCE's build of it, for devices without Python.

The program prints counts, means and extremes of its latencies, in whole microseconds, and no
individual samples; the row's other fields are None. Newer versions add the median. Sources: the
README of tensorflow/lite/tools/benchmark and `benchmark_model.cc`, TensorFlow 2.15 to 2.19.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge.bench import measurement
from edge.bench.backends import Backend
from edge.bench.cells import Cell, unmeasured_row
from edge.bench.measurement import Plan
from edge.devices import Completed, InterruptedRunError, ProgramDevice, RunnerError
from edge.devices.channel import last_line
from edge.results.row import INVALID, OK, Aggregates, ColdStart, Memory, Model, Row, Run
from onebit.errors import OnebitError

STOCK, LCE = "benchmark_model", "lce_benchmark_model"
MEGABYTE = 1 << 20

TOOL_BACKENDS = {
    backend.name: backend
    for backend in (
        Backend(STOCK, STOCK, "xnnpack", "TensorFlow Lite's own program", False),
        Backend(
            f"{STOCK}:delegate", STOCK, "delegate", "the same with Onebit's delegate", True,
            with_delegate=True,
        ),
        Backend(LCE, LCE, "default", "Larq Compute Engine's own program", True),
        Backend(
            f"{LCE}:indirect_bgemm", LCE, "indirect_bgemm",
            "the same with a table of pointers for LceBconv2d", True,
            {"use_indirect_bgemm": True},
        ),
    )
}  # fmt: skip
"""The backends of tools; none of them has a name of `--runtime`, which is for the runner."""

_NUMBER = r"([0-9.eE+-]+)"
_COUNTED = re.compile(rf"\bcount=(\d+)((?: \w+={_NUMBER})+)")
_VALUE = re.compile(rf"(\w+)={_NUMBER}")
_TIMINGS = re.compile(
    rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, "
    rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): {_NUMBER}"
)
_FOOTPRINT = re.compile(
    rf"Memory footprint delta from the start of the tool \(MB\): init={_NUMBER} overall={_NUMBER}"
)
_DELEGATED = re.compile(r"Explicitly applied EXTERNAL delegate|EXTERNAL delegate created", re.I)


def tool_backends(tool: Path, has_lce_ops: bool) -> list[Backend]:
    """The backends of a tool: LCE's, or the stock one, with the delegate for LCE's ops.

    Args:
        tool: The program; LCE's is recognised by its name.
        has_lce_ops: Whether the file has ops of Larq Compute Engine.
    """
    if LCE in tool.name:
        names = [LCE, f"{LCE}:indirect_bgemm"] if has_lce_ops else [LCE]
    else:
        names = [f"{STOCK}:delegate" if has_lce_ops else STOCK]
    return [TOOL_BACKENDS[name] for name in names]


def tool_cells(models: Sequence[Model], tool: Path, threads: Sequence[int]) -> list[Cell]:
    """Every file on every backend of the tool with every number of threads."""
    return [
        Cell(model, backend, count)
        for model in models
        for backend in tool_backends(tool, bool(model.lce_ops))
        for count in dict.fromkeys(threads)
    ]


def tool_command(
    program: str,
    model: str,
    backend: Backend,
    threads: int,
    plan: Plan,
    library: str | None,
    flags: Sequence[str] = (),
) -> list[str]:
    """The command line that measures one cell.

    Args:
        program: Its path on the device.
        model: The file's path on the device.
        backend: One of `tool_backends`.
        threads: Their number.
        plan: How much.
        library: The delegate's path on the device, for backends with it.
        flags: The user's own, behind these, so that they win.
    """
    command = [
        program,
        f"--graph={model}",
        f"--num_threads={threads}",
        f"--num_runs={plan.min_runs}",
        f"--min_secs={plan.min_seconds:g}",
        f"--max_secs={max(plan.timeout_seconds, plan.min_seconds):g}",
        "--warmup_runs=1",
        f"--warmup_min_secs={plan.warmup_seconds:g}",
        *(f"--{option}={str(value).lower()}" for option, value in backend.options.items()),
    ]
    if library is not None:
        command += [
            f"--external_delegate_path={library}",
            f"--external_delegate_options=num_threads:{threads}",
        ]
    return [*command, *flags]


def tool_row(done: Completed, row: Row) -> Row:
    """`row` with the figures that the program printed.

    It is invalid where the runs scattered too much; no other check is possible without samples.

    Raises:
        RunnerError: It failed, or its output is not whole: the last lines count, not the exit code.
    """
    text = done.output.decode("utf-8", "replace") + "\n" + done.errors
    timings = _TIMINGS.search(text)
    # The first such line is the warm-up's.
    counted = list(_COUNTED.finditer(text, 0, timings.start() if timings else len(text)))
    if timings is None or len(counted) < 2:
        lines = text.splitlines()
        why = next((line for line in lines if "ERROR" in line), last_line(text)).strip()
        raise RunnerError(f"the program exited with code {done.code}, no timings printed: {why}")
    if row.setup.delegate is not None and not _DELEGATED.search(text):
        raise RunnerError("the program did not report that it applied the delegate")
    runs = aggregates(counted[-1])
    footprint = _FOOTPRINT.search(text)
    reason = None
    if row.host.emulated:
        reason = measurement.EMULATED
    elif runs.std_ns > measurement.MAX_SPREAD * runs.mean_ns:
        reason = f"the standard deviation was {runs.std_ns / runs.mean_ns:.0%} of the mean"
    return dataclasses.replace(
        row,
        status=INVALID if reason else OK,
        reason=reason,
        cold_start=ColdStart(
            import_ns=None,
            load_ns=round(float(timings[1]) * 1e3),
            first_inference_ns=round(float(timings[2]) * 1e3),
        ),
        aggregates=runs,
        memory=Memory(above_baseline_bytes=round(float(footprint[2]) * MEGABYTE))
        if footprint
        else None,
    )


def aggregates(counted: re.Match[str]) -> Aggregates:
    """The line `count=70 first=14941 … std=452 p5=… median=… p95=…`, in nanoseconds.

    With one run, or equal ones, the program prints `count=5 curr=12` and leaves the rest out.

    Raises:
        RunnerError: A value is missing.
    """
    values = {name: float(value) * 1e3 for name, value in _VALUE.findall(counted[2])}
    if set(values) == {"curr"}:
        values = {"min": values["curr"], "max": values["curr"], "avg": values["curr"], "std": 0.0}
    missing = {"min", "max", "avg", "std"} - set(values)
    if missing:
        raise RunnerError(f"the program's output lacks {', '.join(sorted(missing))}")
    return Aggregates(
        runs=int(counted[1]),
        mean_ns=values["avg"],
        min_ns=values["min"],
        max_ns=values["max"],
        std_ns=values["std"],
        p50_ns=values.get("median"),
    )


def run_tool_cells(
    cells: Sequence[Cell],
    device: ProgramDevice,
    plan: Plan,
    tool: Path,
    flags: Sequence[str],
    run: Run,
    on_start: Callable[[Cell], None] = lambda cell: None,
) -> Iterator[Row]:
    """Yields each cell's row as soon as it ends, as `edge.bench.run_cells` does for the runner.

    Args:
        cells: With backends of `tool_backends`.
        device: Where; already entered.
        plan: How much.
        tool: The program, still here.
        flags: The user's own.
        run: Recorded in the rows.
        on_start: Called before each cell.

    Raises:
        InterruptedRunError: `device.interrupt` was called.
    """
    host = device.probe()
    for cell in cells:
        on_start(cell)
        row = unmeasured_row(cell, run, host, plan, "nothing was measured")
        library = None
        try:
            program, model = device.put(tool), device.put(cell.model.file)
            setup = dataclasses.replace(row.setup, runtime_version=tool.name)
            if cell.backend.with_delegate:
                delegate = device.delegate()
                library = device.put(delegate.library)
                setup = dataclasses.replace(setup, delegate=delegate.label)
            row = dataclasses.replace(row, setup=setup)
            command = tool_command(program, model, cell.backend, cell.threads, plan, library, flags)
            yield tool_row(device.execute(command, plan.timeout_seconds), row)
        except InterruptedRunError:
            raise
        except OnebitError as error:
            yield dataclasses.replace(row, reason=str(error))
