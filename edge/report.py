"""The report: one self-contained HTML page derived from result rows."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jinja2
from markupsafe import Markup, escape

from edge import charts, units
from edge.caveats import caveats
from edge.rows import OK, Row, Verification
from edge.tables import (
    HeadlineLine,
    distinctly_named,
    headline,
    host_label,
    latest,
    measured,
    models_of,
    setup_label,
)
from onebit import __version__
from onebit.errors import OnebitError
from onebit.files import write_text

WIDE_PX, HALF_PX, NARROW_PX = 1020, 490, 334
SERIES = 6
"""How many series the style sheet has colours for; further ones begin anew."""


@dataclass(frozen=True)
class Finding:
    """A binary model against its float twin, each on its fastest trusted setup."""

    model: str
    twin: str
    smaller: float
    faster: float | None
    accuracy_points: float | None
    setups: str


@dataclass(frozen=True)
class Figure:
    """One chart, drawn for a wide and for a narrow screen."""

    wide: Markup
    narrow: Markup


def render_report(rows: Sequence[Row]) -> str:
    """The page for these rows; of several rows of one cell, the latest is shown.

    Raises:
        OnebitError: There are no rows.
    """
    if not rows:
        raise OnebitError("there are no rows to report: measure with `python -m edge bench`")
    shown = distinctly_named(latest(rows))
    names = list(dict.fromkeys(row.model.name for row in shown))
    shown.sort(key=lambda row: names.index(row.model.name))
    done = measured(shown)
    several_hosts = len({host_label(row) for row in shown}) > 1

    def label_of(row: Row) -> str:
        return setup_label(row) + (f" on {host_label(row)}" if several_hosts else "")

    labels = list(dict.fromkeys(label_of(row) for row in done))
    series = {label: index % SERIES for index, label in enumerate(labels)}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edge"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        ms=units.milliseconds, size=units.size, percent=units.percent, ratio=units.ratio
    )
    environment.filters["breakable"] = _breakable
    return environment.get_template("report.html.j2").render(
        version=__version__,
        rows=shown,
        measured=done,
        models=models_of(shown),
        # Clock, temperature and load differ from run to run; a host is listed once, as last seen.
        hosts=list({host_label(row): row.host for row in shown}.values()),
        runs=list(dict.fromkeys(row.run for row in shown)),
        troubled=sorted((row for row in shown if row.status != OK), key=lambda row: row.status),
        fastest=list(fastest_lines(shown).values()),
        findings=findings(shown),
        legend={
            label_of(row): _legend_mark(series[label_of(row)])
            for row in done
            if _accuracy(row.model.verification) is not None
        },
        label_of=label_of,
        several_hosts=several_hosts,
        latency=_latency_figure(done, label_of, series),
        size_figure=_size_figure(shown),
        speed_figure=_speed_figure(done, label_of, series),
        caveats=caveats(shown, len(rows) - len(shown)),
        most_dots=charts.MAX_DOTS,
    )


def write_report(rows: Sequence[Row], path: str | os.PathLike[str]) -> None:
    """Writes the page for these rows, whole or not at all.

    Raises:
        OnebitError: There are no rows, or `path` cannot be written.
    """
    write_text(path, render_report(rows))


def fastest_lines(rows: Sequence[Row]) -> dict[tuple[str, str], HeadlineLine]:
    """Host and model → the line with the lowest p50.

    Lines that are not `ok` count only where there is no other. Models whose cells were all skipped
    have none.
    """
    best: dict[tuple[str, str], HeadlineLine] = {}
    for line in headline(rows):
        current = best.setdefault((line.host, line.model), line)
        if (line.status != OK, _p50(line)) < (current.status != OK, _p50(current)):
            best[line.host, line.model] = line
    return best


def findings(rows: Sequence[Row]) -> list[Finding]:
    """Each model that has a float twin measured on the same host, against it.

    Speeds are compared only where both were trusted and used the same number of threads.
    """
    best = fastest_lines(rows)
    found = []
    for line in best.values():
        twin = best.get((line.host, line.twin or ""))
        if twin is None:
            continue
        trusted = line.status == twin.status == OK and line.threads == twin.threads
        points = None
        if line.accuracy_file is not None and twin.accuracy_file is not None:
            points = 100 * (line.accuracy_file - twin.accuracy_file)
        found.append(
            Finding(
                model=line.model,
                twin=twin.model,
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


def _accuracy(verification: Verification | None) -> float | None:
    return verification.accuracy_file if verification else None


def _accuracy_interval(verification: Verification | None) -> tuple[float, float] | None:
    if verification is None or verification.accuracy_file is None or not verification.samples:
        return None
    samples = verification.samples
    return wilson_interval(verification.accuracy_file * samples, samples)


def _breakable(name: str) -> Markup:
    """A name that a narrow column may break after `_` and `:`."""
    return escape(name).replace("_", Markup("_<wbr>")).replace(":", Markup(":<wbr>"))


def _legend_mark(index: int) -> Markup:
    mark = charts.marker(9, 9, index, "")
    return charts.element("svg", mark, width=18, height=18, viewBox="0 0 18 18", aria_hidden="true")


def _latency_figure(
    done: Sequence[Row], label_of: Callable[[Row], str], series: dict[str, int]
) -> Figure | None:
    strips = [
        charts.Strip(
            label=label_of(row) + ("" if row.status == OK else " ⚠"),
            group=row.model.name,
            note=units.milliseconds(row.summary.p50_ns) if row.summary else "",
            values=[sample / 1e6 for sample in row.samples_ns],
            series=series[label_of(row)],
            doubtful=row.status != OK,
        )
        for row in done
    ]
    if not strips:
        return None
    wide, narrow = (
        charts.strip_chart(strips, width, "ms per inference, logarithmic", units.significant_short)
        for width in (WIDE_PX, NARROW_PX)
    )
    return Figure(wide, narrow)


def _size_figure(rows: Sequence[Row]) -> Figure | None:
    points = [
        charts.Point(
            group=model.name,
            x=model.size_bytes,
            y=accuracy * 100,
            series=0,
            tooltip=f"{model.name}: {units.size(model.size_bytes)}, {units.percent(accuracy)}",
            interval=_in_percent(_accuracy_interval(model.verification)),
        )
        for model in models_of(rows)
        if (accuracy := _accuracy(model.verification)) is not None
    ]
    return _scatter(points, "file size, logarithmic", units.size_short, _accuracy_range(rows))


def _speed_figure(
    done: Sequence[Row], label_of: Callable[[Row], str], series: dict[str, int]
) -> Figure | None:
    points = [
        charts.Point(
            group=row.model.name,
            x=row.summary.p50_ns / 1e6,
            y=accuracy * 100,
            series=series[label_of(row)],
            tooltip=f"{row.model.name} on {label_of(row)}: "
            f"{units.milliseconds(row.summary.p50_ns)}, {units.percent(accuracy)}",
        )
        for row in done
        if row.summary and (accuracy := _accuracy(row.model.verification)) is not None
    ]
    title = "p50 latency in ms, logarithmic"
    return _scatter(points, title, units.significant_short, _accuracy_range(done))


def _scatter(
    points: Sequence[charts.Point],
    x_title: str,
    x_number: Callable[[float], str],
    y_range: tuple[float, float],
) -> Figure | None:
    if not points:
        return None
    titles, numbers = (x_title, "accuracy in the file, %"), (x_number, units.significant_short)
    wide, narrow = (
        charts.scatter(points, width, titles, numbers, y_range) for width in (HALF_PX, NARROW_PX)
    )
    return Figure(wide, narrow)


def _accuracy_range(rows: Sequence[Row]) -> tuple[float, float]:
    """The accuracies with their intervals and a margin, in percent."""
    bounds = [0.0, 1.0]
    known = [model.verification for model in models_of(rows) if _accuracy(model.verification)]
    if known:
        bounds = [b for v in known for b in _accuracy_interval(v) or [_accuracy(v) or 0.0]]
    low, high = min(bounds) * 100, max(bounds) * 100
    margin = max(0.5, (high - low) * 0.08)
    return low - margin, high + margin


def _in_percent(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (interval[0] * 100, interval[1] * 100)
