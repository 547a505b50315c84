"""Progress while devices run: a line for each of them, and one for each row that ended."""

from collections.abc import Sequence

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from edge.bench.fleet_run import Event
from edge.devices.fleet_file import Entry
from edge.results.tables import backend_label
from edge.results.units import milliseconds
from onebit.console import say, stderr_console


class DeviceProgress:
    """A context in which `show` prints events; the devices' lines appear only on a terminal."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._several = len(entries) > 1
        self._live = Progress(
            TextColumn("{task.fields[device]}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[now]}", markup=False),
            console=stderr_console,
            transient=True,
            auto_refresh=False,  # drawing would disturb what is measured here
            disable=not stderr_console.is_terminal,
        )
        self._tasks = {
            entry.name: self._live.add_task("", total=None, device=entry.name, now="connecting")
            for entry in entries
        }
        self._counts = {entry.name: (0, 0) for entry in entries}

    def __enter__(self) -> "DeviceProgress":
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def show(self, event: Event) -> None:
        """Shows an event."""
        task = self._tasks[event.device]
        ended, total = self._counts[event.device]
        if event.cells is not None:
            total = event.cells
            now = "" if total else "nothing left to do"
            self._live.update(task, total=total, now=now)
        if event.cell is not None:
            now = f"{event.cell.model.name} on {event.cell.label}"
            self._live.update(task, now=now)
        if event.row is not None:
            ended += 1
            self._live.update(task, completed=ended, now="" if ended == total else "…")
            row = event.row
            summary = row.summary if not row.host.emulated else None
            parts = [f"p50 {milliseconds(summary.p50_ns)}"] if summary else []
            if row.aggregates is not None and not row.host.emulated:
                parts = [f"mean {milliseconds(row.aggregates.mean_ns)}"]
            if row.reason:
                parts.append(f"{row.status}: {row.reason}")
            where = f"{event.device}: " if self._several else ""
            label = f"{where}{row.model.name} on {backend_label(row)}"
            line = f"[{ended}/{total}] {label}: {'; '.join(parts)}"
            say(line)
        self._counts[event.device] = (ended, total)
        self._live.refresh()
