"""`edge bench`: measures files."""

import json
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click

from edge.bench.backends import SETUPS, find_setups
from edge.bench.cells import plan_cells
from edge.bench.fleet_run import Job, Key, done_keys, run_campaign
from edge.bench.measurement import MODES, plan_for
from edge.bench.models import describe
from edge.bench.reference import host_references
from edge.bench.samples import read_data
from edge.commands.device_options import device_options
from edge.commands.progress import DeviceProgress
from edge.devices.fleet_file import AFFINITY, LOCAL, Entry, entries_of
from edge.devices.install import install_missing
from edge.report.caveats import host_notes
from edge.results import row as row_module
from edge.results.row import Row
from edge.results.row_files import RowWriter, cut_torn_line, read_rows
from edge.results.row_json import to_json
from edge.results.tables import (
    PROFILE_COLUMNS,
    bench_columns,
    bench_line,
    flat,
    profile_lines,
    setup_label,
)
from onebit.cli import emit, format_option, say
from onebit.errors import UsageError


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


def _affinity(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """`big`, `little` or `0,2`; None where every core may be used."""
    if value is None or value == "none":
        return None
    if not re.fullmatch(AFFINITY, value):
        raise click.BadParameter(f"{value!r} is not big, little, none or cores such as 0,2")
    return value


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("-o", "--output", metavar="ROWS.jsonl", help="Write the rows to this file.")
@click.option("--append", is_flag=True, help="Keep the rows that the output file has.")
@click.option(
    "--resume", is_flag=True, help="Measure only what the output file lacks, or has as failed."
)
@device_options
@click.option(
    "--install", is_flag=True, help="Install what a device behind ssh lacks into its ~/.cache."
)
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
    "--affinity",
    callback=_affinity,
    metavar="CORES",
    help="Run on these cores only: big, little, or numbers such as 0,2. Default: none chosen.",
)
@click.option(
    "--mode",
    type=click.Choice(list(MODES)),
    default="standard",
    show_default=True,
    help="How long: "
    + "; ".join(
        f"{mode} at least {plan.min_runs} runs and {plan.min_seconds:g} s"
        for mode, plan in MODES.items()
    )
    + ", after a cool-down.",
)
@click.option("--runs", type=click.IntRange(1), help="At least so many runs.")
@click.option("--seconds", type=click.FloatRange(0), help="For at least so long.")
@click.option(
    "--warmup", type=click.FloatRange(0), help="Warm up until steady, for at most so many seconds."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    help="Seconds for one measurement; it fails after that. Default: the mode's.",
)
@click.option(
    "--data",
    "data_path",
    metavar="CARD|NPZ",
    help="Also run labelled samples there: a run folder, its card.json, or an .npz file of inputs "
    "and labels. Tells accuracy, and agreement with this machine.",
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
    resume: bool,
    addresses: tuple[str, ...],
    fleet: Path | None,
    tool: Path | None,
    install: bool,
    runtimes: list[str] | None,
    threads: list[int],
    affinity: str | None,
    mode: str,
    runs: int | None,
    seconds: float | None,
    warmup: float | None,
    timeout: float | None,
    data_path: str | None,
    seed: int,
    profile_ops: bool,
    format_: str,
) -> None:
    """Measures latency, memory and agreement of .tflite files on this machine and on others.

    Every FILE runs on every device and runtime with every number of threads, each in a process of
    its own; devices run in parallel. The rows go to -o one by one as JSON Lines, with all raw
    samples; a table of them goes to standard output. Exits with 1 if a measurement failed.

    \b
    Example:
      python -m edge bench mlp.tflite -o rows.jsonl --runtime lce,litert --threads 1,2
      python -m edge bench mlp.tflite -o rows.jsonl --device ssh://pi@raspberrypi --device local
    """
    if output is None and (append or resume):
        raise UsageError(f"{'--append' if append else '--resume'} needs a file after -o")
    entries = entries_of(addresses, tool, fleet)
    models = [describe(file) for file in files]
    if runtimes is not None:
        find_setups(runtimes)
    _refuse_for_tools(
        entries,
        {"--runtime": runtimes, "--data": data_path, "--profile-ops": profile_ops},
        affinity,
    )
    for entry in entries:
        if entry.address == LOCAL and entry.tool is None:
            plan_cells(models, runtimes, entry.threads or threads)
    data = None if data_path is None else read_data(data_path)
    plan = plan_for(
        mode,
        min_runs=runs,
        min_seconds=seconds,
        warmup_seconds=warmup,
        timeout_seconds=timeout,
        seed=seed,
        profile_ops=profile_ops,
        affinity=affinity,
    )
    done = frozenset[Key]()
    if output is not None and (append or resume) and Path(output).is_file():
        cut_torn_line(output)
        done = done_keys(read_rows([output])) if resume else done
    writer = RowWriter(output, append or resume) if output is not None else None
    command = shlex.join(["python", "-m", "edge", *sys.argv[1:]])
    results: list[Row] = []
    try:
        elsewhere = any(entry.address != LOCAL for entry in entries)
        references = host_references(models, plan, data, random=elsewhere)
        job = Job(
            models, runtimes, threads, plan, data, references, done,
            install=install_missing if install else None,
        )  # fmt: skip
        with DeviceProgress(entries) as shown:
            for event in run_campaign(entries, job, command):
                if event.row is not None:
                    if writer is not None:
                        writer.write(event.row)
                    results.append(event.row)
                shown.tell(event)
    finally:
        if writer is not None:
            writer.close()
    print_rows(results, format_)
    for note in host_notes(results):
        say(f"note: {note}")
    if any(row.status == row_module.FAILED for row in results):
        raise SystemExit(1)


def _refuse_for_tools(
    entries: Sequence[Entry], of_the_runner: Mapping[str, object], affinity: str | None
) -> None:
    """Refuses options that would be ignored because a tool measures.

    Raises:
        UsageError: A device with a tool has an affinity, or all have tools and one of the runner's
            options is set.
    """
    for entry in entries:
        if entry.tool is not None and (entry.affinity or affinity):
            raise UsageError(f"{entry.name} is measured by {entry.tool.name}: it has no affinity")
    if all(entry.tool is not None for entry in entries):
        for option, value in of_the_runner.items():
            if value:
                raise UsageError(f"{option} is for the runner, and every device here has a tool")


def print_rows(results: Iterable[Row], format_: str) -> None:
    """The rows whole as JSON, without raw samples as CSV, shortened as a table."""
    results = list(results)
    if format_ == "table":
        emit([bench_line(row) for row in results], format_, columns=bench_columns(results))
        for row in results:
            if row.profile is not None:
                title = f"{row.model.name} on {setup_label(row)}, mean of {row.profile.runs} runs"
                lines = profile_lines(row.profile)
                emit(lines, format_, columns=PROFILE_COLUMNS, title=title)
    elif format_ == "csv":
        emit([flat(row) for row in results], format_)
    else:
        emit([json.loads(to_json(row)) for row in results], format_)
