"""`edge compare`: which cells became slower."""

import dataclasses
import re

import click

from edge.results.comparison import (
    APART,
    AUTOMATIC,
    STUDIES,
    Comparison,
    compare,
    fitting_study,
    regressions,
    study_names,
)
from edge.results.row import Row
from edge.results.row_files import read_rows
from edge.results.units import milliseconds
from onebit.cli import emit, format_option, grouped
from onebit.console import say
from onebit.errors import OnebitError, UsageError, near_matches

COLUMNS = {
    "model": "model",
    "setup": "backend",
    "device": "device",
    "old": "old p50",
    "new": "new p50",
    "ratio": "new / old",
    "interval": "95% interval",
    "fastest": "fastest new / old",
    "instructions": "instructions new / old",
    "rows": "rows",
    "verdict": "verdict",
    "reason": "reason",
}

ROUNDING = 1e-7
"""Of accuracies; less than one sample in a million."""

OPTIONAL = ("old", "new", "fastest", "rows")
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


def _points(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """`0.5pp`, percentage points, as a fraction."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*pp", value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is not a number of percentage points such as 0.5pp")
    return float(match[1]) / 100


def _study(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    """`runtime,delegate` as known names."""
    try:
        return None if value is None else study_names(value)
    except UsageError as error:
        raise click.BadParameter(str(error)) from error


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits beyond which the command fails: fractions, None where nothing is asked for."""

    slower: float | None
    larger: float | None
    less_accurate: float | None
    more_instructions: float | None

    @property
    def given(self) -> bool:
        """Whether anything is asked for."""
        return any(value is not None for value in dataclasses.astuple(self))

    def broken_by(self, lines: list[Comparison]) -> list[str]:
        """A sentence for each cell and limit that it breaks.

        Raises:
            OnebitError: A limit cannot be checked, since a figure is unknown.
        """
        found: list[str] = []
        if self.slower is not None:
            found += [_sentence(line) for line in regressions(lines, self.slower)]
        if self.larger is not None:
            found += _larger(lines, self.larger)
        if self.less_accurate is not None:
            found += _less_accurate(lines, self.less_accurate)
        if self.more_instructions is not None:
            found += _more_instructions(lines, self.more_instructions)
        return list(dict.fromkeys(found))


def _larger(lines: list[Comparison], limit: float) -> list[str]:
    return [
        f"{line.model} is {new / old - 1:.1%} larger: {old:,} → {new:,} bytes"
        for line in lines
        if (old := line.old_size_bytes) is not None
        and (new := line.new_size_bytes) is not None
        and new > old * (1 + limit)
    ]


def _less_accurate(lines: list[Comparison], limit: float) -> list[str]:
    found = []
    for line in lines:
        old, new = line.old_accuracy, line.new_accuracy
        if line.old_size_bytes is None:
            continue  # without a partner
        if old is None or new is None:
            side = "old" if old is None else "new"
            raise OnebitError(
                f"the accuracy of {_where(line)} is unknown in the {side} rows",
                hint="measure with --data, or convert with labelled samples",
            )
        if old - new > limit + ROUNDING:
            points = f"{100 * (old - new):.2f} points"
            found.append(f"{_where(line)} is {points} less accurate: {old:.2%} → {new:.2%}")
    return found


def _more_instructions(lines: list[Comparison], limit: float) -> list[str]:
    found = []
    for line in lines:
        if line.old_size_bytes is None:
            continue  # without a partner
        old, new = line.old_instructions, line.new_instructions
        if old is None or new is None:
            side = "old" if old is None else "new"
            raise OnebitError(
                f"the instructions of {_where(line)} are unknown in the {side} rows",
                hint="measure with `onebit edge bench --instructions`",
            )
        more = line.more_instructions
        if more is None:
            raise OnebitError(
                f"the instructions of {_where(line)} were counted by {line.old_counter} and by "
                f"{line.new_counter}",
                hint="count both in the same way",
            )
        if more > limit:
            found.append(f"{_where(line)} executes {more:.2%} more instructions: {old:,} → {new:,}")
    return found


@click.command("compare")
@click.argument("old", metavar="OLD.jsonl")
@click.argument("new", metavar="[NEW.jsonl]", required=False)
@click.option(
    "--models",
    nargs=2,
    metavar="OLD NEW",
    help="Compare two models by their names or files, which may be in one file of rows.",
)
@click.option(
    "--study",
    callback=_study,
    metavar="KEY,...",
    help=f"What may differ between compared rows: any of {', '.join(STUDIES)}. Everything else "
    "must agree. Default: the delegate's version if that pairs rows, else the file.",
)
@click.option(
    "--with-invalid",
    is_flag=True,
    help="Compare disturbed rows too. Sensible where rows were measured in turn (bench -r): what "
    "disturbs both of a pair drops out.",
)
@click.option(
    "--fail-if-slower",
    "slower",
    callback=_limit,
    metavar="LIMIT",
    help="Exit with 1 if a cell is slower by more than this with its whole interval, if it worked "
    "before and fails now, or if nothing could be compared. 5%, 0.05 and 1.05x are the same.",
)
@click.option(
    "--fail-if-larger",
    "larger",
    callback=_limit,
    metavar="LIMIT",
    help="Exit with 1 if a file is larger by more than this, such as 1%.",
)
@click.option(
    "--fail-if-less-accurate",
    "less_accurate",
    callback=_points,
    metavar="POINTS",
    help="Exit with 1 if an accuracy is lower by more than these percentage points, such as 0.5pp, "
    "or unknown.",
)
@click.option(
    "--fail-if-more-instructions",
    "more_instructions",
    callback=_limit,
    metavar="LIMIT",
    help="Exit with 1 if an inference executes more instructions by more than this, such as 1%, or "
    "if they are unknown (bench --instructions). Disturbed rows count too.",
)
@format_option("table", "md", "json", "jsonl", "csv")
@grouped("limits", Limits)
def compare_command(
    old: str,
    new: str | None,
    models: tuple[str, str] | None,
    study: tuple[str, ...] | None,
    with_invalid: bool,
    limits: Limits,
    format_: str,
) -> None:
    """Show which cells became slower or faster, and how sure that is.

    OLD and NEW are files written by `onebit edge bench -o`; with --models one is enough. Rows are
    compared only if they agree in everything except what is under study; the others are listed too.
    Several rows of one cell count as repeated measurements.

    \b
    Example:
      onebit edge bench a.tflite b.tflite --as old --as new -r 5 -o rows.jsonl
      onebit edge compare rows.jsonl --models old new --fail-if-slower 5% --fail-if-larger 1%
      onebit edge compare main.jsonl branch.jsonl --fail-if-slower 5%
    """
    if new is None and models is None:
        raise UsageError(f"there is nothing to compare {old} with", hint="name NEW, or --models")
    sides = _rows(old), _rows(new or old)
    if models is not None:
        sides = _of_model(sides[0], models[0]), _of_model(sides[1], models[1])
        study = study or ("model",)
    used = fitting_study(*sides) if study is None else study
    lines = compare(*sides, used, with_invalid)
    if study is None and used != AUTOMATIC[0]:
        say(f"note: these rows differ in {used[0]}, so that is under study (--study {used[0]})")
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
            "process to process; measure with `edge bench -r 5`"
        )
    missing = _study_that_pairs(lines)
    if missing:
        say(f"note: rows that differ in {' and '.join(missing)} compare with {_option(missing)}")
    if not limits.given:
        return
    broken = limits.broken_by(lines)
    for sentence in broken:
        say(f"regression: {sentence}")
    if broken:
        raise Regression(f"limits that are broken: {len(broken)}")
    apart = [line for line in lines if line.verdict == APART]
    if limits.slower is None:  # other figures are known of disturbed rows, too
        apart = [line for line in apart if line.old_size_bytes is None]
    if len(apart) == len(lines):
        raise OnebitError(
            "nothing could be compared, so nothing is shown to be as good as before",
            hint=f"use {_option(missing)}" if missing else None,
        )


