"""Result rows as tables: one line per cell; labels, and which rows count."""

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from edge.results import units
from edge.results.cell_key import CellKey
from edge.results.row import INVALID, OK, Firmware, Instructions, Model, Profile, Row

BENCH_COLUMNS = {
    "model": "model",
    "setup": "backend",
    "p50": "p50",
    "p90": "p90",
    "p99": "p99",
    "spread": "spread",
    "memory": "memory",
    "instructions": "instructions",
    "accuracy": "accuracy",
    "same_class": "same class",
    "status": "status",
}
OPTIONAL = ("memory", "p90", "spread", "p99")
"""Columns that a narrow table leaves out, the last ones first."""

EVALUATED = ("accuracy", "same_class")
"""Columns that only rows with data fill."""

PROFILE_COLUMNS = {
    "node": "node",
    "op": "op",
    "kernel": "kernel",
    "macs": "MACs",
    "time": "time",
    "share": "share",
}

MICROCONTROLLERS = ("mcu", "serial")
"""Kinds of hosts that are microcontrollers: emulated ones, and those behind a serial port."""

MICROCONTROLLER_COLUMNS = {
    "network": "network",
    "board": "board",
    "processor": "processor",
    "instructions": "instructions",
    "cycles": "cycles",
    "flash": "flash, bytes",
    "arena": "arena, bytes",
    "stack": "stack, bytes",
    "input": "input, bytes",
    "accuracy": "accuracy",
    "answers": "answers",
}

EMULATED = " (emulated)"


def backend_label(row: Row) -> str:
    """The backend and how it ran: `lce`, or `lce, 2 threads on big cores, single-stream`."""
    return CellKey.of(row).label


def device_label(row: Row) -> str:
    """The device as people read it, marked where it is emulated."""
    return row.host.device + (EMULATED if row.host.emulated else "")


def host_label(row: Row) -> str:
    """The device, and its processor where it is known."""
    return device_label(row) + (f" ({row.host.cpu})" if row.host.cpu else "")


def bench_columns(rows: Iterable[Row]) -> dict[str, str]:
    """`BENCH_COLUMNS` without those that no row fills; with devices if there are several."""
    rows = list(rows)
    evaluated = any(row.evaluation is not None for row in rows)
    counted = any(row.instructions is not None for row in rows)
    several = len({device_label(row) for row in rows}) > 1
    emulated = any(row.host.emulated for row in rows)
    columns = {k: v for k, v in BENCH_COLUMNS.items() if evaluated or k not in EVALUATED}
    if not counted:
        del columns["instructions"]
    return ({"device": "device"} if several or emulated else {}) | columns


def bench_line(row: Row) -> dict[str, Any]:
    """A row's cells for `BENCH_COLUMNS`, without times and memory of an emulated machine."""
    real = not row.host.emulated
    evaluation, aggregates = row.evaluation, row.aggregates if real else None
    summary, memory = (row.summary, row.memory) if real else (None, None)
    p50 = summary and units.milliseconds(summary.p50_ns)
    if aggregates is not None:
        only_mean = aggregates.p50_ns is None
        p50 = units.milliseconds(aggregates.mean_ns if only_mean else aggregates.p50_ns)
        p50 += " (mean)" if only_mean else ""
    return {
        "device": device_label(row),
        "model": row.model.name,
        "setup": backend_label(row),
        "p50": p50,
        "p90": summary and units.milliseconds(summary.p90_ns),
        "p99": summary and units.milliseconds(summary.p99_ns),
        "spread": summary and f"{summary.spread:.0%}",
        "memory": memory and _known(units.size(memory.above_baseline_bytes)),
        "instructions": counted_instructions(row),
        "accuracy": evaluation and _known(units.percent(evaluation.accuracy)),
        "same_class": evaluation and _known(units.percent(evaluation.argmax_agreement)),
        "status": row.status,
    }


def counted_instructions(row: Row) -> str | None:
    """The fewest instructions of an inference, with separators; None where none were counted."""
    counted = counted_by(row)
    return f"{min(counted.counts):,}" if counted else None


