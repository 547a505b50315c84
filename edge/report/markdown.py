"""The report as Markdown, for pull requests and wikis: tables and warnings, without charts."""

from collections.abc import Sequence
from typing import Any

from edge.report.advice import advice
from edge.report.caveats import caveats
from edge.report.costs import ModelCosts, model_costs, shares_text
from edge.report.findings import fastest_lines
from edge.report.headline import headline, headline_columns
from edge.results import units
from edge.results.row import OK, Row
from edge.results.tables import (
    aggregated,
    backend_label,
    host_label,
    is_exact_count,
    measured,
    microcontroller_columns,
    split_microcontrollers,
    timed,
)
from onebit import __version__
from onebit.console import markdown_table

COSTS = ("model", "multiplications", "file", "weights", "delegate's arena")
TIMES = ("model", "backend", "device", "p50", "95% interval", "p90", "p99", "per s", "cold start")
ACCURACIES = ("model", "backend", "device", "here", "on the host", "same class", "data")
AGGREGATES = ("model", "backend", "device", "mean", "p50", "fastest", "slowest", "runs")
HOSTS = ("device", "board", "system", "architecture", "cores", "governor", "emulated")


def render_markdown(rows: Sequence[Row], total: int, title: str | None = None) -> str:
    """The report on rows, one for each cell.

    Args:
        rows: The rows that are shown.
        total: The number of rows with older ones of the same cells.
        title: The report's.
    """
    others, boards = split_microcontrollers(rows)
    parts = [f"# {title or 'Edge report'}\n"]
    if others:
        lines = headline(others)
        columns = headline_columns(lines)
        cells = [[line.cells().get(key) for key in columns] for line in lines]
        parts.append(markdown_table(cells, list(columns.values())))
    if boards:
        columns = microcontroller_columns(boards)
        cells = [[line[key] for key in columns] for line in boards]
        parts += ["\n## Microcontrollers\n", markdown_table(cells, list(columns.values()))]
    costs = model_costs(rows, list(fastest_lines(others).values()))
    if costs:
        parts += ["\n## How they compute\n", markdown_table([_costs(c) for c in costs], COSTS)]
        why = [f"- {each.model.name}: {reason}\n" for each in costs for reason in each.reasons]
        parts += ["\nNot binary:\n", "".join(why)] if why else []
    real = timed(rows)
    if real:
        parts += ["\n## Latency\n", markdown_table([_times(row) for row in real], TIMES)]
    summaries = aggregated(rows)
    if summaries:
        table = markdown_table([_aggregates(row) for row in summaries], AGGREGATES)
        parts += ["\n## Summary statistics only\n", table]
    evaluated = [row for row in measured(rows) if row.evaluation]
    if evaluated:
        table = markdown_table([_accuracies(row) for row in evaluated], ACCURACIES)
        parts += ["\n## Accuracy on the device\n", table]
    notes = "".join(f"- {note}\n" for note in caveats(rows, total - len(rows)))
    parts += ["\n## Before you believe it\n", notes]
    troubled = [row for row in rows if row.status != OK and not is_exact_count(row)]
    if troubled:
        reasons = "".join(
            f"- {row.status}: **{row.model.name}** on {backend_label(row)}, {host_label(row)}: "
            f"{row.reason}\n"
            for row in troubled
        )
        todo = "".join(f"- {sentence}\n" for sentence in advice(troubled))
        parts += ["\n## Not trusted\n", reasons, "\nWhat to do:\n", todo]
    hosts = {host_label(row): _host(row) for row in rows}
    parts += ["\n## Devices\n", markdown_table(list(hosts.values()), HOSTS)]
    parts.append(f"\nWritten by Onebit {__version__}.\n")
    return "\n".join(parts).replace("\n\n\n", "\n\n")


def _costs(costs: ModelCosts) -> list[Any]:
    model = costs.model
    sizes = (model.size_bytes, model.weight_bytes, costs.arena_bytes)
    return [model.name, shares_text(costs), *map(units.size, sizes)]


def _times(row: Row) -> list[Any]:
    s, cold = row.summary, row.cold_start
    if s is None:
        raise ValueError("a row without samples has no times")
    interval = None
    if s.p50_low_ns is not None:
        low, high = (units.milliseconds(ns, 4) for ns in (s.p50_low_ns, s.p50_high_ns))
        interval = f"{low}–{high}"
    started = None
    if cold is not None:
        started = cold.load_ns + (cold.prepare_ns or 0) + cold.first_inference_ns
    return [
        row.model.name,
        backend_label(row) + ("" if row.status == OK else " ⚠"),
        host_label(row),
        units.milliseconds(s.p50_ns),
        interval,
        units.milliseconds(s.p90_ns),
        units.milliseconds(s.p99_ns),
        s.throughput_per_s and units.significant(s.throughput_per_s),
        units.milliseconds(started),
    ]


def _aggregates(row: Row) -> list[Any]:
    runs = row.aggregates
    if runs is None:
        raise ValueError("a row with samples has no aggregates")
    times = (runs.mean_ns, runs.p50_ns, runs.min_ns, runs.max_ns)
    return [
        row.model.name,
        backend_label(row) + ("" if row.status == OK else " ⚠"),
        host_label(row),
        *(units.milliseconds(ns) for ns in times),
        runs.runs,
    ]


def _accuracies(row: Row) -> list[Any]:
    e = row.evaluation
    if e is None:
        raise ValueError("a row without data has no accuracy")
    shares = (e.accuracy, e.reference_accuracy, e.argmax_agreement)
    return [
        row.model.name,
        backend_label(row),
        host_label(row),
        *(units.percent(share) for share in shares),
        f"{e.samples} of {e.data}",
    ]


def _host(row: Row) -> list[Any]:
    host = row.host
    emulated = None if host.emulated is None else "yes" if host.emulated else "no"
    about = [host.board, host.os, host.architecture, host.cores, host.governor, emulated]
    return [host_label(row), *about]
