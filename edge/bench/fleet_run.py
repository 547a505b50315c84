"""One call of the benchmark on any number of devices, which run in parallel."""

import contextlib
import dataclasses
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence

from edge.bench.benchmark_model import run_tool_cells, tool_cells
from edge.bench.cells import Cell, describe_run, plan_cells, run_cells, unmeasured_row
from edge.bench.measurement import Plan
from edge.bench.reference import References
from edge.bench.samples import Data
from edge.devices import Device, InterruptedRunError
from edge.devices.fleet_file import Entry
from edge.results.row import FAILED, Host, Model, Row, Run
from onebit.errors import OnebitError

POLL_SECONDS = 0.5
STOP_SECONDS = 40

Key = tuple[str, str, str, int, str | None, str | None]


@dataclasses.dataclass(frozen=True)
class Job:
    """What is measured, on every device alike.

    Attributes:
        models: The files.
        runtimes: Names of `edge.bench.backends.SETUPS`; those that suit file and device when None.
        threads: Numbers of threads, where a device has none of its own.
        plan: How much, with the affinity where a device has none of its own.
        data: Samples that each cell also runs.
        references: What the host answered.
        done: Keys of rows that are there already.
        install: Called with each device before anything is measured there.
    """

    models: Sequence[Model]
    runtimes: Sequence[str] | None
    threads: Sequence[int]
    plan: Plan
    data: Data | None = None
    references: References | None = None
    done: frozenset[Key] = frozenset()
    install: Callable[[Device], None] | None = None


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened on a device.

    One of the others is set: the row that ended, the cell that began, or how many there will be.
    """

    device: str
    row: Row | None = None
    cell: Cell | None = None
    cells: int | None = None


def key_of(row: Row) -> Key:
    """What tells a cell from others: file, device, setup, threads, mode and affinity."""
    setup = row.setup
    return (
        row.model.sha256, row.host.device, setup.name, setup.threads, setup.mode, setup.affinity
    )  # fmt: skip


def done_keys(results: Sequence[Row]) -> frozenset[Key]:
    """The cells that need not be measured again: all but those that failed."""
    return frozenset(key_of(row) for row in results if row.status != FAILED)


def run_campaign(entries: Sequence[Entry], job: Job, command: str | None = None) -> Iterator[Event]:
    """Measures on all devices at once, and yields what happens, rows in the order they end.

    A device that fails costs only its own rows: each of its cells is a row that says why. When the
    caller stops, by Ctrl-C or otherwise, every device is cleaned up first.

    Args:
        entries: The devices.
        job: What to do.
        command: Recorded in the rows.
    """
    events: queue.Queue[Event | BaseException | None] = queue.Queue()
    devices = [entry.device() for entry in entries]
    run = describe_run(command)

    def work(entry: Entry, device: Device) -> None:
        try:
            _on_device(entry, device, job, run, events.put)
        except InterruptedRunError:
            pass
        except BaseException as error:  # a bug in here must not look like a device that is done
            events.put(error)
        finally:
            events.put(None)

    threads = [
        threading.Thread(target=work, args=pair, daemon=True, name=pair[0].name)
        for pair in zip(entries, devices, strict=True)
    ]
    with _signals_as_interrupts():
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
            for device in devices:
                device.interrupt()
            for thread in threads:
                if thread.ident is not None:
                    thread.join(STOP_SECONDS)


def _on_device(
    entry: Entry, device: Device, job: Job, run: Run, emit: Callable[[Event], None]
) -> None:
    plan = job.plan
    if entry.affinity is not None:
        plan = dataclasses.replace(plan, affinity=entry.affinity)

    def open_cells(offers: frozenset[str] | None) -> list[Cell]:
        counts = entry.threads or job.threads
        if entry.tool is None:
            cells = plan_cells(job.models, job.runtimes, counts, offers)
        else:
            cells = tool_cells(job.models, entry.tool, counts)
        cells = [cell for cell in cells if _key(cell, device.name, plan) not in job.done]
        emit(Event(device.name, cells=len(cells)))
        return cells

    def start(cell: Cell) -> None:
        emit(Event(device.name, cell=cell))

    host, cells = Host(device=device.name, kind=device.kind), None
    try:
        with device:
            if job.install is not None:
                job.install(device)
            if entry.tool is None:
                device.require()
            cells = open_cells(None if device.kind == "local" else device.offers())
            if not cells:
                return
            if entry.tool is None:
                measured = run_cells(
                    list(cells), device, plan, on_start=start, data=job.data,
                    references=job.references, run=run,
                )  # fmt: skip
            else:
                measured = run_tool_cells(
                    list(cells), device, plan, entry.tool, entry.options, run, start
                )
            for row in measured:
                cells, host = cells[1:], row.host
                emit(Event(device.name, row=row))
    except InterruptedRunError:
        raise
    except OnebitError as error:
        for cell in open_cells(frozenset({"litert"})) if cells is None else cells:
            row = unmeasured_row(cell, run, host, plan, str(error))
            emit(Event(device.name, row=row))


def _key(cell: Cell, device: str, plan: Plan) -> Key:
    return (
        cell.model.sha256, device, cell.setup.name, cell.threads, plan.mode, plan.affinity
    )  # fmt: skip


@contextlib.contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """Has SIGTERM and SIGHUP end the block as Ctrl-C does, so that devices are cleaned up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
