"""Benchmarks files on backends: one cell, one process, one row."""

import dataclasses
import os
import shlex
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge.bench.backends import Backend, default_backends, find_backends
from edge.bench.instructions import count_instructions
from edge.bench.measurement import Plan
from edge.bench.models import describe
from edge.bench.reference import (
    OUTPUTS_FILE,
    Outputs,
    Reference,
    References,
    backend_request,
    compared_parity,
    evaluate_outputs,
    host_references,
    read_outputs,
    run_inputs,
)
from edge.bench.runner_answers import marked_invalid, measured_row
from edge.bench.samples import EvalSamples, doubts, read_samples
from edge.bench.signature import read_signature
from edge.devices import InterruptedRunError, Offer, PythonDevice
from edge.devices.local import LocalDevice, local_offer
from edge.results.cell_key import CellKey
from edge.results.row import (
    FAILED,
    INVALID,
    OK,
    SKIPPED,
    Host,
    Instructions,
    Model,
    Row,
    Run,
    Setup,
)
from onebit import __version__, provenance
from onebit.console import say
from onebit.delegate import HINT
from onebit.errors import OnebitError, UsageError
from onebit.secrets import without_passwords

PathLike = str | os.PathLike[str]


@dataclasses.dataclass(frozen=True)
class Cell:
    """The subject of one row: a file on a backend with a number of threads.

    `repetition` counts from 1 how often the call measures it.
    """

    model: Model
    backend: Backend
    threads: int
    repetition: int = 1

    def key(self, device: str, plan: Plan) -> CellKey:
        """The cell's identity on a device."""
        file, backend = self.model.sha256, self.backend.name
        return CellKey(device, file, backend, self.threads, plan.affinity, plan.mode)

    @property
    def label(self) -> str:
        """The backend with its threads: `lce` or `lce, 2 threads`."""
        return CellKey("", "", self.backend.name, self.threads, None, None).label


def plan_cells(
    files: Sequence[PathLike | Model],
    runtimes: Sequence[str] | None = None,
    threads: Sequence[int] = (1,),
    offer: Offer | None = None,
) -> list[Cell]:
    """Every file on every backend with every number of threads.

    Args:
        files: `.tflite` files, or their descriptions by `edge.bench.models.describe`.
        runtimes: Names from `edge.bench.backends.BACKENDS`; when None,
            those that suit file and device.
        threads: Numbers of threads.
        offer: The backends that the device has; those of this machine when None.

    Raises:
        UsageError: A file is not a TensorFlow Lite file, a name is unknown, nothing runs a file, or
            the delegate is asked for and there is none.
        OnebitError: A file is truncated or damaged.
    """
    for name, value in (("files", files), ("runtimes", runtimes)):
        if isinstance(value, str | os.PathLike):
            raise UsageError(f"{name} must be a list, not {os.fspath(value)!r}")
    asked = None if runtimes is None else find_backends(runtimes)
    offer = offer or local_offer()
    if not offer.delegate and any(backend.with_delegate for backend in asked or []):
        raise UsageError("the delegate is not there", hint=HINT)
    counts = list(dict.fromkeys(threads))
    if not files or asked == [] or not counts or min(counts) < 1:
        raise UsageError("give at least one file, one runtime and one positive number of threads")
    cells = []
    for file in files:
        model = file if isinstance(file, Model) else describe(file)
        has_lce_ops = bool(model.lce_ops)
        backends = asked
        if backends is None:
            backends = default_backends(has_lce_ops, offer.delegate, offer.runtimes)
            if not backends:
                hint = HINT if offer.runtimes else "pip install ai-edge-litert"
                raise UsageError(f"nothing here runs {model.file}", hint=hint)
            if has_lce_ops and not offer.delegate:
                say(f"note: {model.file} runs without the delegate; {HINT}")
        cells += [Cell(model, backend, count) for backend in backends for count in counts]
    return cells


def repeated(cells: Sequence[Cell], repetitions: int) -> list[Cell]:
    """The cells `repetitions` times, in turn: A B A B, so that all meet the same disturbances."""
    return [
        dataclasses.replace(cell, repetition=repetition)
        for repetition in range(1, repetitions + 1)
        for cell in cells
    ]


