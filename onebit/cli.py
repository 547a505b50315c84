"""Behaviour that all of Onebit's command lines share.

Results go to standard output, progress and errors to standard error. Exit codes: 0 success,
1 failure, 2 wrong usage, 130 interrupted.
"""

import csv
import io
import json
import os
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.exceptions import Exit
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from onebit import interrupts
from onebit.errors import OnebitError, UsageError
from onebit.extras import missing_extra

Command = TypeVar("Command", bound=Callable[..., Any])

FORMATS = ("table", "json", "jsonl", "csv")

MIN_COLUMN_WIDTH = 8

stderr_console = Console(stderr=True, highlight=False)
"""Where progress and notes go."""


class CommandGroup(click.Group):
    """A group whose commands turn an `OnebitError` and Ctrl-C into one line on standard error."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; errors that a user can act on end it without a traceback."""
        try:
            with interrupts.raised():
                return super().invoke(ctx)
        except Exit:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) or interrupts.interrupted():
                click.echo("interrupted", err=True)
                ctx.exit(interrupts.EXIT_CODE)
            if isinstance(error, ModuleNotFoundError):
                error = missing_extra(error) or error
            if isinstance(error, OnebitError):
                click.echo(f"error: {error}", err=True)
                ctx.exit(error.exit_code)
            raise


def say(line: str) -> None:
    """Prints a line to standard error, unwrapped, so that programs can search for it."""
    stderr_console.print(line, markup=False, soft_wrap=True)


def format_option(*formats: str) -> Callable[[Command], Command]:
    """The option `--format`, with `table` as its default; all of `FORMATS` when none is named."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(formats or FORMATS),
        default="table",
        show_default=True,
        help="Format of the result.",
    )


def options(*decorators: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """A decorator that adds several options to a command, whose help lists them in this order."""

    def add(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return add


def emit(
    records: Sequence[Mapping[str, Any]],
    format_: str,
    *,
    title: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> None:
    """Prints records to standard output as a table, Markdown, JSON, JSON Lines or CSV.

    Args:
        records: One mapping per line.
        format_: One of `FORMATS`, or `md`.
        title: The table's title.
        columns: Key → heading of what the table and Markdown show; all keys when absent. The other
            formats always hold every key.
    """
    if format_ == "json":
        emit_document(records)
    elif format_ == "jsonl":
        for record in records:
            click.echo(json.dumps(record))
    elif format_ == "csv":
        click.echo(_csv(records), nl=False)
    else:
        headings = columns or {key: key for key in (records[0] if records else {})}
        rows = [[record.get(key) for key in headings] for record in records]
        if format_ == "md":
            click.echo(markdown_table(rows, list(headings.values())), nl=False)
        else:
            print_table(rows, headings.values(), title)


def emit_document(document: Any) -> None:
    """Prints a JSON document to standard output."""
    click.echo(json.dumps(document, indent=2))


def markdown_table(rows: Sequence[Sequence[Any]], headings: Sequence[str]) -> str:
    """A table in Markdown; None is a dash."""
    lines = [headings, ["---"] * len(headings), *rows]
    cells = [["–" if c is None else str(c).replace("|", "\\|") for c in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def _csv(records: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    if records:
        writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
    return text.getvalue()


def print_table(rows: Sequence[Sequence[Any]], headings: Any, title: str | None = None) -> None:
    """Prints a table to standard output; numbers are right-aligned, None is a dash.

    When standard output is not a terminal, the table takes the width that it needs, so that a file
    or a pipe never holds cut cells; the variable COLUMNS limits it.
    """
    headings = list(headings)
    table = Table(title=escape(title) if title else None, title_justify="left", header_style="bold")
    for index, heading in enumerate(headings):
        cells = [str(row[index]) for row in rows if row[index] is not None]
        numeric = all(isinstance(row[index], int | float | None) for row in rows)
        right = bool(rows) and (numeric or all(cell[:1].isdigit() for cell in cells))
        # Long headings over short cells would make the table wider than a terminal.
        heading = textwrap.fill(
            heading, max([MIN_COLUMN_WIDTH, *map(len, cells)]), break_long_words=False
        )
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*("–" if cell is None else escape(str(cell)) for cell in row))
    limited = sys.stdout.isatty() or "COLUMNS" in os.environ
    Console(width=None if limited else 400, highlight=False).print(table)


def require_suffix(path: Path, suffix: str) -> None:
    """Refuses an output whose name would hide what it is.

    Raises:
        UsageError: The name has another suffix.
    """
    if path.suffix != suffix:
        raise UsageError(f"the output {path} must end in {suffix}")
