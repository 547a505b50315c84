"""`edge report`: puts measured rows side by side."""

import dataclasses

import click

from edge.report.headline import OPTIONAL, headline, headline_columns
from edge.report.page import check_report_path, write_report
from edge.results.row import SKIPPED
from edge.results.row_files import read_rows
from edge.results.tables import (
    distinctly_named,
    latest,
    microcontroller_columns,
    microcontroller_figures,
    split_microcontrollers,
)
from onebit.cli import emit, force_option, format_option
from onebit.console import say
from onebit.errors import OnebitError, UsageError


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="ROWS...")
@click.option(
    "-o",
    "--output",
    metavar="PAGE",
    help="Also write a report: PAGE.html with charts, PAGE.md without, or PAGE.png, charts only.",
)
@force_option
@click.option("--title", metavar="TEXT", help="The report's title.")
@format_option("table", "md", "json", "jsonl", "csv", "png")
def report(
    files: tuple[str, ...], output: str | None, force: bool, title: str | None, format_: str
) -> None:
    """Put models side by side: accuracy, size, latency and memory.

    ROWS are files written by `onebit edge bench -o`, of any number of devices. The table goes to
    standard output; with -o a report is written too. Of several rows of one cell, the latest
    counts.

    \b
    Example:
      onebit edge report rows.jsonl -o report.html
      onebit edge report pi.jsonl phone.jsonl --format png -o report.png
    """
    if format_ == "png" and not (output or "").endswith(".png"):
        raise UsageError("--format png draws into a file", hint="give it with -o page.png")
    if output is not None:
        check_report_path(output, force)
    results = read_rows(files)
    if not results:
        raise OnebitError(f"no rows in {', '.join(files)}", hint="measure with `onebit edge bench`")
    if output is not None:
        write_report(results, output, force=force, title=title)
        say(f"wrote {output}")
    if format_ == "png":
        return
    shown = distinctly_named(latest(results))
    if format_ not in ("table", "md"):
        there = [row for row in shown if row.status != SKIPPED]
        records = [
            dataclasses.asdict(line) | microcontroller_figures(row) | {"reason": row.reason}
            for row, line in zip(there, headline(there), strict=True)
        ]
        emit(records, format_)
        return
    others, boards = split_microcontrollers(shown)
    if others or not boards:
        lines = headline(others)
        cells = [line.cells() for line in lines]
        emit(cells, format_, columns=headline_columns(lines), optional=OPTIONAL)
    if others and boards and format_ == "md":
        click.echo()  # else they would be one table
    if boards:
        emit(boards, format_, columns=microcontroller_columns(boards))
