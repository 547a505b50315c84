"""The report's charts, with their rows and labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from edge.report import charts
from edge.report.accuracy import Accuracy, accuracy_of_model, accuracy_of_row, axis_title
from edge.report.scatter import Point, scatter
from edge.report.svg import element, log_range, marker
from edge.results import units
from edge.results.row import OK, Profile, Row
from edge.results.tables import backend_label, models_of

WIDE_PX, MEDIUM_PX, HALF_PX, NARROW_PX = 1020, 680, 490, 301
"""Drawings of these widths keep their text above 10 px in a window of 360 px and more."""
SERIES = 6
"""How many series the style sheet has colours for; further ones start over."""
MAX_OPS = 16
MIN_SPEED_MODELS = 2


@dataclass(frozen=True)
class Figure:
    """One chart, drawn for wide and narrow screens; where `medium` is None, wide serves between."""

    wide: Markup
    narrow: Markup
    medium: Markup | None = None


def series_of(rows: Sequence[Row]) -> dict[str, int]:
    """Backend → its colour and mark, the same in every chart."""
    labels = dict.fromkeys(backend_label(row) for row in rows)
    return {label: index % SERIES for index, label in enumerate(labels)}


def legend_of(series: dict[str, int]) -> dict[str, Markup]:
    """Backend → a drawing of its mark."""
    return {label: _legend_mark(index) for label, index in series.items()}


def _legend_mark(index: int) -> Markup:
    mark = marker(9, 9, index, "")
    return element("svg", mark, width=18, height=18, viewBox="0 0 18 18", aria_hidden="true")


def latency_figure(rows: Sequence[Row], series: dict[str, int]) -> Figure | None:
    """The samples of one device's rows."""
    strips = [
        charts.Strip(
            label=backend_label(row) + ("" if row.status == OK else " ⚠"),
            group=row.model.name,
            note=units.milliseconds(row.summary.p50_ns) if row.summary else "",
            values=[sample / 1e6 for sample in row.samples_ns],
            series=series[backend_label(row)],
            doubtful=row.status != OK,
        )
        for row in rows
    ]
    if not strips:
        return None
    return _both(
        lambda width: charts.strip_chart(
            strips, width, "ms per inference, logarithmic", units.significant_short
        )
    )


def memory_figure(rows: Sequence[Row], series: dict[str, int]) -> Figure | None:
    """The peak of resident memory of one device's rows; a mark is the file's size."""
    bars = [
        charts.Bar(
            label=backend_label(row),
            note=units.size(row.memory.above_baseline_bytes),
            group=row.model.name,
            value=row.memory.above_baseline_bytes,
            series=series[backend_label(row)],
            mark=row.model.size_bytes,
        )
        for row in rows
        if row.memory and row.memory.above_baseline_bytes is not None
    ]
    if not bars:
        return None
    return _both(
        lambda width: charts.bar_chart(bars, width, "bytes", units.size_short, "Resident memory")
    )


def ops_figure(profile: Profile) -> Figure | None:
    """The time of each op of one row; the smallest ones are added up."""
    timed = [op for op in profile.ops if op.time_ns]
    shown = sorted(timed, key=lambda op: -(op.time_ns or 0))[:MAX_OPS]
    bars = [
        _op_bar(f"{op.node} {op.op}", op.time_ns or 0.0, profile.total_ns, 0)
        for op in timed
        if op in shown
    ]
    rest = [op for op in timed if op not in shown]
    if rest:
        total = sum(op.time_ns or 0.0 for op in rest)
        bars.append(_op_bar(f"{len(rest)} more ops", total, profile.total_ns, 0))
    remaining = max(0.0, profile.total_ns - sum(op.time_ns or 0.0 for op in timed))
    bars.append(_op_bar("runtime and ops without a time", remaining, profile.total_ns, 1))
    return _both(
        lambda width: charts.bar_chart(
            bars, width, "µs per inference", units.significant_short, "Time of each op"
        )
    )


