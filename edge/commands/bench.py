"""`edge bench`: measures files."""

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from edge.bench.backends import BACKENDS, find_backends
from edge.bench.cells import check_affinity, check_samples, plan_cells
from edge.bench.fleet_run import Job, done_cells, run_fleet
from edge.bench.measurement import MODES, Plan, plan_for
from edge.bench.models import describe
from edge.bench.reference import host_references
from edge.bench.samples import read_samples
from edge.commands.board_bench import asks_for_boards, board_rows, print_board_rows
from edge.commands.device_options import DeviceChoice, device_options
from edge.commands.progress import DeviceProgress
from edge.devices import host_from_probe
from edge.devices.fleet_file import LOCAL, Entry
from edge.report.caveats import host_notes
from edge.results.row import FAILED, CellKey, Model, Row
from edge.results.row_files import RowWriter, read_rows, repair_rows
from edge.results.row_json import to_json
from edge.results.tables import (
    OPTIONAL,
    PROFILE_COLUMNS,
    backend_label,
    bench_columns,
    bench_line,
    device_label,
    distinctly_named,
    flat,
    profile_lines,
    typical,
)
from edge.runner.cores import AFFINITY, clusters
from onebit.cli import PositiveFloat, command_line, emit, format_option, grouped, options, say
from onebit.errors import OnebitError, UsageError