def _rows(path: str) -> list[Row]:
    rows = read_rows(path)
    if not rows:
        raise OnebitError(f"{path} holds no rows", hint="measure with onebit edge bench first")
    return rows


def _of_model(rows: list[Row], name: str) -> list[Row]:
    """The rows of a model, by its name or its file.

    Raises:
        UsageError: There are none, or those of several files.
    """
    found = [row for row in rows if name in (row.model.name, row.model.file)]
    if not found:
        raise UsageError(
            f"no rows of {name!r}", hint=near_matches(name, {row.model.name for row in rows})
        )
    if len({row.model.sha256 for row in found}) > 1:
        raise UsageError(
            f"the rows of {name!r} are of several files",
            hint="name them by bench --as, or here by their files",
        )
    return found


def _study_that_pairs(lines: list[Comparison]) -> tuple[str, ...]:
    """The study with which cells without a partner would have one; empty if there is none."""
    apart = {line.differs_in for line in lines if line.differs_in}
    names = min(apart, key=len, default=())
    return names if set(names) <= set(STUDIES) else ()


def _option(names: tuple[str, ...]) -> str:
    return f"--study {','.join(names)}"


def _columns(lines: list[Comparison], format_: str) -> dict[str, str]:
    """`COLUMNS` without the device if there is only one; reasons are below a table for people.

    Those who measure in turn expect noise: only they see the ratio of the fastest samples.
    """
    hidden = set()
    if not any(line.pairs for line in lines):
        hidden.add("fastest")
    if all(line.more_instructions is None for line in lines):
        hidden.add("instructions")
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
        "fastest": None if line.min_ratio is None else f"{line.min_ratio:.3f}",
        "instructions": _instruction_ratio(line.more_instructions),
        "rows": _counted(line) if measured else None,
        "verdict": line.verdict + (", other outputs" if line.same_outputs is False else ""),
        "reason": line.reason,
    }


def _instruction_ratio(more: float | None) -> str | None:
    return None if more is None else f"{1 + more:.4f}"


def _counted(line: Comparison) -> str:
    if line.pairs:
        return f"{line.pairs} pairs"
    return f"{line.old_rows} / {line.new_rows}"


def _where(line: Comparison) -> str:
    return f"{line.model} on {line.setup}, {line.device}"


def _sentence(line: Comparison) -> str:
    if line.ratio_low is None or line.ratio is None:
        return f"{_where(line)}: {line.reason}"
    return f"{_where(line)} is {line.ratio - 1:.1%} slower, at least {line.ratio_low - 1:.1%}"
