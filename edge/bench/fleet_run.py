"""One call of the benchmark on any number of devices, which run in parallel."""

import dataclasses
import queue
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from edge.bench.benchmark_model import run_tool_cells, tool_cells
from edge.bench.cells import (
    Cell,
    check_affinity,
    describe_run,
    plan_cells,
    repeated,
    run_cells,
    unmeasured_row,
)
from edge.bench.measurement import Plan
from edge.bench.reference import References
from edge.bench.samples import EvalSamples
from edge.devices import InterruptedRunError, Offer, ProgramDevice, PythonDevice
from edge.devices.fleet_file import Entry
from edge.results.cell_key import CellKey
from edge.results.row import FAILED, Host, Model, Row, Run
from onebit.errors import OnebitError
from onebit.interrupts import as_by_ctrl_c

POLL_SECONDS = 0.5
STOP_SECONDS = 40

UNREACHED = Offer(frozenset({"litert"}), delegate=True)
"""The backends that are planned, and fail, on a device that could not be asked."""


@dataclasses.dataclass(frozen=True)
class Job:
    """The work, on every device alike.

    Attributes:
        models: The files.
        runtimes: Names of `edge.bench.backends.BACKENDS`; those that suit file and device when
            None.
        threads: Numbers of threads, for devices without their own.
        plan: How much, with the affinity for devices without their own.
        samples: Samples that each cell also runs.
        references: The host's outputs.
        done: How often cells are measured already.
        repetitions: How often each is to be measured.
        retries: How often a cell whose row is invalid is measured again, by the runner.
        install: Whether to install what a device lacks before anything is measured there.
    """

    models: Sequence[Model]
    runtimes: Sequence[str] | None
    threads: Sequence[int]
    plan: Plan
    samples: EvalSamples | None = None
    references: References | None = None
    done: Mapping[CellKey, int] = dataclasses.field(default_factory=dict)
    install: bool = False
    repetitions: int = 1
    retries: int = 0


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened on a device.

    One of the others is set: the row that ended, the cell that began, or how many there will be.
    """

    device: str
    row: Row | None = None
    cell: Cell | None = None
    cells: int | None = None


def done_cells(results: Sequence[Row]) -> Counter[CellKey]:
    """How often each cell was measured and did not fail."""
    return Counter(CellKey.of(row) for row in results if row.status != FAILED)


def run_fleet(entries: Sequence[Entry], job: Job, command: str | None = None) -> Iterator[Event]:
    """Measures on all devices at once, and yields events, rows in the order they end.

    A device that fails costs only its own rows: each of its cells is a row that says why. When the
    caller stops, by Ctrl-C or otherwise, every device is cleaned up first.

    Args:
        entries: The devices.
        job: What to do.
        command: Recorded in the rows.
    """
    events: queue.Queue[Event | BaseException | None] = queue.Queue()
    run = describe_run(command)
    plans = [_plan_of(entry, job) for entry in entries]
    ways = [
        _WithRunner(entry, job, plan, run)
        if entry.tool is None
        else _WithTool(entry, entry.tool, job, plan, run)
        for entry, plan in zip(entries, plans, strict=True)
    ]

    def work(way: _WithRunner | _WithTool, plan: Plan) -> None:
        try:
            _measure(way, plan, job, run, events.put)
        except InterruptedRunError:
            pass
        except BaseException as error:  # a bug in here must not look like a device that is done
            events.put(error)
        finally:
            events.put(None)

    threads = [
        threading.Thread(target=work, args=pair, daemon=True, name=pair[0].device.name)
        for pair in zip(ways, plans, strict=True)
    ]
    # So that devices are cleaned up.
    with as_by_ctrl_c(signal.SIGTERM, signal.SIGHUP):
        try:
            for thread in threads:
                thread.start()
            running = len(threads)
            while running:
                try:
                    event = events.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    continue
                if event is None:
                    running -= 1
                elif isinstance(event, BaseException):
                    raise event
                else:
                    yield event
        finally:
            for way in ways:
                way.device.interrupt()
            for thread in threads:
                if thread.ident is not None:
                    thread.join(STOP_SECONDS)


class _WithRunner:
    """Measures on a device with the runner."""

    def __init__(self, entry: Entry, job: Job, plan: Plan, run: Run) -> None:
        self.device: PythonDevice = entry.python_device()
        self._job, self._plan, self._run = job, plan, run
        self._threads = entry.threads or job.threads

    def prepare(self) -> Offer:
        """Checks the device, which is entered, before any cell starts; returns its backends."""
        if self._job.install:
            self.device.install()
        self.device.require()
        if self._plan.affinity is not None:
            check_affinity(self._plan.affinity, self.device.probe())
        return self.device.offers()

    def cells(self, offer: Offer) -> list[Cell]:
        """The cells on a device with these backends."""
        return plan_cells(self._job.models, self._job.runtimes, self._threads, offer)

    def rows(self, cells: Sequence[Cell], on_start: Callable[[Cell], None]) -> Iterator[Row]:
        """The rows of the cells, one by one."""
        return run_cells(
            cells, self.device, self._plan, on_start=on_start, samples=self._job.samples,
            references=self._job.references, run=self._run, retries=self._job.retries,
        )  # fmt: skip


class _WithTool:
    """Measures on a device with a program such as `benchmark_model`."""

    def __init__(self, entry: Entry, tool: Path, job: Job, plan: Plan, run: Run) -> None:
        self.device: ProgramDevice = entry.program_device()
        self._tool, self._flags = tool, entry.options
        self._job, self._plan, self._run = job, plan, run
        self._threads = entry.threads or job.threads

    def prepare(self) -> Offer:
        """Nothing is needed on the device."""
        return UNREACHED

    def cells(self, offer: Offer) -> list[Cell]:
        """The cells of the program."""
        return tool_cells(self._job.models, self._tool, self._threads)

    def rows(self, cells: Sequence[Cell], on_start: Callable[[Cell], None]) -> Iterator[Row]:
        """The rows of the cells, one by one."""
        return run_tool_cells(
            cells, self.device, self._plan, self._tool, self._flags, self._run, on_start
        )


def _plan_of(entry: Entry, job: Job) -> Plan:
    """The job's plan with the device's own affinity."""
    if entry.affinity is None:
        return job.plan
    return dataclasses.replace(job.plan, affinity=entry.affinity)


def _measure(
    way: _WithRunner | _WithTool, plan: Plan, job: Job, run: Run, emit: Callable[[Event], None]
) -> None:
    """Emits the row of every cell that is not done; when the device fails, why it did."""
    device, cells = way.device, None
    host = Host(device=device.name, kind=device.kind)

    def open_cells(offer: Offer) -> list[Cell]:
        cells = [
            cell
            for cell in repeated(way.cells(offer), job.repetitions)
            if cell.repetition > job.done.get(cell.key(device.name, plan), 0)
        ]
        emit(Event(device.name, cells=len(cells)))
        return cells

    try:
        with device:
            cells = open_cells(way.prepare())
            if not cells:
                return
            for row in way.rows(list(cells), lambda cell: emit(Event(device.name, cell=cell))):
                cells, host = cells[1:], row.host
                emit(Event(device.name, row=row))
    except InterruptedRunError:
        raise
    except OnebitError as error:
        for cell in open_cells(UNREACHED) if cells is None else cells:
            emit(Event(device.name, row=unmeasured_row(cell, run, host, plan, str(error))))