def _op_bar(label: str, time_ns: float, total_ns: float, series: int) -> charts.Bar:
    note = f"{units.significant(time_ns / 1000)} µs, {time_ns / total_ns:.0%}"
    return charts.Bar(label, note, "", time_ns / 1000, series)


def size_figure(rows: Sequence[Row]) -> Figure | None:
    """Accuracy against file size, of all models."""
    known = [
        (model, accuracy)
        for model in models_of(rows)
        if (accuracy := accuracy_of_model(model, rows)) is not None
    ]
    points = [
        Point(
            group=model.name,
            x=model.size_bytes,
            y=accuracy.value * 100,
            series=0,
            tooltip=f"{model.name}: {units.size(model.size_bytes)}, {_about(accuracy)}",
            interval=_in_percent(accuracy.interval),
        )
        for model, accuracy in known
    ]
    numbers = (units.size_short, units.significant_short)
    titles = ("file size, logarithmic", axis_title(accuracy for _, accuracy in known))
    return _scatter(points, titles, numbers, _accuracy_range([found for _, found in known]))


def speed_figure(rows: Sequence[Row], series: dict[str, int]) -> Figure | None:
    """Accuracy against latency, of one device's rows."""
    known = [(row, found) for row in rows if (found := accuracy_of_row(row)) is not None]
    points = [
        _speed_point(row, accuracy.value * 100, _about(accuracy), series) for row, accuracy in known
    ]
    numbers = (units.significant_short, units.significant_short)
    titles = ("p50 latency in ms, logarithmic", axis_title(accuracy for _, accuracy in known))
    return _scatter(points, titles, numbers, _accuracy_range([found for _, found in known]))


def footprint_figure(rows: Sequence[Row], series: dict[str, int]) -> Figure | None:
    """File size against latency, of one device's rows; nothing to see for a single model."""
    if len(models_of(rows)) < MIN_SPEED_MODELS:
        return None
    points = [
        _speed_point(row, row.model.size_bytes, units.size(row.model.size_bytes), series)
        for row in rows
    ]
    numbers = (units.significant_short, units.size_short)
    titles = ("p50 latency in ms, logarithmic", "file size, logarithmic")
    sizes = log_range([row.model.size_bytes for row in rows])
    return _scatter(points, titles, numbers, sizes, lower_is_better=True)


def _speed_point(row: Row, y: float, text: str, series: dict[str, int]) -> Point:
    p50_ns = row.summary.p50_ns if row.summary else 0.0
    return Point(
        group=row.model.name,
        x=p50_ns / 1e6,
        y=y,
        series=series[backend_label(row)],
        tooltip=f"{row.model.name} on {backend_label(row)}: {units.milliseconds(p50_ns)}, {text}",
        doubtful=row.status != OK,
    )


def _scatter(
    points: Sequence[Point],
    titles: tuple[str, str],
    numbers: tuple[Callable[[float], str], Callable[[float], str]],
    y_range: tuple[float, float],
    lower_is_better: bool = False,
) -> Figure | None:
    if not points:
        return None
    wide, narrow = (
        scatter(points, width, titles, numbers, y_range, lower_is_better)
        for width in (HALF_PX, NARROW_PX)
    )
    return Figure(wide, narrow)


def _both(draw: Callable[[int], Markup]) -> Figure:
    return Figure(draw(WIDE_PX), draw(NARROW_PX), draw(MEDIUM_PX))


def _about(accuracy: Accuracy) -> str:
    return f"{units.percent(accuracy.value)} {accuracy.where}"


def _accuracy_range(accuracies: Sequence[Accuracy]) -> tuple[float, float]:
    """The accuracies with their intervals and a margin, in percent."""
    bounds = [bound for each in accuracies for bound in each.interval or (each.value,)]
    low, high = min(bounds, default=0.0) * 100, max(bounds, default=1.0) * 100
    margin = max(0.5, (high - low) * 0.08)
    return low - margin, high + margin


def _in_percent(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (interval[0] * 100, interval[1] * 100)
