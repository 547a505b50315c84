"""`edge compare`: which cells became slower."""

import dataclasses
import re

import click

from edge.results.comparison import APART, STUDIES, Comparison, compare, regressions, study_names
from edge.results.row import Row
from edge.results.row_files import read_rows
from edge.results.units import milliseconds
from onebit.cli import emit, format_option, say
from onebit.errors import OnebitError, UsageError

COLUMNS = {
    "model": "model",
    "setup": "backend",
    "device": "device",
    "old": "old p50",
    "new": "new p50",
    "ratio": "new / old",
    "interval": "95% interval",
    "rows": "rows",
    "verdict": "verdict",
    "reason": "reason",
}

OPTIONAL = ("old", "new", "rows")
"""Columns that a narrow table leaves out, the last ones first."""


class Regression(OnebitError):  # noqa: N818 - a finding, not a fault of the program
    """Cells became slower than `--fail-if-slower` allows, or broke."""


def _limit(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """`5%`, `0.05` or `1.05x` as a fraction."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%|x|×|)", value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is not a limit such as 5%, 0.05 or 1.05x")
    number, unit = float(match[1]), match[2]
    if unit == "" and number >= 1:
        raise click.BadParameter(
            f"{value} may mean a percentage or a factor: write 5%, 0.05 or 1.05x"
        )
    limit = number / 100 if unit == "%" else number - 1 if unit else number
    if not 0 <= limit < 1:
        raise click.BadParameter(f"{value} is not between 0% and 100% (1x and 2x)")
    return limit


def _study(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """`runtime,delegate` as known names."""
    try:
        return study_names(value)
    except UsageError as error:
        raise click.BadParameter(str(error)) from error


@click.command("compare")
@click.argument("old", metavar="OLD.jsonl")
@click.argument("new", metavar="NEW.jsonl")
@click.option(
    "--study",
    callback=_study,
    default="delegate",
    show_default=True,
    metavar="KEY,...",
    help=f"What may differ between compared rows: any of {', '.join(STUDIES)}. Everything else "
    "must agree.",
)
@click.option(
    "--fail-if-slower",
    "limit",
    callback=_limit,
    metavar="LIMIT",
    help="Exit with 1 if a cell is slower by more than this with its whole interval, if it worked "
    "before and fails now, or if nothing could be compared. 5%, 0.05 and 1.05x are the same.",
)
@format_option("table", "md", "json", "jsonl", "csv")
def compare_command(
    old: str, new: str, study: tuple[str, ...], limit: float | None, format_: str
) -> None:
    """Show which cells became slower or faster, and how sure that is.

    OLD and NEW are files written by `onebit edge bench -o`. Rows are compared only if they agree
    in everything except what is under study; the others are listed too. Several rows of one cell,
    from repeated calls, count as repeated measurements.

    \b
    Example:
      onebit edge compare main.jsonl branch.jsonl --fail-if-slower 5%
      onebit edge compare v1.jsonl v2.jsonl --study file
    """
    lines = compare(_rows(old), _rows(new), study)
    if format_ in ("table", "md"):
        cells = [_cells(line) for line in lines]
        emit(cells, format_, columns=_columns(lines, format_), optional=OPTIONAL)
        if format_ == "table":
            for line in lines:
                if line.reason:
                    click.echo(f"{line.verdict}: {_where(line)}: {line.reason}")
    else:
        flat = " ".join if format_ == "csv" else list
        records = [dataclasses.asdict(line) for line in lines]
        emit([record | {"differs_in": flat(record["differs_in"])} for record in records], format_)
    if any(line.ratio is not None and min(line.old_rows, line.new_rows) == 1 for line in lines):
        say(
            "note: cells with a single row on one side: their intervals leave out variation from "
            "process to process; call `edge bench` several times for each file"
        )
    missing = _study_that_pairs(lines)
    if missing:
        say(f"note: rows that differ in {' and '.join(missing)} compare with {_option(missing)}")
    if limit is None:
        return
    slower = regressions(lines, limit)
    for line in slower:
        say(f"regression: {_sentence(line)}")
    if slower:
        raise Regression(f"{len(slower)} of {len(lines)} cells became slower or broke")
    if all(line.verdict == APART for line in lines):
        raise OnebitError(
            "nothing could be compared, so nothing is shown to be as fast as before",
            hint=f"use {_option(missing)}" if missing else None,
        )


def _rows(path: str) -> list[Row]:
    rows = read_rows(path)
    if not rows:
        raise OnebitError(f"{path} holds no rows", hint="measure with onebit edge bench first")
    return rows


def _study_that_pairs(lines: list[Comparison]) -> tuple[str, ...]:
    """The study with which cells without a partner would have one; empty if there is none."""
    apart = {line.differs_in for line in lines if line.differs_in}
    names = min(apart, key=len, default=())
    return names if set(names) <= set(STUDIES) else ()


def _option(names: tuple[str, ...]) -> str:
    return f"--study {','.join(names)}"


def _columns(lines: list[Comparison], format_: str) -> dict[str, str]:
    """`COLUMNS` without the device if there is only one; reasons are below a table for people."""
    hidden = set()
    if len({line.device for line in lines}) < 2:
        hidden.add("device")
    if format_ == "table" or not any(line.reason for line in lines):
        hidden.add("reason")
    return {key: heading for key, heading in COLUMNS.items() if key not in hidden}


def _cells(line: Comparison) -> dict[str, str | None]:
    measured = line.ratio is not None
    return {
        "model": line.model,
        "setup": line.setup,
        "device": line.device,
        "old": milliseconds(line.old_p50_ns) if measured else None,
        "new": milliseconds(line.new_p50_ns) if measured else None,
        "ratio": f"{line.ratio:.3f}" if measured else None,
        "interval": f"{line.ratio_low:.3f}–{line.ratio_high:.3f}" if measured else None,
        "rows": f"{line.old_rows} / {line.new_rows}" if measured else None,
        "verdict": line.verdict + (", other outputs" if line.same_outputs is False else ""),
        "reason": line.reason,
    }


def _where(line: Comparison) -> str:
    return f"{line.model} on {line.setup}, {line.device}"


def _sentence(line: Comparison) -> str:
    if line.ratio_low is None or line.ratio is None:
        return f"{_where(line)}: {line.reason}"
    return f"{_where(line)} is {line.ratio - 1:.1%} slower, at least {line.ratio_low - 1:.1%}"
