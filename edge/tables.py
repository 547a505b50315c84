"""Result rows as tables: one line per cell, and the headline that puts models side by side."""

import dataclasses
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from edge import units
from edge.rows import INVALID, OK, Model, Profile, Row

BENCH_COLUMNS = {
    "model": "model",
    "setup": "setup",
    "p50": "p50",
    "p90": "p90",
    "p99": "p99",
    "spread": "spread",
    "memory": "memory",
    "accuracy": "accuracy here",
    "same_class": "same class as the reference",
    "status": "status",
    "reason": "reason",
}
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

HEADLINE_COLUMNS = {
    "model": "model",
    "setup": "setup",
    "accuracy_keras": "accuracy in Keras",
    "accuracy_file": "accuracy in the file",
    "size": "size",
    "compression": "vs float32 weights",
    "compression_twin": "vs float twin",
    "p50": "p50",
    "p90": "p90",
    "memory": "memory",
    "status": "status",
}

SAME_MACS = 0.02
"""Two models of one shape may differ by this much: a file may hold a batch normalisation more."""


EMULATED = " (emulated)"


def setup_label(row: Row) -> str:
    """The setup as people read it: `lce`, or `lce, 2 threads on big cores, single-stream`."""
    setup = row.setup
    parts = [setup.name]
    if setup.threads != 1:
        parts.append(f"{setup.threads} threads")
    if setup.affinity is not None:
        kind = setup.affinity in ("big", "little")
        parts.append(f"{setup.affinity} cores" if kind else f"cores {setup.affinity}")
    if setup.mode not in (None, "standard", "custom"):
        parts.append(str(setup.mode))
    return ", ".join(parts)


def device_label(row: Row) -> str:
    """The device as people read it, marked where it is emulated."""
    return row.host.device + (EMULATED if row.host.emulated else "")


def host_label(row: Row) -> str:
    """The device, and its processor where it is known."""
    return device_label(row) + (f" ({row.host.cpu})" if row.host.cpu else "")


def bench_columns(rows: Iterable[Row]) -> dict[str, str]:
    """`BENCH_COLUMNS`, without what no row was asked for; with devices if there are several."""
    rows = list(rows)
    evaluated = any(row.evaluation is not None for row in rows)
    several = len({row.host.device for row in rows}) > 1
    columns = {k: v for k, v in BENCH_COLUMNS.items() if evaluated or k not in EVALUATED}
    return ({"device": "device"} if several else {}) | columns


def bench_line(row: Row) -> dict[str, Any]:
    """A row's cells for `BENCH_COLUMNS`."""
    summary, memory, evaluation = row.summary, row.memory, row.evaluation
    p50 = summary and units.milliseconds(summary.p50_ns)
    if row.aggregates is not None:
        told = row.aggregates
        p50 = units.milliseconds(told.mean_ns if told.p50_ns is None else told.p50_ns)
        p50 += " (mean)" if told.p50_ns is None else ""
    return {
        "device": row.host.device,
        "model": row.model.name,
        "setup": setup_label(row),
        "p50": p50,
        "p90": summary and units.milliseconds(summary.p90_ns),
        "p99": summary and units.milliseconds(summary.p99_ns),
        "spread": summary and f"{summary.spread:.0%}",
        "memory": memory and units.size(memory.above_baseline_bytes),
        "accuracy": evaluation and units.percent(evaluation.accuracy),
        "same_class": evaluation and units.percent(evaluation.argmax_agreement),
        "status": row.status,
        "reason": row.reason,
    }


