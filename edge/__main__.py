"""`python -m edge`: benchmark `.tflite` files and report the results."""

import dataclasses
import json
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from edge import rows as row_module
from edge.bench import DEFAULT_TIMEOUT_SECONDS, plan_cells, run_cells
from edge.devices import RunnerError
from edge.devices.local import LocalDevice
from edge.measurement import Plan
from edge.report import write_report
from edge.row_files import RowWriter, read_rows
from edge.rows import Row, to_json
from edge.setups import SETUPS
from edge.tables import (
    BENCH_COLUMNS,
    PROFILE_COLUMNS,
    bench_line,
    distinctly_named,
    flat,
    headline,
    headline_columns,
    latest,
    profile_lines,
    setup_label,
)
from edge.units import milliseconds
from onebit import __version__
from onebit.cli import CommandGroup, emit, format_option, progress, require_suffix
from onebit.errors import OnebitError, UsageError

DEFAULTS = Plan()


@click.group(cls=CommandGroup)
@click.version_option(__version__, prog_name="onebit edge")
def cli() -> None:
    """Measures .tflite files and reports what was measured."""


def _names(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    """`a,b` as a list; None where the option is absent."""
    return None if value is None else [name.strip() for name in value.split(",") if name.strip()]


def _counts(ctx: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    """`1,2` as positive whole numbers."""
    try:
        counts = [int(part) for part in value.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise click.BadParameter(f"{value!r} is not a list of positive whole numbers such as 1,2")
    return counts


@cli.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("-o", "--output", metavar="ROWS.jsonl", help="Write the rows to this file.")
@click.option("--append", is_flag=True, help="Keep the rows that the output file has.")
@click.option(
    "--runtime",
    "runtimes",
    callback=_names,
    metavar="NAME,...",
    help=f"Any of {', '.join(SETUPS)}. Default: lce,lce:indirect_bgemm for files with Larq "
    "Compute Engine's ops, and litert:delegate where the delegate is built; lce,litert for others.",
)
@click.option(
    "--threads", callback=_counts, default="1", show_default=True, metavar="N,...", help="Threads."
)
@click.option(
    "--runs",
    type=click.IntRange(1, DEFAULTS.max_runs),
    default=DEFAULTS.min_runs,
    show_default=True,
    help="At least so many runs.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0),
    default=DEFAULTS.min_seconds,
    show_default=True,
    help=f"For at least so long, or until {DEFAULTS.max_runs} runs.",
)
@click.option(
    "--warmup",
    type=click.FloatRange(0),
    default=DEFAULTS.warmup_seconds,
    show_default=True,
    help="Warm up until steady, for at most so many seconds.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULT_TIMEOUT_SECONDS,
    show_default=True,
    help="Seconds for one measurement; it fails after that.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random inputs."
)
@click.option("--profile-ops", is_flag=True, help="Also time each op, on setups with the delegate.")
@format_option()
def bench(
    files: tuple[str, ...],
    output: str | None,
    append: bool,
    runtimes: list[str] | None,
    threads: list[int],
    runs: int,
    seconds: float,
    warmup: float,
    timeout: float,
    seed: int,
    profile_ops: bool,
    format_: str,
) -> None:
    """Measures latency, memory and agreement of .tflite files on this machine.

    Every FILE runs on every runtime with every number of threads, each in a process of its own.
    The rows go to -o one by one as JSON Lines, with all raw samples; a table of them goes to
    standard output. Exits with 1 if a measurement failed.

    \b
    Example:
      python -m edge bench mlp.tflite -o rows.jsonl --runtime lce,litert --threads 1,2
    """
    cells = plan_cells(files, runtimes, threads)
    if append and output is None:
        raise UsageError("--append needs a file after -o")
    writer = RowWriter(output, append) if output is not None else None
    plan = Plan(
        min_runs=runs,
        min_seconds=seconds,
        warmup_seconds=warmup,
        seed=seed,
        profile_ops=profile_ops,
    )
    command = shlex.join(["python", "-m", "edge", *sys.argv[1:]])
    results: list[Row] = []
    try:
        with LocalDevice() as device:
            for row in run_cells(cells, device, plan, timeout, command):
                if writer is not None:
                    writer.write(row)
                results.append(row)
                _tell(row, len(results), len(cells))
    except RunnerError as error:
        raise OnebitError(f"cannot run anything on this machine: {error}") from error
    finally:
        if writer is not None:
            writer.close()
    _print_rows(results, format_)
    if any(row.status == row_module.FAILED for row in results):
        raise SystemExit(1)


def _tell(row: Row, number: int, total: int) -> None:
    """One line of progress for a row that has ended."""
    parts = [f"p50 {milliseconds(row.summary.p50_ns)}"] if row.summary else []
    if row.reason:
        parts.append(f"{row.status}: {row.reason}")
    line = f"[{number}/{total}] {row.model.name} on {setup_label(row)}: {'; '.join(parts)}"
    progress.print(line, markup=False, soft_wrap=True)


def _print_rows(results: Iterable[Row], format_: str) -> None:
    """The rows whole as JSON, without raw samples as CSV, shortened as a table."""
    if format_ == "table":
        emit([bench_line(row) for row in results], format_, columns=BENCH_COLUMNS)
        for row in results:
            if row.profile is not None:
                title = f"{row.model.name} on {setup_label(row)}, mean of {row.profile.runs} runs"
                lines = profile_lines(row.profile)
                emit(lines, format_, columns=PROFILE_COLUMNS, title=title)
    elif format_ == "csv":
        emit([flat(row) for row in results], format_)
    else:
        emit([json.loads(to_json(row)) for row in results], format_)


@cli.command()
@click.argument("files", nargs=-1, required=True, metavar="ROWS...")
@click.option("-o", "--output", metavar="PAGE.html", help="Also write a page with charts.")
@format_option("table", "md", "json", "jsonl", "csv")
def report(files: tuple[str, ...], output: str | None, format_: str) -> None:
    """Puts models side by side: accuracy, size, latency and memory.

    ROWS are files that `python -m edge bench -o` wrote. The table goes to standard output; with -o
    a self-contained HTML page is written too. Of several rows of one cell, the latest counts.

    \b
    Example:
      python -m edge report rows.jsonl -o report.html
    """
    results = read_rows(files)
    if not results:
        raise OnebitError(f"no rows in {', '.join(files)}: measure with `python -m edge bench`")
    if output is not None:
        if Path(output).is_dir():
            raise UsageError(f"{output} is a folder; give the page a name, such as report.html")
        require_suffix(Path(output), ".html")
        write_report(results, output)
        progress.print(f"wrote {output}", markup=False, soft_wrap=True)
    lines = headline(distinctly_named(latest(results)))
    if format_ in ("table", "md"):
        emit([line.cells() for line in lines], format_, columns=headline_columns(lines))
    else:
        emit([dataclasses.asdict(line) for line in lines], format_)


if __name__ == "__main__":
    cli(prog_name="python -m edge")
