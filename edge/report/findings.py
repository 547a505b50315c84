"""What follows from the rows: each model on its fastest setup, and against its float twin."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge.report.headline import HeadlineLine, headline
from edge.results.row import OK, Row


@dataclass(frozen=True)
class Finding:
    """A binary model against its float twin, each on its fastest trusted setup."""

    model: str
    twin: str
    host: str
    smaller: float
    faster: float | None
    accuracy_points: float | None
    setups: str


def fastest_lines(rows: Sequence[Row]) -> dict[tuple[str, str], HeadlineLine]:
    """Host and model → the line with the lowest p50.

    Lines that are not `ok` count only where there is no other. Models whose cells were all skipped
    have none. An emulated host counts only for models that ran on no real one.
    """
    best: dict[tuple[str, str], HeadlineLine] = {}
    lines = headline(rows)
    real = {line.model for line in lines if not line.emulated}
    for line in lines:
        if line.emulated and line.model in real:
            continue
        current = best.setdefault((line.host, line.model), line)
        if (line.status != OK, _p50(line)) < (current.status != OK, _p50(current)):
            best[line.host, line.model] = line
    return best


def findings(rows: Sequence[Row]) -> list[Finding]:
    """Each model that has a float twin measured on the same host, against it.

    Speeds are compared only where both were trusted, and measured alike: with as many threads, on
    the same cores, for as long.
    """
    best = fastest_lines(rows)
    found = []
    for line in best.values():
        twin = best.get((line.host, line.twin or ""))
        if twin is None or line.emulated:
            continue
        trusted = line.status == twin.status == OK and line.how == twin.how
        points = None
        if line.accuracy_file is not None and twin.accuracy_file is not None:
            points = 100 * (line.accuracy_file - twin.accuracy_file)
        found.append(
            Finding(
                model=line.model,
                twin=twin.model,
                host=line.host,
                smaller=twin.size_bytes / line.size_bytes,
                faster=_p50(twin) / _p50(line) if trusted else None,
                accuracy_points=points,
                setups=f"{line.setup} against {twin.setup}",
            )
        )
    return found


def _p50(line: HeadlineLine) -> float:
    return math.inf if line.p50_ns is None else line.p50_ns


def wilson_interval(successes: float, count: int) -> tuple[float, float]:
    """The 95% interval of a fraction `successes / count` (Wilson's, which stays within 0 to 1)."""
    z = 1.96
    p = successes / count
    centre = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return centre - half, centre + half
