"""Findings: each model on its fastest backend, and against its float baseline."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge.report.headline import HeadlineLine, headline
from edge.results.row import OK, Row


@dataclass(frozen=True)
class ReportFinding:
    """A binary model against its float baseline, each on its fastest trusted backend."""

    model: str
    float_baseline: str
    host: str
    smaller: float
    faster: float | None
    accuracy_points: float | None
    backends: str


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


def findings(rows: Sequence[Row]) -> list[ReportFinding]:
    """Each model that has a float baseline measured on the same host, against it.

    Speeds are compared only where both were trusted, and measured alike: with as many threads, on
    the same cores, for as long.
    """
    best = fastest_lines(rows)
    found = []
    for line in best.values():
        baseline = best.get((line.host, line.float_baseline or ""))
        if baseline is None or line.emulated:
            continue
        trusted = line.status == baseline.status == OK and line.how == baseline.how
        points = _points(line.accuracy_file, baseline.accuracy_file)
        if points is None:
            points = _points(line.accuracy_device, baseline.accuracy_device)
        found.append(
            ReportFinding(
                model=line.model,
                float_baseline=baseline.model,
                host=line.host,
                smaller=baseline.size_bytes / line.size_bytes,
                faster=_p50(baseline) / _p50(line) if trusted else None,
                accuracy_points=points,
                backends=f"{line.setup} against {baseline.setup}",
            )
        )
    return found


def _points(accuracy: float | None, baseline: float | None) -> float | None:
    """The difference in percentage points."""
    return None if accuracy is None or baseline is None else 100 * (accuracy - baseline)


def _p50(line: HeadlineLine) -> float:
    return math.inf if line.p50_ns is None else line.p50_ns
