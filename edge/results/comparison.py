"""Two sets of rows side by side: what became slower, and how sure that is.

**Which rows.** Two rows are compared only if they agree in everything that moves latency, but for
what is under study: a comparison of two builds of the delegate pairs only rows of one device, file,
runtime, number of threads and so on. What is not trusted, or emulated, is not compared.

**How sure.** The ratio of the medians, new over old, has a 95% interval.

- One row on a side: its samples are resampled in circular blocks (Politis and Romano, "A circular
  block-resampling procedure for stationary data", 1992) of √n samples, since neighbours share what
  the machine did at that moment; the interval is between the 2.5th and the 97.5th percentile of the
  ratio over 1000 resamplings. That covers what moves within a process, and nothing that one process
  gets and another does not, such as where its memory lies.
- Two rows or more on both sides: each is one observation, the logarithm of its median, and the
  difference of the means has Welch's interval (Biometrika 34, 1947), by Student's t with
  Satterthwaite's degrees of freedom. That covers both.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.results.row import FAILED, OK, Row
from edge.results.tables import device_label, setup_label

RESAMPLINGS = 1000
CONFIDENCE = 0.95

KEYS: dict[str, Callable[[Row], Any]] = {
    "device": lambda r: (r.host.device, r.host.kind or "local"),
    "processor": lambda r: (r.host.cpu, r.host.architecture, r.host.user_space_bits),
    "emulated": lambda r: bool(r.host.emulated),
    "model": lambda r: r.model.name,
    "file": lambda r: r.model.sha256,
    "setup": lambda r: r.setup.name,
    "runtime": lambda r: r.setup.runtime_version,
    "delegate": lambda r: r.setup.delegate,
    "threads": lambda r: r.setup.threads,
    "affinity": lambda r: r.setup.affinity,
    "mode": lambda r: r.setup.mode,
}
"""What two rows have to agree in; the names are those of `--study`."""

IMPLIED = {
    "setup": ("runtime", "delegate"),
    "model": ("file",),
    "device": ("processor", "runtime"),
}
"""What cannot agree when something else is under study."""

STUDIES = tuple(key for key in KEYS if key not in ("emulated", "processor"))

SLOWER, FASTER, SAME = "slower", "faster", "no difference shown"
BROKEN, APART = "broken", "not compared"


@dataclass(frozen=True)
class Comparison:
    """A cell of the old rows against the same cell of the new ones.

    `ratio` is new over old: above 1 is slower. `verdict` says `slower` or `faster` where the
    interval excludes 1; `broken` is a cell that worked and failed in the new rows. Without a
    partner, or a trusted one, the verdict is `not compared`, and `reason` says why.
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


def compare(
    old: Sequence[Row], new: Sequence[Row], study: Sequence[str] = ("delegate",)
) -> list[Comparison]:
    """Every cell of the two sets, in the order of the new rows, then what only the old ones have.

    Args:
        old: Rows; several of one cell count as repeated measurements of it.
        new: The same, later.
        study: Names from `STUDIES` in which partners may differ.
    """
    free = set(study).union(*(IMPLIED.get(name, ()) for name in study))
    keys = [name for name in KEYS if name not in free]
    before, after = _grouped(old, keys), _grouped(new, keys)
    return [
        _compared(before.get(cell, []), after.get(cell, []), old, new, keys)
        for cell in dict.fromkeys([*after, *before])
    ]


def _grouped(rows: Sequence[Row], keys: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(KEYS[name](row) for name in keys), []).append(row)
    return groups


