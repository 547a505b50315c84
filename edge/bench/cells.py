"""Benchmarks files on setups: one cell, one process, one row."""

import dataclasses
import os
import shlex
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence

from edge.bench.backends import EVERYTHING, RuntimeSetup, default_setups, find_setups
from edge.bench.measurement import Plan
from edge.bench.models import describe
from edge.bench.reference import (
    OUTPUTS_FILE,
    Outputs,
    Reference,
    References,
    against,
    host_references,
    judge,
    read_outputs,
    run_inputs,
    setup_request,
)
from edge.bench.runner_answers import measured_row, spoilt
from edge.bench.samples import Data, read_data
from edge.devices import Device, InterruptedRunError
from edge.devices.local import LocalDevice
from edge.results.row import FAILED, OK, SKIPPED, Host, Model, Row, Run, Setup
from onebit import __version__, provenance
from onebit.cli import say
from onebit.delegate import HINT, find_delegate
from onebit.errors import OnebitError, UsageError

PathLike = str | os.PathLike[str]


@dataclasses.dataclass(frozen=True)
class Cell:
    """What one row measures."""

    model: Model
    setup: RuntimeSetup
    threads: int

    @property
    def setup_label(self) -> str:
        """The setup as people read it: `lce` or `lce, 2 threads`."""
        return self.setup.name + ("" if self.threads == 1 else f", {self.threads} threads")


def plan_cells(
    files: Sequence[PathLike | Model],
    runtimes: Sequence[str] | None = None,
    threads: Sequence[int] = (1,),
    offers: frozenset[str] | None = None,
) -> list[Cell]:
    """Every file on every setup with every number of threads.

    Args:
        files: `.tflite` files, or what `edge.bench.models.describe` said of them.
        runtimes: Names from `edge.bench.backends.SETUPS`; when None,
            those that suit file and device.
        threads: Numbers of threads.
        offers: The runtimes that the device has; this machine is meant when None.

    Raises:
        UsageError: A file is no TensorFlow Lite file, a name is unknown, there is no cell, or the
            delegate is asked for here and not built.
    """
    asked = None if runtimes is None else find_setups(runtimes)
    has_delegate = offers is not None or find_delegate() is not None
    if not has_delegate and any(setup.with_delegate for setup in asked or []):
        raise UsageError("the delegate is not there", hint=HINT)
    if not files or asked == [] or not threads or min(threads) < 1:
        raise UsageError("give at least one file, one runtime and one positive number of threads")
    cells = []
    for file in files:
        model = file if isinstance(file, Model) else describe(file)
        has_lce_ops = bool(model.lce_ops)
        if asked is None and has_lce_ops and not has_delegate:
            say(f"note: {model.file} runs without the delegate; {HINT}")
        setups = asked
        if setups is None:
            setups = default_setups(has_lce_ops, has_delegate, offers or EVERYTHING)
        cells += [Cell(model, s, count) for s in setups for count in dict.fromkeys(threads)]
    return cells


def run_cells(
    cells: Sequence[Cell],
    device: Device,
    plan: Plan,
    command: str | None = None,
    on_start: Callable[[Cell], None] = lambda cell: None,
    data: Data | None = None,
    references: References | None = None,
    run: Run | None = None,
) -> Iterator[Row]:
    """Yields each cell's row as soon as it ends; a cell that fails costs only its own row.

    Args:
        cells: What to measure, in this order.
        device: Where; already entered.
        plan: How much.
        command: Recorded in the rows; the process's own command line when None.
        on_start: Called before each cell.
        data: Samples that each cell also runs.
        references: What the host answered; outputs are compared with those of the first cell that
            ran the same file where the host did not run it.
        run: Shared with other devices; made of `command` when None.

    Raises:
        OnebitError: The device cannot even be probed.
        InterruptedRunError: `device.interrupt` was called.
    """
    run, host = run or describe_run(command), device.probe()
    references = references or References()
    random = dict(references.random)
    for cell in cells:
        on_start(cell)
        row, outputs = _run_cell(cell, device, plan, run, host)
        if outputs is not None and row.parity is not None:
            own = Reference(cell.setup_label, outputs)
            reference = random.setdefault(cell.model.sha256, own)
            if reference is not own:
                row = dataclasses.replace(row, parity=against(row.parity, outputs, reference))
        if data is not None and row.summary is not None:
            row = _evaluate(row, cell, device, plan, data, references.data.get(cell.model.sha256))
        yield row


