"""`edge compare`: what became slower."""

import dataclasses
import re

import click

from edge.results.comparison import APART, BROKEN, STUDIES, Comparison, compare
from edge.results.row_files import read_rows
from edge.results.units import milliseconds
from onebit.cli import emit, format_option, say
from onebit.errors import OnebitError

COLUMNS = {
    "model": "model",
    "setup": "setup",
    "device": "device",
    "old": "old p50",
    "new": "new p50",
    "ratio": "new / old",
    "interval": "95% interval",
    "rows": "rows",
    "verdict": "verdict",
    "reason": "reason",
}


def _share(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """`5%` or `0.05` as a fraction."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is not a share such as 5% or 0.05")
    return float(match[1]) / (100 if match[2] else 1)


def _study(ctx: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    """`runtime,delegate` as a list of known names."""
    names = [name.strip() for name in value.split(",") if name.strip()]
    unknown = [name for name in names if name not in STUDIES]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(STUDIES)}")
    return names


@click.command("compare")
@click.argument("old", metavar="OLD.jsonl")
@click.argument("new", metavar="NEW.jsonl")
@click.option(
    "--study",
    callback=_study,
    default="delegate",
    show_default=True,
    metavar="KEY,...",
    help=f"What may differ between partners: any of {', '.join(STUDIES)}. All else must agree.",
)
@click.option(
    "--fail-if-slower",
    "limit",
    callback=_share,
    metavar="SHARE",
    help="Exit with 1 if a cell is slower by more than this, such as 5%, with its whole interval; "
    "or if it worked and fails now; or if nothing could be compared.",
)
@format_option("table", "md", "json", "jsonl", "csv")
def compare_command(
    old: str, new: str, study: list[str], limit: float | None, format_: str
) -> None:
    """Tells which cells became slower or faster, and how sure that is.

    OLD and NEW are files that `python -m edge bench -o` wrote. Rows are paired only if they agree
    in everything but what is under study; those without a partner are listed too. Several rows of
    one cell, from repeated calls with --append, count as repeated measurements.

    \b
    Example:
      python -m edge compare main.jsonl branch.jsonl --fail-if-slower 5%
    """
    found = compare(read_rows([old]), read_rows([new]), study)
    if format_ in ("table", "md"):
        emit([_cells(line) for line in found], format_, columns=_columns(found))
    else:
        emit([dataclasses.asdict(line) for line in found], format_)
    if any(line.ratio is not None and min(line.old_rows, line.new_rows) == 1 for line in found):
        say(
            "note: a cell with one row on a side has no part of its interval for what differs from "
            "process to process; measure several times, with --append"
        )
    if limit is None:
        return
    for line in found:
        if line.verdict == BROKEN or (line.ratio_low is not None and line.ratio_low > 1 + limit):
            say(f"regression: {_sentence(line)}")
    if any(line.verdict == BROKEN for line in found):
        raise SystemExit(1)
    if any(line.ratio_low is not None and line.ratio_low > 1 + limit for line in found):
        raise SystemExit(1)
    if all(line.verdict == APART for line in found):
        raise OnebitError("nothing could be compared, so nothing is shown to be as fast as before")


def _columns(found: list[Comparison]) -> dict[str, str]:
    """`COLUMNS` without the device where there is one, and the reason where there is none."""
    hidden = set()
    if len({line.device for line in found}) < 2:
        hidden.add("device")
    if not any(line.reason for line in found):
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


def _sentence(line: Comparison) -> str:
    where = f"{line.model} on {line.setup}, {line.device}"
    if line.ratio_low is None or line.ratio is None:
        return f"{where}: {line.reason}"
    return f"{where} is {line.ratio - 1:.1%} slower, and {line.ratio_low - 1:.1%} at least"