def _compared(
    old: list[Row], new: list[Row], all_old: Sequence[Row], all_new: Sequence[Row], keys: list[str]
) -> Comparison:
    shown = (new or old)[-1]
    names = (shown.model.name, setup_label(shown), device_label(shown))
    if not old or not new:
        there = "new" if new else "old"
        others = all_old if new else all_new
        return Comparison(*names, APART, f"only in the {there} rows{_nearest(shown, others, keys)}")
    trusted = [[row for row in side if row.status == OK] for side in (old, new)]
    if not all(trusted):
        broken = trusted[0] and all(row.status == FAILED for row in new)
        index = 0 if not trusted[0] else 1
        side, row = ("old", "new")[index], (old, new)[index][-1]
        reason = f"the {side} row is {row.status}: {row.reason}"
        return Comparison(*names, BROKEN if broken else APART, reason)
    if not all(row.samples_ns for side in trusted for row in side):
        return Comparison(*names, APART, "a program that keeps no samples measured it")
    for side, rows in zip(("old", "new"), trusted, strict=True):
        variants = {tuple(key(row) for key in KEYS.values()) for row in rows}
        if len(variants) > 1:
            reason = f"the {side} rows have {len(variants)} different cells that would fit"
            return Comparison(*names, APART, reason)
    before, after = ([row.samples_ns for row in side] for side in trusted)
    ratio, low, high = ratio_of_medians(before, after)
    verdict = SLOWER if low > 1 else FASTER if high < 1 else SAME
    digests = {row.parity.output_sha256 for side in trusted for row in side if row.parity}
    seeds = {(row.setup.seed, row.model.sha256) for side in trusted for row in side}
    return Comparison(
        *names,
        verdict,
        old_p50_ns=_typical(trusted[0]),
        new_p50_ns=_typical(trusted[1]),
        old_rows=len(trusted[0]),
        new_rows=len(trusted[1]),
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        same_outputs=len(digests) == 1 if len(seeds) == 1 and digests else None,
    )


def _nearest(row: Row, others: Sequence[Row], keys: Sequence[str]) -> str:
    """What sets a row without a partner apart from the row that is most like it."""
    candidates = [other for other in others if other.model.name == row.model.name]
    if not candidates:
        return ""

    def differing(other: Row) -> list[str]:
        return [name for name in keys if KEYS[name](row) != KEYS[name](other)]

    nearest = min((differing(other) for other in candidates), key=len)
    return f"; the nearest row differs in {', '.join(nearest)}"


def _typical(rows: Sequence[Row]) -> float:
    """The geometric mean of the rows' medians, ns."""
    return math.exp(np.mean([math.log(np.median(row.samples_ns)) for row in rows]))


def ratio_of_medians(
    old: Sequence[Sequence[int]], new: Sequence[Sequence[int]], seed: int = 0
) -> tuple[float, float, float]:
    """The ratio of medians, new over old, and the ends of its 95% interval.

    Args:
        old: The samples of one or more measurements.
        new: The same.
        seed: Of the resampling.
    """
    logs = [np.log([np.median(samples) for samples in side]) for side in (old, new)]
    difference = float(logs[1].mean() - logs[0].mean())
    if min(len(side) for side in logs) >= 2:
        half = _welch_half_width(*logs)
        low, high = difference - half, difference + half
    else:
        rng = np.random.default_rng(seed)
        resampled = [
            np.mean([np.log(_resampled_medians(samples, rng)) for samples in side], axis=0)
            for side in (old, new)
        ]
        tails = [100 * (1 - CONFIDENCE) / 2, 100 * (1 + CONFIDENCE) / 2]
        low, high = np.percentile(resampled[1] - resampled[0], tails)
    return math.exp(difference), math.exp(low), math.exp(high)


def _welch_half_width(old: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    from scipy import stats  # half a second that no other command needs

    variances = [side.var(ddof=1) / len(side) for side in (old, new)]
    total = sum(variances)
    if total == 0:
        return 0.0
    freedom = total**2 / sum(
        v**2 / (len(side) - 1) for v, side in zip(variances, (old, new), strict=True)
    )
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * math.sqrt(total))


def _resampled_medians(samples: Sequence[int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Medians of `RESAMPLINGS` circular-block resamplings."""
    values = np.asarray(samples, dtype=np.float64)
    length = math.ceil(math.sqrt(len(values)))
    blocks = math.ceil(len(values) / length)
    medians = np.empty(RESAMPLINGS)
    for i in range(RESAMPLINGS):
        starts = rng.integers(0, len(values), blocks)
        taken = (starts[:, np.newaxis] + np.arange(length)).ravel()[: len(values)] % len(values)
        medians[i] = np.median(values[taken])
    return medians