def counted_by(row: Row) -> Instructions | None:
    """The row's counts with their counter, also of a microcontroller; None without any."""
    if row.instructions is not None and row.instructions.counts:
        return row.instructions
    if row.firmware is not None and row.firmware.instructions:
        return Instructions(row.firmware.instructions, row.firmware.emulator)
    return None


def on_microcontroller(row: Row) -> bool:
    """Whether the row is of a network in C, which has tables of its own: it has no backends."""
    return row.firmware is not None or row.host.kind in MICROCONTROLLERS


def is_exact_count(row: Row) -> bool:
    """Whether the row is `invalid` only since an emulated microcontroller has no times."""
    emulated = on_microcontroller(row) and bool(row.host.emulated)
    return emulated and row.firmware is not None and row.status == INVALID


def split_microcontrollers(rows: Iterable[Row]) -> tuple[list[Row], list[dict[str, Any]]]:
    """The rows of other hosts, and the lines of a table of the microcontrollers'."""
    others, lines = [], []
    for row in rows:
        if on_microcontroller(row):
            lines.append(microcontroller_line(row))
        else:
            others.append(row)
    return others, lines


def microcontroller_figures(row: Row) -> dict[str, int | None]:
    """The counts of a row of a network in C as numbers, the most of an inference; None if unknown.

    Of other rows the fewest instructions, as `counted_instructions` has them.
    """
    if row.firmware is not None:
        return {key: figure(row.firmware) for key, figure in _FIGURES.items()}
    counted = counted_by(row)
    fewest = min(counted.counts) if counted else None
    return dict.fromkeys(_FIGURES) | {"instructions": fewest}


def _flash_bytes(sizes: Firmware) -> int | None:
    if sizes.code_bytes is None or sizes.constant_bytes is None:
        return None
    return sizes.code_bytes + sizes.constant_bytes


_FIGURES: dict[str, Callable[[Firmware], int | None]] = {
    "instructions": lambda sizes: max(sizes.instructions, default=None),
    "cycles": lambda sizes: max(sizes.cycles, default=None),
    "flash_bytes": _flash_bytes,
    "arena_bytes": lambda sizes: sizes.arena_bytes,
    "stack_bytes": lambda sizes: sizes.stack_bytes,
    "input_bytes": lambda sizes: sizes.input_bytes,
    "same_as_host": lambda sizes: sizes.same_as_host,
}


def microcontroller_line(row: Row) -> dict[str, Any]:
    """The cells of a row of a network in C: instructions or cycles, flash and RAM."""
    figures = microcontroller_figures(row)
    line: dict[str, Any] = dict.fromkeys(MICROCONTROLLER_COLUMNS)
    line |= {
        "network": row.model.name,
        "board": row.host.board or row.host.device,
        "processor": row.host.cpu,
    }
    if row.firmware is None:
        return line | {"answers": row.status}
    return line | {
        "instructions": _count(figures["instructions"]),
        "cycles": _count(figures["cycles"]),
        "flash": _count(figures["flash_bytes"]),
        "arena": _count(figures["arena_bytes"]),
        "stack": _count(figures["stack_bytes"]),
        "input": _count(figures["input_bytes"]),
        "accuracy": row.evaluation and _known(units.percent(row.evaluation.accuracy)),
        "answers": "the host's" if figures["same_as_host"] else "WRONG",
    }