def check_affinity(affinity: str, host: Host) -> None:
    """Refuses cores that a machine does not have, before anything is measured on it.

    Raises:
        UsageError: The machine has no big and little cores, or no core of that number.
    """
    named = f"affinity {affinity}: {host.device}"
    if affinity in ("big", "little"):
        powers = {(cluster.capacity, cluster.max_mhz) for cluster in host.clusters}
        if len(powers) < 2:
            raise UsageError(
                f"{named} has no big and little cores", hint="name cores by number, such as 0,1"
            )
        return
    known = {cpu for cluster in host.clusters for cpu in cluster.cpus}
    missing = sorted({int(cpu) for cpu in affinity.split(",")} - known)
    if known and missing:
        raise UsageError(
            f"{named} has no core {', '.join(map(str, missing))}",
            hint=f"its cores are {', '.join(map(str, sorted(known)))}",
        )


def check_samples(samples: EvalSamples, models: Sequence[Model]) -> None:
    """Refuses samples that do not fit a file, and warns of doubtful ones, before any cell starts.

    Raises:
        OnebitError: An input, a shape, a type or a label does not fit.
    """
    for model in models:
        for sentence in doubts(samples, model.file, read_signature(Path(model.file))):
            say(f"warning: {sentence}")


def run_cells(
    cells: Sequence[Cell],
    device: PythonDevice,
    plan: Plan,
    command: str | None = None,
    on_start: Callable[[Cell], None] = lambda cell: None,
    samples: EvalSamples | None = None,
    references: References | None = None,
    run: Run | None = None,
    retries: int = 0,
) -> Iterator[Row]:
    """Yields each cell's row as soon as it ends; a cell that fails costs only its own row.

    Args:
        cells: What to measure, in this order.
        device: Where; already entered.
        plan: How much.
        command: Recorded in the rows; the process's own command line when None.
        on_start: Called before each cell.
        samples: Samples that each cell also runs.
        references: The host's outputs; where the host did not run a file, outputs are compared with
            those of the first cell that ran it.
        run: Shared with other devices; made of `command` when None.
        retries: How often a cell is measured again whose row is invalid; the last row counts.

    Raises:
        OnebitError: The device cannot even be probed.
        InterruptedRunError: `device.interrupt` was called.
    """
    run, host = run or describe_run(command), device.probe()
    references = references or References()
    random = dict(references.random)
    refused: dict[CellKey, Instructions] = {}
    for cell in cells:
        on_start(cell)
        row, outputs = _run_cell(cell, device, plan, run, host)
        for _ in range(0 if host.emulated else retries):
            if row.status != INVALID:
                break
            say(f"measuring {cell.model.name} on {cell.label} again: {row.reason}")
            row, outputs = _run_cell(cell, device, plan, run, host)
        if outputs is not None and row.parity is not None:
            own = Reference(cell.label, outputs)
            reference = random.setdefault(cell.model.sha256, own)
            if reference is not own:
                parity = compared_parity(row.parity, outputs, reference)
                row = dataclasses.replace(row, parity=parity)
        if samples is not None and row.summary is not None:
            known = references.data.get(cell.model.sha256)
            row = _evaluate(row, cell, device, plan, samples, known)
        if plan.instructions and row.summary is not None:
            found = _instructions(cell, device, plan, refused)
            row = dataclasses.replace(row, instructions=found)
        yield row


def benchmark(
    paths: Sequence[PathLike],
    *,
    runtimes: Sequence[str] | None = None,
    threads: Sequence[int] = (1,),
    plan: Plan | None = None,
    data: str | os.PathLike[str] | None = None,
) -> list[Row]:
    """The rows of `.tflite` files on this machine, one for each backend and number of threads.

        rows = edge.benchmark(["model.tflite"], runtimes=["lce", "litert"], threads=[1, 2])

    Args:
        paths: `.tflite` files.
        runtimes: Names such as `lce`, `lce:indirect_bgemm`, `litert`; those that suit each file
            when None.
        threads: Numbers of threads.
        plan: How much to measure; `edge.plan_for` makes one.
        data: A run folder, card or `.npz` file of labelled samples to run too.

    Raises:
        UsageError: A file is not a TensorFlow Lite file, a name is unknown, or the machine lacks
            the plan's cores.
        OnebitError: The data are damaged or do not fit a file, or this Python cannot run the runner
            at all.
    """
    plan = plan or Plan()
    samples = None if data is None else read_samples(os.fspath(data))
    cells = plan_cells(paths, runtimes, threads)
    models = list({cell.model.sha256: cell.model for cell in cells}.values())
    if samples is not None:
        check_samples(samples, models)
    references = host_references(models, plan, samples, random=False)
    with LocalDevice() as device:
        device.require()
        if plan.affinity is not None:
            check_affinity(plan.affinity, device.probe())
        return list(run_cells(cells, device, plan, samples=samples, references=references))


