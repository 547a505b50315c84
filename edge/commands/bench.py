"""`edge bench`: measures files."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

import click
from click.core import ParameterSource

from edge.bench.cells import check_samples, plan_cells
from edge.bench.fleet_run import Job, run_fleet
from edge.bench.models import describe
from edge.bench.reference import host_references
from edge.bench.samples import read_samples
from edge.commands.bench_options import Measuring, Output, measuring_options, output_options
from edge.commands.board_bench import asks_for_boards, board_rows, print_board_rows
from edge.commands.device_options import DeviceChoice, device_options
from edge.commands.progress import DeviceProgress
from edge.devices.fleet_file import LOCAL
from edge.report.caveats import host_notes
from edge.results.row import FAILED, Model, Row
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
from onebit.cli import command_line, emit, format_option, grouped
from onebit.console import say
from onebit.errors import OnebitError, UsageError


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
    microcontroller and runs under QEMU, which counts instructions. With --device
    serial:/dev/ttyACM0[@BAUD] it is a real board that runs what `edge harness` wrote.

    \b
    Example:
      onebit edge bench mlp.tflite -o rows.jsonl --runtime lce,litert --threads 1,2
      onebit edge bench mlp.tflite -o rows.jsonl --device ssh://pi@raspberrypi --device local
      onebit edge bench mlp_c/ -o rows.jsonl --device mcu:mps2-an500
      onebit edge bench mlp_c/ -o rows.jsonl --device serial:/dev/ttyACM0
      onebit edge bench a.tflite b.tflite --as old --as new -r 5 -o rows.jsonl
    """
    rows.check()
    if asks_for_boards(files, choice.addresses):
        _require_for_boards(click.get_current_context())
        _bench_boards(files, rows, choice, measuring, format_)
        return
    entries = choice.entries()
    models = _named([describe(file) for file in files], names)
    measuring.check(entries)
    for entry in entries:
        if entry.address == LOCAL and entry.tool is None and entry.python is None:
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


_FOR_BOARDS = {
    *("files", "output", "append", "overwrite", "resume", "addresses"),
    *("timeout", "data_path", "format_"),
}
"""The parameters that matter to microcontrollers."""


def _require_for_boards(context: click.Context) -> None:
    """Refuses options that would have no effect on a microcontroller.

    Raises:
        UsageError: One was given.
    """
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in _FOR_BOARDS:
            raise UsageError(
                f"{max(parameter.opts, key=len)} has no effect on microcontrollers",
                hint="leave it out: they run a folder of `convert export` once for each sample",
            )


def _bench_boards(
    files: Sequence[str], rows: Output, choice: DeviceChoice, measuring: Measuring, format_: str
) -> None:
    samples = None if measuring.data_path is None else read_samples(measuring.data_path)
    if samples is not None and samples.labels is None:
        say(f"note: {measuring.data_path} has no labels, and rows then have no accuracy")
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
