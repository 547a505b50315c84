"""Two sets of rows side by side: which cells became slower, and how sure that is.

**Which rows.** Two rows are compared only if they agree in everything that moves latency, except
what is under study: a comparison of two builds of the delegate pairs only rows of one device, file,
runtime, number of threads and so on. Rows that are not trusted, or emulated, are not compared.

**How sure.** The ratio of the medians, new over old, has a 95% interval.

- One row on a side: its samples are resampled in circular blocks of √n samples, since neighbours
  share what the machine did at that moment; the interval is between the 2.5th and the 97.5th
  percentile of the ratio over 1000 resamplings. It covers variation within a process, but not
  between processes, such as the place of their memory.
- Two rows or more on both sides: each is one observation, the logarithm of its median, and the
  difference of the means has Welch's interval. It covers both.
- Rows of one call, measured in turn (`edge bench -r`): the two of a repetition make a pair, and the
  pairs' ratios have Student's interval. What disturbs both of a pair drops out, too.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.results.cell_key import CellKey
from edge.results.row import FAILED, INVALID, OK, Row
from edge.results.statistics import paired_ratio_of_medians, ratio_of_medians
from edge.results.tables import backend_label, counted_by, device_label
from onebit.errors import UsageError, near_matches

KEYS: dict[str, Callable[[Row], Any]] = {
    "device": lambda r: (CellKey.of(r).device, r.host.kind or "local"),
    "processor": lambda r: (r.host.cpu, r.host.architecture, r.host.user_space_bits),
    "emulated": lambda r: bool(r.host.emulated),
    "model": lambda r: r.model.name,
    "file": lambda r: CellKey.of(r).file,
    "backend": lambda r: CellKey.of(r).backend,
    "runtime": lambda r: r.setup.runtime_version,
    "delegate": lambda r: r.setup.delegate,
    "threads": lambda r: CellKey.of(r).threads,
    "affinity": lambda r: CellKey.of(r).affinity,
    "mode": lambda r: CellKey.of(r).mode,
}
"""Properties in which two rows must agree; the names are those of `--study`."""

IMPLIED = {
    "backend": ("runtime", "delegate"),
    "model": ("file",),
    "device": ("processor", "runtime"),
}
"""Properties that cannot agree when another one is under study."""

STUDIES = tuple(key for key in KEYS if key not in ("emulated", "processor"))
RENAMED = {"setup": "backend"}

AUTOMATIC = ("delegate",), ("file",)
"""The studies that are tried, in this order, when none is named."""

SLOWER, FASTER, SAME = "slower", "faster", "no difference shown"
BROKEN, APART = "broken", "not compared"


@dataclass(frozen=True)
class Comparison:
    """A cell of the old rows against the same cell of the new ones.

    `ratio` is new over old: above 1 is slower; `pairs` is of how many pairs, 0 if it isn't that of
    pairs. The medians and `min_ratio` are of the same rows. `min_ratio` is the ratio of the fastest
    samples, which other processes move least, and has no interval. Accuracies are fractions, on the
    device where it was measured for a side, and from the conversion where it was for neither.
    Instructions are the fewest of an inference, also of disturbed rows: noise doesn't move them.

    `verdict` says `slower` or `faster` where the interval excludes 1; `broken` is a cell that
    worked and failed in the new rows. Without a partner, or a trusted one, the verdict is `not
    compared`, and `reason` says why. `differs_in` lists the keys in which a cell without a partner
    differs from the row that is most like it.
    """

    model: str
    setup: str
    device: str
    verdict: str
    reason: str | None = None
    old_p50_ns: float | None = None
    new_p50_ns: float | None = None
    old_rows: int = 0
    new_rows: int = 0
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    same_outputs: bool | None = None
    differs_in: tuple[str, ...] = ()
    pairs: int = 0
    min_ratio: float | None = None
    old_size_bytes: int | None = None
    new_size_bytes: int | None = None
    old_accuracy: float | None = None
    new_accuracy: float | None = None
    old_instructions: int | None = None
    new_instructions: int | None = None
    old_counter: str | None = None
    new_counter: str | None = None

    @property
    def more_instructions(self) -> float | None:
        """New over old less 1; None where a count is unknown or another counter's."""
        old, new = self.old_instructions, self.new_instructions
        if not old or new is None or self.old_counter != self.new_counter:
            return None
        return new / old - 1