def unmeasured_row(cell: Cell, run: Run, host: Host, plan: Plan, reason: str) -> Row:
    """A row that failed before there were any figures."""
    setup = Setup(
        name=cell.backend.name,
        runtime=cell.backend.runtime,
        kernel=cell.backend.kernel,
        threads=cell.threads,
        mode=plan.mode,
        affinity=plan.affinity,
        seed=plan.seed,
        repetition=cell.repetition,
    )
    return Row(run, host, cell.model, setup, FAILED, without_passwords(reason))


def _run_cell(
    cell: Cell, device: PythonDevice, plan: Plan, run: Run, host: Host
) -> tuple[Row, Outputs | None]:
    empty = unmeasured_row(cell, run, host, plan, "nothing was measured")
    setup = empty.setup

    def without_figures(status: str, reason: str) -> tuple[Row, None]:
        masked = without_passwords(reason)
        return dataclasses.replace(empty, setup=setup, status=status, reason=masked), None

    if cell.model.lce_ops and not cell.backend.runs_lce_ops:
        ops = ", ".join(cell.model.lce_ops)
        return without_figures(
            SKIPPED, f"the file has ops of Larq Compute Engine ({ops}) that {setup.name} lacks"
        )
    try:
        request = {
            "action": "bench",
            "model_path": device.put(cell.model.file),
            **plan.as_request(),
            **backend_request(cell.backend, cell.threads, plan, device),
            "outputs_path": OUTPUTS_FILE,
        }
        if cell.backend.with_delegate:
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
    except KeyError as error:
        return without_figures(FAILED, f"the runner's answer is incomplete: no {error.args[0]}")
    except (TypeError, ValueError, OSError) as error:
        return without_figures(FAILED, f"the runner's answer is incomplete: {error}")


def _instructions(
    cell: Cell, device: PythonDevice, plan: Plan, refused: dict[CellKey, Instructions]
) -> Instructions:
    """Those of the cell's inferences, or the reason why there are none; refusals are noted."""
    # What the kernel refuses stays so, and an emulator's numbers are the same each time.
    key = cell.key(device.name, plan)
    if key in refused:
        return refused[key]
    try:
        request = {
            "model_path": device.put(cell.model.file),
            "seed": plan.seed,
            **backend_request(cell.backend, cell.threads, plan, device),
        }
        found = count_instructions(device, request, plan.timeout_seconds)
    except InterruptedRunError:
        raise
    except OnebitError as error:
        return Instructions(refused=without_passwords(str(error)))
    if found.refused is not None:
        refused[key] = found
    return found


def _evaluate(
    row: Row,
    cell: Cell,
    device: PythonDevice,
    plan: Plan,
    samples: EvalSamples,
    reference: Reference | None,
) -> Row:
    """`row` with the results on the samples; invalid if they did not run or are wrong."""
    p50_seconds = row.summary.p50_ns / 1e9 if row.summary else 0.0
    # Twice the time that follows from the measured latency: a board that runs hot becomes slower.
    seconds = plan.timeout_seconds + 2 * p50_seconds * len(samples)
    try:
        outputs = run_inputs(device, cell.model, cell.backend, cell.threads, plan, samples, seconds)
    except InterruptedRunError:
        raise
    except OnebitError as error:
        return marked_invalid(row, f"the data could not be run: {error}")
    evaluation, wrong = evaluate_outputs(samples, outputs, reference)
    row = dataclasses.replace(row, evaluation=evaluation)
    return marked_invalid(row, wrong) if wrong else row


def describe_run(command: str | None = None) -> Run:
    """A new run; `command` is the process's own command line when None."""
    return Run(
        id=uuid.uuid4().hex[:12],
        timestamp=provenance.utc_now(),
        command=without_passwords(shlex.join(sys.argv) if command is None else command),
        onebit_version=__version__,
        git_commit=provenance.commit(),
    )