def benchmark(
    paths: Sequence[PathLike],
    *,
    runtimes: Sequence[str] | None = None,
    threads: Sequence[int] = (1,),
    plan: Plan | None = None,
    data: str | os.PathLike[str] | None = None,
) -> list[Row]:
    """The rows of `.tflite` files on this machine, one for each setup and number of threads.

        rows = edge.benchmark(["model.tflite"], runtimes=["lce", "litert"], threads=[1, 2])

    Args:
        paths: `.tflite` files.
        runtimes: Names such as `lce`, `lce:indirect_bgemm`, `litert`; those that suit each file
            when None.
        threads: Numbers of threads.
        plan: How much to measure; `edge.bench.measurement.plan_for` makes one.
        data: A run folder, card or `.npz` file of labelled samples to run too.

    Raises:
        UsageError: A file is no TensorFlow Lite file or a name is unknown.
        OnebitError: The data are damaged, or this Python cannot run the runner at all.
    """
    plan = plan or Plan()
    samples = None if data is None else read_data(os.fspath(data))
    cells = plan_cells(paths, runtimes, threads)
    references = host_references((cell.model for cell in cells), plan, samples, random=False)
    with LocalDevice() as device:
        return list(run_cells(cells, device, plan, data=samples, references=references))


def unmeasured_row(cell: Cell, run: Run, host: Host, plan: Plan, reason: str) -> Row:
    """A row that failed before there were any figures."""
    setup = Setup(
        name=cell.setup.name,
        runtime=cell.setup.runtime,
        kernel=cell.setup.kernel,
        threads=cell.threads,
        mode=plan.mode,
        affinity=plan.affinity,
        seed=plan.seed,
    )
    return Row(run, host, cell.model, setup, FAILED, reason)


def _run_cell(
    cell: Cell, device: Device, plan: Plan, run: Run, host: Host
) -> tuple[Row, Outputs | None]:
    empty = unmeasured_row(cell, run, host, plan, "nothing was measured")
    setup = empty.setup

    def without_figures(status: str, reason: str) -> tuple[Row, None]:
        return dataclasses.replace(empty, setup=setup, status=status, reason=reason), None

    if cell.model.lce_ops and not cell.setup.runs_lce_ops:
        ops = ", ".join(cell.model.lce_ops)
        return without_figures(
            SKIPPED, f"the file has ops of Larq Compute Engine ({ops}) that {setup.name} lacks"
        )
    try:
        request = {
            "action": "bench",
            "model_path": device.put(cell.model.file),
            **plan.as_request(),
            **setup_request(cell.setup, cell.threads, plan, device),
            "outputs_path": OUTPUTS_FILE,
        }
        if cell.setup.with_delegate:
            setup = dataclasses.replace(setup, delegate=device.delegate().label)
        answer = device.run(request, plan.timeout_seconds)
        if answer["status"] != "ok":
            return without_figures(FAILED, str(answer.get("reason") or "no reason given"))
        row = measured_row(answer, Row(run, host, cell.model, setup, OK))
        return row, read_outputs(device.get(OUTPUTS_FILE))
    except InterruptedRunError:
        raise
    except OnebitError as error:
        return without_figures(FAILED, str(error))
    except (KeyError, TypeError, ValueError, OSError) as error:
        return without_figures(FAILED, f"the runner's answer is incomplete: {error!r}")


def _evaluate(
    row: Row, cell: Cell, device: Device, plan: Plan, data: Data, reference: Reference | None
) -> Row:
    """`row` with how the data did; invalid if they did not run, or their answers are wrong."""
    p50_seconds = row.summary.p50_ns / 1e9 if row.summary else 0.0
    # Twice what the measured latency predicts: a board that runs hot becomes slower.
    seconds = plan.timeout_seconds + 2 * p50_seconds * len(data.inputs)
    try:
        outputs = run_inputs(device, cell.model, cell.setup, cell.threads, plan, data, seconds)
    except InterruptedRunError:
        raise
    except OnebitError as error:
        return spoilt(row, f"the data could not be run: {error}")
    evaluation, wrong = judge(data, outputs, reference)
    row = dataclasses.replace(row, evaluation=evaluation)
    return spoilt(row, wrong) if wrong else row


def describe_run(command: str | None = None) -> Run:
    """A new run; `command` is the process's own command line when None."""
    return Run(
        id=uuid.uuid4().hex[:12],
        timestamp=provenance.utc_now(),
        command=shlex.join(sys.argv) if command is None else command,
        onebit_version=__version__,
        git_commit=provenance.commit(),
    )
