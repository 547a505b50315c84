"""Output for people: lines and spinners on standard error, tables on standard output."""

import contextlib
import os
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from onebit.secrets import without_passwords

MIN_COLUMN_WIDTH = 8
PIPE_WIDTH = 100
SHORTEST_WRAPPED = 17
"""Columns of shorter texts are not wrapped."""

stderr_console = Console(stderr=True, highlight=False)
"""Where progress and notes go."""


def say(line: str) -> None:
    """Prints a line to standard error, unwrapped, so that programs can search for it."""
    stderr_console.print(without_passwords(line), markup=False, soft_wrap=True)


@contextlib.contextmanager
def working(what: str = "loading TensorFlow") -> Iterator[Status]:
    """Shows a spinner on a terminal while the block runs, which takes seconds."""
    with stderr_console.status(what) as status:
        # Drawn at once: its thread waits for the first library that is loaded.
        status.update(spinner="dots")
        yield status


def markdown_table(rows: Sequence[Sequence[Any]], headings: Sequence[str]) -> str:
    """A table in Markdown; None is a dash."""
    lines = [headings, ["---"] * len(headings), *rows]
    cells = [["–" if c is None else str(c).replace("|", "\\|") for c in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def print_table(
    rows: Sequence[Sequence[Any]],
    headings: Iterable[str],
    title: str | None = None,
    optional: Sequence[str] = (),
) -> None:
    """Prints a table to standard output; numbers are right-aligned, None is a dash.

    Only texts are wrapped, between words, so that the table fits the terminal, or else the width in
    the variable COLUMNS. Where that is not enough, optional columns are left out. A table in a pipe
    or file is wrapped at 100 columns, but as wide as it needs to be to hold every column.

    Args:
        rows: A cell for each heading.
        headings: The columns' names.
        title: Printed above.
        optional: Headings of the columns that may be left out, the least important ones last.
    """
    limited = sys.stdout.isatty() or "COLUMNS" in os.environ
    width = Console().width if limited else PIPE_WIDTH
    columns = [
        _Column(heading, [row[index] for row in rows]) for index, heading in enumerate(headings)
    ]
    framed = len("│") + sum(len(" │ ") + column.least for column in columns) <= width
    gap, edge = (len(" │ "), len("│")) if framed else (len("  "), -len("  "))
    missing: list[str] = []
    left_out = list(optional) if limited else []
    while edge + sum(gap + column.least for column in columns) > width and left_out:
        missing.insert(0, left_out.pop())
        columns = [column for column in columns if column.heading != missing[0]]
    while edge + sum(gap + column.width for column in columns) > width:
        widest = max(columns, key=lambda column: column.width - column.least)
        if widest.width == widest.least:
            break  # the terminal wraps the lines
        widest.width -= 1
    table = Table(
        title=escape(title) if title else None,
        title_justify="left",
        header_style="bold",
        **{} if framed else _WITHOUT_FRAME,
    )
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            overflow="fold",
            width=column.width,
        )
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*cells)
    total = edge + sum(gap + column.width for column in columns)
    Console(width=max(width, total), highlight=False).print(table)
    if missing:
        say(f"note: left out for lack of space: {', '.join(missing)}")


_WITHOUT_FRAME: dict[str, Any] = {
    "box": box.SIMPLE_HEAD,
    "show_edge": False,
    "pad_edge": False,
    "padding": (0, 1, 0, 0),  # the box puts a blank between columns, too
}


class _Column:
    """A column of a table.

    Attributes:
        heading: Its name.
        title: The same in lines, where it is longer than the cells.
        cells: The texts, escaped.
        right: Whether it is aligned to the right, as numbers are.
        least: The width below which words would be broken, or numbers parted from their units.
        width: That of the widest cell; becomes less where the table is too wide.
    """

    def __init__(self, heading: str, values: Sequence[Any]) -> None:
        self.heading = heading
        texts = ["–" if value is None else str(value) for value in values]
        known = [str(value) for value in values if value is not None]
        numeric = all(isinstance(value, int | float | None) for value in values)
        self.right = bool(values) and (numeric or all(text[:1].isdigit() for text in known))
        widest = max(map(len, texts), default=0)
        self.title = textwrap.fill(heading, max(MIN_COLUMN_WIDTH, widest), break_long_words=False)
        words = heading.split()
        for text in texts:
            words += [text] if self.right or widest < SHORTEST_WRAPPED else text.split()
        self.least = max(map(len, words))
        self.width = max(widest, *map(len, self.title.splitlines()))
        self.cells = [escape(text) for text in texts]