def profile_lines(profile: Profile) -> list[dict[str, Any]]:
    """A profile's cells for `PROFILE_COLUMNS`, in the order of the file.

    The last line is what remains of a run: the ops without a time, and the runtime itself.
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
    remains = {"op": "all else", "time": f"{rest / 1000:.2f} µs"}
    return [*lines, {**remains, "share": f"{rest / profile.total_ns:.0%}"}]


def flat(row: Row) -> dict[str, Any]:
    """Every field of a row but samples and profiled ops, as one level: `model.size_bytes`."""
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
    del record["samples_ns"], record["profile.ops"]
    return record


def _dataclass_of(annotation: Any) -> Any:
    """The dataclass in `X` or `X | None`, else None."""
    is_union = typing.get_origin(annotation) is types.UnionType
    options = typing.get_args(annotation) if is_union else (annotation,)
    return next((option for option in options if dataclasses.is_dataclass(option)), None)


@dataclass(frozen=True)
class HeadlineLine:
    """What a reader wants to know of a model on a setup.

    `compression` is the size of the weights as float32 over the file's size; `compression_twin` the
    size of the float twin's file over the file's size, None where no twin was measured.
    """

    model: str
    host: str
    setup: str
    threads: int
    status: str
    accuracy_keras: float | None
    accuracy_file: float | None
    size_bytes: int
    compression: float | None
    twin: str | None
    compression_twin: float | None
    p50_ns: float | None
    p90_ns: float | None
    memory_bytes: int | None

    def cells(self) -> dict[str, str | None]:
        """The line's cells for `HEADLINE_COLUMNS`, None where there is no figure."""
        texts = {
            "model": self.model,
            "host": self.host,
            "setup": self.setup,
            "accuracy_keras": units.percent(self.accuracy_keras),
            "accuracy_file": units.percent(self.accuracy_file),
            "size": units.size(self.size_bytes),
            "compression": units.ratio(self.compression),
            "compression_twin": units.ratio(self.compression_twin),
            "p50": units.milliseconds(self.p50_ns),
            "p90": units.milliseconds(self.p90_ns),
            "memory": units.size(self.memory_bytes),
            "status": self.status,
        }
        return {key: None if text == units.NONE else text for key, text in texts.items()}


def headline_columns(lines: Iterable[HeadlineLine]) -> dict[str, str]:
    """`HEADLINE_COLUMNS`, with the host where there are several."""
    several = len({line.host for line in lines}) > 1
    return ({"host": "host"} if several else {}) | HEADLINE_COLUMNS


def headline(rows: Sequence[Row]) -> list[HeadlineLine]:
    """One line for each of the rows, skipped ones left out."""
    models = models_of(rows)
    lines = []
    for row in rows:
        if row.status == "skipped":
            continue
        model, verification, summary = row.model, row.model.verification, row.summary
        twin = float_twin(model, models)
        lines.append(
            HeadlineLine(
                model=model.name,
                host=host_label(row),
                setup=setup_label(row),
                threads=row.setup.threads,
                status=row.status,
                accuracy_keras=verification.accuracy_keras if verification else None,
                accuracy_file=verification.accuracy_file if verification else None,
                size_bytes=model.size_bytes,
                compression=model.float32_bytes and model.float32_bytes / model.size_bytes,
                twin=twin.name if twin else None,
                compression_twin=twin.size_bytes / model.size_bytes if twin else None,
                p50_ns=summary.p50_ns if summary else None,
                p90_ns=summary.p90_ns if summary else None,
                memory_bytes=row.memory.above_baseline_bytes if row.memory else None,
            )
        )
    return lines


def float_twin(model: Model, others: Iterable[Model]) -> Model | None:
    """The float model of the same shape.

    Its name has the word `float`, and its other words all occur in the model's name in their order:
    `float_mlp` is the twin of `binary_net_mlp` and of `binary_connect_mlp`. Where both conversion
    reports tell the multiplications, their totals agree within `SAME_MACS`. The longest such name
    wins.
    """
    words = _words(model)
    if "float" in words:
        return None
    twins = []
    for other in others:
        rest = _words(other)
        if "float" not in rest:
            continue
        rest.remove("float")
        remaining = iter(words)
        named_alike = bool(rest) and all(word in remaining for word in rest)
        if named_alike and _same_macs(model, other):
            twins.append(other)
    return max(twins, key=lambda twin: len(twin.name), default=None)


def _words(model: Model) -> list[str]:
    """The words of a name, without the file that `distinctly_named` puts behind it."""
    return model.name.partition(" (")[0].split("_")


def _same_macs(model: Model, other: Model) -> bool:
    totals = [
        (m.binary_macs or 0)
        + (m.binary_weight_macs or 0)
        + (m.int8_macs or 0)
        + (m.float_macs or 0)
        for m in (model, other)
    ]
    return min(totals) == 0 or max(totals) <= min(totals) * (1 + SAME_MACS)


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

    A cell is a host, a file, and a setup with its threads, cores and mode.
    """
    cells: dict[Any, Row] = {}
    for row in rows:
        model, setup = row.model, row.setup
        how = (setup.name, setup.threads, setup.affinity, setup.mode)
        cells[host_label(row), model.name, model.file, how] = row
    return list(cells.values())


def measured(rows: Iterable[Row]) -> list[Row]:
    """The rows that hold samples, trusted or not."""
    return [row for row in rows if row.status in (OK, INVALID) and row.summary is not None]


def models_of(rows: Iterable[Row]) -> list[Model]:
    """Each model once, in order."""
    return list({(row.model.name, row.model.sha256): row.model for row in rows}.values())