def study_names(study: str | Iterable[str]) -> tuple[str, ...]:
    """The names of a study, which may be one text such as `runtime,delegate`.

    Raises:
        UsageError: A name is unknown; the message gives near ones.
    """
    parts = study.split(",") if isinstance(study, str) else study
    names = tuple(RENAMED.get(part.strip(), part.strip()) for part in parts if part.strip())
    for name in names:
        if name not in STUDIES:
            raise UsageError(f"{name!r} cannot be under study", hint=near_matches(name, STUDIES))
    return names


def fitting_study(old: Sequence[Row], new: Sequence[Row]) -> tuple[str, ...]:
    """The first of `AUTOMATIC` with which a cell has a partner; the first of all if none has."""
    for study in AUTOMATIC:
        before, after = (set(_grouped(rows, _keys(study))) for rows in (old, new))
        if before & after:
            return study
    return AUTOMATIC[0]


def compare(
    old: Sequence[Row],
    new: Sequence[Row],
    study: str | Iterable[str] | None = None,
    with_invalid: bool = False,
) -> list[Comparison]:
    """Every cell of the two sets, in the order of the new rows, then those of the old ones only.

    Args:
        old: Rows; several of one cell count as repeated measurements of it.
        new: The same, later.
        study: Names from `STUDIES` in which partners may differ; `fitting_study` when None.
        with_invalid: Whether disturbed rows are compared, too.

    Raises:
        UsageError: A name of the study is unknown.
    """
    keys = _keys(fitting_study(old, new) if study is None else study_names(study))
    allowed = (OK, INVALID) if with_invalid else (OK,)
    before, after = _grouped(old, keys), _grouped(new, keys)
    return [
        _compared(before.get(cell, []), after.get(cell, []), old, new, keys, allowed)
        for cell in dict.fromkeys([*after, *before])
    ]


def _keys(study: Iterable[str]) -> list[str]:
    """The properties in which partners must agree."""
    names = set(study)
    free = names.union(*(IMPLIED.get(name, ()) for name in names))
    return [name for name in KEYS if name not in free]


def regressions(lines: Iterable[Comparison], limit: float) -> list[Comparison]:
    """The cells that are slower by more than `limit` with their whole interval, or broken.

    Args:
        lines: What `compare` returned.
        limit: A fraction: 0.05 is 5 %.

    Raises:
        UsageError: The limit is negative, or 1 and more, as a percentage would be.
    """
    if not 0 <= limit < 1:
        raise UsageError(
            f"the limit is a fraction from 0 to below 1, not {limit:g}", hint="0.05 is 5%"
        )
    return [
        line
        for line in lines
        if line.verdict == BROKEN or (line.ratio_low is not None and line.ratio_low > 1 + limit)
    ]


def _grouped(rows: Sequence[Row], keys: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(KEYS[name](row) for name in keys), []).append(row)
    return groups


def _compared(
    old: list[Row],
    new: list[Row],
    all_old: Sequence[Row],
    all_new: Sequence[Row],
    keys: list[str],
    allowed: Sequence[str],
) -> Comparison:
    shown = (new or old)[-1]
    names = (shown.model.name, backend_label(shown), device_label(shown))
    if not old or not new:
        there = "new" if new else "old"
        differs_in = _nearest(shown, all_old if new else all_new, keys)
        reason = f"only in the {there} rows"
        if differs_in:
            reason += f"; the nearest row differs in {', '.join(differs_in)}"
        return Comparison(*names, APART, reason, differs_in=differs_in)
    files: dict[str, Any] = {
        "old_size_bytes": old[-1].model.size_bytes,
        "new_size_bytes": new[-1].model.size_bytes,
        **_accuracies(old, new),
        **_instructions(old, "old"),
        **_instructions(new, "new"),
    }
    trusted = [
        [row for row in side if row.status in allowed and not row.host.emulated]
        for side in (old, new)
    ]
    if not all(trusted):
        broken = trusted[0] and all(row.status == FAILED for row in new)
        index = 0 if not trusted[0] else 1
        side, row = ("old", "new")[index], (old, new)[index][-1]
        reason = f"the {side} row is {row.status}: {row.reason}"
        return Comparison(*names, BROKEN if broken else APART, reason, **files)
    apart = _why_apart(*trusted)
    if apart:
        return Comparison(*names, APART, apart, **files)
    verdict, figures = _compared_samples(*trusted)
    return Comparison(*names, verdict, **figures | files)