def _names(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    """`a,b` as a list; None where the option is absent."""
    return None if value is None else [name.strip() for name in value.split(",") if name.strip()]


MAX_THREADS = 256
"""More than any board has cores; thousands would only bring the machine down."""


def _counts(ctx: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    """`1,2` as positive whole numbers."""
    try:
        counts = [int(part) for part in value.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise click.BadParameter(f"{value!r} is not a list of positive whole numbers such as 1,2")
    if max(counts) > MAX_THREADS:
        raise click.BadParameter(f"{max(counts)} threads are more than {MAX_THREADS}, the most")
    return counts


def _affinity(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """`big`, `little` or `0,2`; None where every core may be used."""
    if value is None or value == "none":
        return None
    if not re.fullmatch(AFFINITY, value):
        raise click.BadParameter(f"{value!r} is not big, little, none or cores such as 0,2")
    return value


@dataclass(frozen=True)
class Output:
    """The file for the rows, and how those that it holds are treated."""

    output: str | None
    append: bool
    overwrite: bool
    resume: bool

    def check(self) -> None:
        """Refuses options that contradict each other.

        Raises:
            UsageError: They do.
        """
        chosen = [name for name in ("append", "overwrite", "resume") if getattr(self, name)]
        if self.output is None and chosen:
            raise UsageError(f"--{chosen[0]} needs a file after -o")
        if self.output is not None and Path(self.output).suffix in (".csv", ".html", ".md"):
            raise UsageError(
                f"the rows in {self.output} would be JSON Lines",
                hint="name it ROWS.jsonl; --format csv prints CSV, onebit edge report the page",
            )
        if self.overwrite and len(chosen) > 1:
            raise UsageError(f"--overwrite and --{chosen[0]} contradict each other")

    def done(self) -> Mapping[CellKey, int]:
        """With `--resume`, how often the file has each cell.

        Raises:
            OnebitError: The file holds something other than rows.
        """
        if self.output is None or not self.resume or not Path(self.output).is_file():
            return {}
        repair_rows(self.output)
        return done_cells(read_rows(self.output))

    @contextlib.contextmanager
    def writing(self) -> Iterator[Callable[[Row], None]]:
        """A function that writes a row to the file, which has been checked, if one is asked for."""
        if self.output is None:
            yield lambda row: None
            return
        with contextlib.closing(RowWriter(self.output, not self.overwrite)) as writer:
            yield writer.write


@dataclass(frozen=True)
class Measuring:
    """The backends to run, and for how long."""

    runtimes: list[str] | None
    threads: list[int]
    affinity: str | None
    mode: str
    runs: int | None
    seconds: float | None
    warmup: float | None
    timeout: float | None
    data_path: str | None
    seed: int
    profile_ops: bool
    instructions: bool
    repetitions: int
    retries: int

    def plan(self) -> Plan:
        """The mode's plan with these changes."""
        return plan_for(
            self.mode,
            min_runs=self.runs,
            min_seconds=self.seconds,
            warmup_seconds=self.warmup,
            timeout_seconds=self.timeout,
            seed=self.seed,
            profile_ops=self.profile_ops,
            instructions=self.instructions,
            affinity=self.affinity,
        )

    def check(self, entries: Sequence[Entry]) -> None:
        """Refuses options that a device would ignore, or cores that this machine lacks.

        Raises:
            UsageError: There are such.
        """
        if self.runtimes is not None:
            find_backends(self.runtimes)
        of_the_runner = {
            "--runtime": self.runtimes, "--data": self.data_path, "--profile-ops": self.profile_ops,
            "--retry-invalid": self.retries, "--instructions": self.instructions,
        }  # fmt: skip
        for option, value in of_the_runner.items():
            if value and all(entry.tool is not None for entry in entries):
                raise UsageError(f"{option} is for the runner, and every device here has a tool")
        for entry in entries:
            affinity = entry.affinity or self.affinity
            if affinity is None:
                continue
            if entry.tool is not None:
                raise UsageError(f"{entry.name} is measured by {entry.tool.name}: no affinity")
            if entry.address == LOCAL:
                here = host_from_probe(entry.name, LOCAL, {"clusters": clusters()})
                check_affinity(affinity, here)


output_options = options(
    click.option(
        "-o",
        "--output",
        metavar="ROWS.jsonl",
        help="Write the rows to this file, behind those that it holds.",
    ),
    click.option(
        "--append", is_flag=True, hidden=True, help="Does nothing: rows are always appended."
    ),
    click.option("--overwrite", is_flag=True, help="Replace the rows that the output file holds."),
    click.option(
        "--resume",
        is_flag=True,
        help="Measure only cells that the output file lacks or has as failed.",
    ),
)

measuring_options = options(
    click.option(
        "--runtime",
        "--backend",
        "runtimes",
        callback=_names,
        metavar="NAME,...",
        help=f"Backends, any of {', '.join(BACKENDS)}. Default: lce,lce:indirect_bgemm for files "
        "with Larq Compute Engine's ops, and litert:delegate where the delegate is built; "
        "lce,litert for others.",
    ),
    click.option(
        "--threads",
        callback=_counts,
        default="1",
        show_default=True,
        metavar="N,...",
        help="Numbers of threads.",
    ),
    click.option(
        "--affinity",
        callback=_affinity,
        metavar="CORES",
        help="Run on these cores only: their numbers, such as 0,2, or on devices with two kinds of "
        "cores big or little. Default: any core.",
    ),
    click.option(
        "--mode",
        type=click.Choice(list(MODES)),
        default="standard",
        show_default=True,
        help="How long to measure: "
        + "; ".join(
            f"{mode} at least {plan.min_runs} runs and {plan.min_seconds:g} s"
            for mode, plan in MODES.items()
        )
        + ", after a cool-down.",
    ),
    click.option(
        "-r",
        "--repeat",
        "repetitions",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        metavar="N",
        help="Measure everything N times, in turn (A B A B), each time in new processes.",
    ),
    click.option(
        "--retry-invalid",
        "retries",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        metavar="N",
        help="Measure again, up to N times, what comes out invalid.",
    ),
    click.option("--runs", type=click.IntRange(1), help="Minimum number of runs."),
    click.option("--seconds", type=PositiveFloat(), help="Minimum measuring time in seconds."),
    click.option(
        "--warmup",
        type=PositiveFloat(),
        help="Maximum warm-up time in seconds; it ends earlier once latencies are steady.",
    ),
    click.option(
        "--timeout",
        type=PositiveFloat(min_open=True),
        help="Time limit of a measurement in seconds. Default: the mode's.",
    ),
    click.option(
        "--data",
        "data_path",
        metavar="RUN|NPZ",
        help="Also run labelled samples, and report accuracy and agreement with this machine: a "
        "run folder, its card.json, or an .npz file with inputs and labels.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Seed of the random inputs.",
    ),
    click.option(
        "--profile-ops", is_flag=True, help="Also time each op, on backends with the delegate."
    ),
    click.option(
        "--instructions",
        is_flag=True,
        help="Also count the instructions of inferences, which noise doesn't move: by the kernel, "
        "or on this machine under QEMU where the kernel counts none.",
    ),
)


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--as",
    "names",
    multiple=True,
    metavar="NAME",
    help="What rows and tables call the file; once for each FILE, in their order.",
)
@output_options
@device_options
@click.option(
    "--install", is_flag=True, help="Install what a device behind ssh lacks into its ~/.cache."
)
@measuring_options
@format_option()
@grouped("measuring", Measuring)
@grouped("choice", DeviceChoice)
@grouped("rows", Output)
def bench(
    files: tuple[str, ...],
    names: tuple[str, ...],
    rows: Output,
    choice: DeviceChoice,
    install: bool,
    measuring: Measuring,
    format_: str,
) -> None:
    """Measure latency, memory and agreement of .tflite files, here and on other devices.

    Every FILE runs on every device and backend with every number of threads, each in a separate
    process; devices run in parallel. Rows with all raw samples go to -o as JSON Lines, one by one;
    a table of them goes to standard output. Exits with 1 if a measurement failed.

    A FILE may be a folder of `convert export --to c` with --device mcu:BOARD: it is built for that
    microcontroller and runs under QEMU, which counts instructions.

    \b
    Example:
      onebit edge bench mlp.tflite -o rows.jsonl --runtime lce,litert --threads 1,2
      onebit edge bench mlp.tflite -o rows.jsonl --device ssh://pi@raspberrypi --device local
      onebit edge bench mlp_c/ -o rows.jsonl --device mcu:mps2-an500
      onebit edge bench a.tflite b.tflite --as old --as new -r 5 -o rows.jsonl
    """
    rows.check()
    if asks_for_boards(files, choice.addresses):
        if names or measuring.repetitions > 1:
            raise UsageError("--as and -r are for .tflite files: a board counts the same each time")
        _bench_boards(files, rows, choice, measuring, format_)
        return
    entries = choice.entries()
    models = _named([describe(file) for file in files], names)
    measuring.check(entries)
    for entry in entries:
        if entry.address == LOCAL and entry.tool is None:
            plan_cells(models, measuring.runtimes, entry.threads or measuring.threads)
    samples = None if measuring.data_path is None else read_samples(measuring.data_path)
    if samples is not None:
        check_samples(samples, models)
    plan = measuring.plan()
    done = rows.done()
    results: list[Row] = []
    with rows.writing() as write:
        elsewhere = any(entry.address != LOCAL for entry in entries)
        references = host_references(models, plan, samples, random=elsewhere)
        job = Job(
            models, measuring.runtimes, measuring.threads, plan, samples, references, done, install,
            measuring.repetitions, measuring.retries,
        )  # fmt: skip
        with DeviceProgress(entries) as shown:
            for event in run_fleet(entries, job, command_line("edge")):
                if event.row is not None:
                    write(event.row)
                    results.append(event.row)
                shown.show(event)
    print_rows(results, format_)
    for note in [*_about_instructions(results), *host_notes(results)]:
        say(f"note: {note}")
    _fail_with(results)


def _about_instructions(rows: Sequence[Row]) -> list[str]:
    """Who counted instructions in place of the kernel, and why nobody did."""
    notes = []
    for row in rows:
        counted = row.instructions
        if counted is None or counted.refused is None:
            continue
        if counted.counts:
            notes.append(f"instructions are those of {counted.counter}: {counted.refused}")
        else:
            where = f"{row.model.name} on {backend_label(row)}, {device_label(row)}"
            notes.append(f"no instructions of {where}: {counted.refused}")
    return list(dict.fromkeys(notes))


def _bench_boards(
    files: Sequence[str], rows: Output, choice: DeviceChoice, measuring: Measuring, format_: str
) -> None:
    samples = None if measuring.data_path is None else read_samples(measuring.data_path)
    done = rows.done()
    results: list[Row] = []
    with rows.writing() as write:
        for row in board_rows(
            files, choice.addresses, command_line("edge"), measuring.timeout, done, samples
        ):
            write(row)
            results.append(row)
    if format_ == "table":
        print_board_rows(results)
    else:
        print_rows(results, format_)
    _fail_with(results)


def _fail_with(results: Sequence[Row]) -> None:
    failed = sum(row.status == FAILED for row in results)
    if failed:
        raise OnebitError(f"{failed} of {len(results)} measurements failed")


def _named(models: list[Model], names: Sequence[str]) -> list[Model]:
    """The models with these names, or with their own when none is given.

    Raises:
        UsageError: There are more or fewer names than models, or two are alike.
    """
    if not names:
        return models
    if len(names) != len(models):
        raise UsageError(f"--as is given {len(names)} times for {len(models)} files")
    if len(set(names)) < len(names):
        raise UsageError("two files get the same name by --as")
    return [replace(model, name=name) for model, name in zip(models, names, strict=True)]


def print_rows(results: Iterable[Row], format_: str) -> None:
    """The rows whole as JSON, without raw samples as CSV, shortened as a table."""
    results = list(results)
    if format_ == "table":
        shown = distinctly_named(results)
        cells = typical(shown)
        columns = bench_columns(shown)
        if len(cells) < len(shown):
            columns |= {"trusted": "trusted"}
        lines = [bench_line(row) | {"trusted": trusted} for row, trusted in cells]
        emit(lines, format_, columns=columns, optional=OPTIONAL)
        for row in shown:
            if row.reason is not None:
                label = f"{row.model.name} on {backend_label(row)}, {device_label(row)}"
                if len(cells) < len(shown):
                    label += f", repetition {row.setup.repetition}"
                click.echo(f"{row.status}: {label}: {row.reason}")
        for row in shown:
            if row.profile is not None:
                title = f"{row.model.name} on {backend_label(row)}, mean of {row.profile.runs} runs"
                lines = profile_lines(row.profile)
                emit(lines, format_, columns=PROFILE_COLUMNS, title=title)
    elif format_ == "csv":
        emit([flat(row) for row in results], format_)
    else:
        emit([json.loads(to_json(row)) for row in results], format_)