def microcontroller_columns(lines: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The columns of such lines; a board counts either instructions or cycles."""
    return {
        key: heading
        for key, heading in MICROCONTROLLER_COLUMNS.items()
        if key not in ("instructions", "cycles") or any(line[key] for line in lines)
    }


def _count(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"


def _known(text: str) -> str | None:
    return None if text == units.NONE else text


def typical(rows: Iterable[Row]) -> list[tuple[Row, str]]:
    """One row for each cell, and how many of its rows are trusted: `4 of 5`.

    It is the trusted row with the middle p50, the lower one of two; without one, the last row.
    """
    cells: dict[Any, list[Row]] = {}
    for row in rows:
        cells.setdefault((CellKey.of(row), row.model.file, row.model.name), []).append(row)
    found = []
    for members in cells.values():
        trusted = [row for row in members if row.status == OK]
        ordered = sorted(trusted, key=lambda row: row.summary.p50_ns if row.summary else 0.0)
        middle = ordered[(len(ordered) - 1) // 2] if ordered else members[-1]
        found.append((middle, f"{len(trusted)} of {len(members)}"))
    return found


def profile_lines(profile: Profile) -> list[dict[str, Any]]:
    """A profile's cells for `PROFILE_COLUMNS`, in the order of the file.

    The last line is the rest of a run: the ops without a time, and the runtime itself.
    """
    timed = sum(op.time_ns or 0.0 for op in profile.ops)
    lines: list[dict[str, Any]] = [
        {
            "node": str(op.node),
            "op": op.op,
            "kernel": op.kernel or "not delegated",
            "macs": f"{op.macs:,}" if op.macs else None,
            "time": None if op.time_ns is None else f"{op.time_ns / 1000:.2f} µs",
            "share": None if op.time_ns is None else f"{op.time_ns / profile.total_ns:.0%}",
        }
        for op in profile.ops
    ]
    rest = max(0.0, profile.total_ns - timed)
    remains = {"op": "everything else", "time": f"{rest / 1000:.2f} µs"}
    return [*lines, {**remains, "share": f"{rest / profile.total_ns:.0%}"}]


def flat(row: Row) -> dict[str, Any]:
    """Every field of a row but lists of samples, ops and layers, on one level: `model.name`."""
    record: dict[str, Any] = {}

    def add(kind: Any, value: Any, prefix: str) -> None:
        for field in dataclasses.fields(kind):
            inner = None if value is None else getattr(value, field.name)
            nested = _dataclass_of(field.type)
            if nested is not None:
                add(nested, inner, f"{prefix}{field.name}.")
            elif isinstance(inner, tuple):
                record[prefix + field.name] = " ".join(map(str, inner))
            else:
                record[prefix + field.name] = inner

    add(Row, row, "")
    for key in ("samples_ns", "profile.ops", "model.not_binary"):
        del record[key]
    return record


def _dataclass_of(annotation: Any) -> Any:
    """The dataclass in `X` or `X | None`, else None."""
    is_union = typing.get_origin(annotation) is types.UnionType
    options = typing.get_args(annotation) if is_union else (annotation,)
    return next((option for option in options if dataclasses.is_dataclass(option)), None)


def distinctly_named(rows: Sequence[Row]) -> list[Row]:
    """The rows, with the file's name behind the model's where several files share the latter."""
    files: dict[str, set[str]] = {}
    for row in rows:
        files.setdefault(row.model.name, set()).add(row.model.file)

    def named(row: Row) -> Row:
        if len(files[row.model.name]) == 1:
            return row
        # The shortest end of the path that no other file of this name has.
        parts = PurePath(row.model.file).parts
        others = [PurePath(f).parts for f in files[row.model.name] - {row.model.file}]
        count = next(
            (n for n in range(1, len(parts)) if all(o[-n:] != parts[-n:] for o in others)),
            len(parts),
        )
        name = f"{row.model.name} ({'/'.join(parts[-count:])})"
        return dataclasses.replace(row, model=dataclasses.replace(row.model, name=name))

    return [named(row) for row in rows]


def latest(rows: Iterable[Row]) -> list[Row]:
    """The last row of each cell, in the order of their first rows.

    A file that was written again under its path is the same cell.
    """
    cells: dict[Any, Row] = {}
    for row in rows:
        key = dataclasses.replace(CellKey.of(row), file=row.model.file)
        cells[key, host_label(row), row.model.name] = row
    return list(cells.values())


def measured(rows: Iterable[Row]) -> list[Row]:
    """The rows with samples, trusted or not."""
    return [row for row in rows if row.status in (OK, INVALID) and row.summary is not None]


def timed(rows: Iterable[Row]) -> list[Row]:
    """The measured rows of real machines: an emulated one's times and memory mean nothing."""
    return [row for row in measured(rows) if not row.host.emulated]


def aggregated(rows: Iterable[Row]) -> list[Row]:
    """The rows of real machines that hold summary statistics only, no samples."""
    return [row for row in rows if row.aggregates is not None and not row.host.emulated]


def models_of(rows: Iterable[Row]) -> list[Model]:
    """Each model once, in order."""
    return list({(row.model.name, row.model.sha256): row.model for row in rows}.values())