def _why_apart(old: Sequence[Row], new: Sequence[Row]) -> str | None:
    """Why the samples of rows that may be trusted cannot be compared; None if they can."""
    if not all(row.samples_ns for row in (*old, *new)):
        return "summary statistics only: there are no samples to compare"
    for side, rows in (("old", old), ("new", new)):
        variants = {tuple(key(row) for key in KEYS.values()) for row in rows}
        if len(variants) > 1:
            return f"the {side} rows have {len(variants)} different cells that would fit"
    return None


def _compared_samples(old: Sequence[Row], new: Sequence[Row]) -> tuple[str, dict[str, Any]]:
    """The verdict, and those fields of a `Comparison` that come from samples and outputs."""
    before, after = ([row.samples_ns for row in side] for side in (old, new))
    pairs = _pairs(old, new)
    if len(pairs) < 2:
        pairs = []
    if pairs:
        ratio, low, high = paired_ratio_of_medians(pairs)
        before, after = ([pair[side] for pair in pairs] for side in (0, 1))
    else:
        ratio, low, high = ratio_of_medians(before, after)
    fastest = [min(min(samples) for samples in side) for side in (before, after)]
    digests = {row.parity.output_sha256 for row in (*old, *new) if row.parity}
    seeds = {(row.setup.seed, row.model.sha256) for row in (*old, *new)}
    return SLOWER if low > 1 else FASTER if high < 1 else SAME, {
        "old_p50_ns": _typical(before),
        "new_p50_ns": _typical(after),
        "old_rows": len(old),
        "new_rows": len(new),
        "ratio": ratio,
        "ratio_low": low,
        "ratio_high": high,
        "same_outputs": len(digests) == 1 if len(seeds) == 1 and digests else None,
        "pairs": len(pairs),
        "min_ratio": fastest[1] / fastest[0],
    }


def _pairs(old: Sequence[Row], new: Sequence[Row]) -> list[tuple[Any, Any]]:
    """The samples of rows that were measured in the same repetition of the same call."""
    sides = []
    for rows in (old, new):
        turns: dict[tuple[str, int], list[Row]] = {}
        for row in rows:
            turns.setdefault((row.run.id, row.setup.repetition), []).append(row)
        sides.append({turn: found[0] for turn, found in turns.items() if len(found) == 1})
    before, after = sides
    return [
        (row.samples_ns, after[turn].samples_ns) for turn, row in before.items() if turn in after
    ]


def _accuracies(old: Sequence[Row], new: Sequence[Row]) -> dict[str, float | None]:
    """Those on the device, of the last row that has one; without any, those of the conversions.

    They are of different samples: one of each would not show what changed.
    """
    measured: list[float | None] = []
    converted: list[float | None] = []
    for rows in (old, new):
        known = [row.evaluation.accuracy for row in rows if row.evaluation is not None]
        measured.append(next((each for each in reversed(known) if each is not None), None))
        verification = rows[-1].model.verification
        converted.append(None if verification is None else verification.accuracy_file)
    used = converted if measured == [None, None] else measured
    return dict(zip(("old_accuracy", "new_accuracy"), used, strict=True))


def _instructions(rows: Sequence[Row], side: str) -> dict[str, Any]:
    """The fewest instructions of the last row's counter, by the names of `Comparison`'s fields."""
    known = [found for row in rows if (found := counted_by(row)) is not None]
    counter = known[-1].counter if known else None
    counts = [min(each.counts) for each in known if each.counter == counter]
    return {f"{side}_instructions": min(counts, default=None), f"{side}_counter": counter}


def _nearest(row: Row, others: Sequence[Row], keys: Sequence[str]) -> tuple[str, ...]:
    """In which keys a row without a partner differs from the row that is most like it."""
    candidates = [other for other in others if other.model.name == row.model.name]

    def differing(other: Row) -> tuple[str, ...]:
        return tuple(name for name in keys if KEYS[name](row) != KEYS[name](other))

    return min((differing(other) for other in candidates), key=len, default=())


def _typical(rows: Sequence[Sequence[int]]) -> float:
    """The geometric mean of the medians of rows of samples, ns."""
    return math.exp(np.mean([math.log(np.median(samples)) for samples in rows]))
