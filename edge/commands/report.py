"""`edge report`: puts measured rows side by side."""

import dataclasses
from pathlib import Path

import click

from edge.report.headline import headline, headline_columns
from edge.report.page import write_report
from edge.results.row_files import read_rows
from edge.results.tables import distinctly_named, latest
from onebit.cli import emit, format_option, say
from onebit.errors import OnebitError, UsageError


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="ROWS...")
@click.option(
    "-o",
    "--output",
    metavar="PAGE",
    help="Also write a report: PAGE.html with charts, PAGE.md without, or PAGE.png, charts alone.",
)
@format_option("table", "md", "json", "jsonl", "csv", "png")
def report(files: tuple[str, ...], output: str | None, format_: str) -> None:
    """Puts models side by side: accuracy, size, latency and memory.

    ROWS are files that `python -m edge bench -o` wrote, of any number of devices. The table goes
    to standard output; with -o a report is written too. Of several rows of one cell, the latest
    counts.

    \b
    Example:
      python -m edge report rows.jsonl -o report.html
      python -m edge report pi.jsonl phone.jsonl --format png -o report.png
    """
    results = read_rows(files)
    if not results:
        raise OnebitError(f"no rows in {', '.join(files)}: measure with `python -m edge bench`")
    if format_ == "png" and not (output or "").endswith(".png"):
        raise UsageError("--format png draws into a file: give it with -o, such as -o report.png")
    if output is not None:
        if Path(output).is_dir():
            raise UsageError(f"{output} is a folder; give the page a name, such as report.html")
        write_report(results, output)
        say(f"wrote {output}")
    if format_ == "png":
        return
    lines = headline(distinctly_named(latest(results)))
    if format_ in ("table", "md"):
        emit([line.cells() for line in lines], format_, columns=headline_columns(lines))
    else:
        emit([dataclasses.asdict(line) for line in lines], format_)
