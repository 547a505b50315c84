"""The report's main charts as a picture, for slides and pages without HTML."""

import io
from collections.abc import Sequence
from typing import Any

from edge.report.accuracy import accuracy_of_row, axis_title
from edge.report.scatter import Point, pareto_front, place_labels
from edge.report.svg import Axis, log_range
from edge.results.row import OK, Row
from edge.results.tables import backend_label, host_label, timed
from edge.results.units import significant_short
from onebit import __version__
from onebit.errors import OnebitError
from onebit.interrupts import importing

SOFTWARE = "Onebit"
"""The program that the picture names as its origin."""

WIDTH_INCHES, ROW_INCHES, SCATTER_INCHES = 10.0, 0.32, 3.6
DOTS_PER_INCH = 144
CHARACTER_DOTS = 8.6  # of the names beside points
TICKS_PX = 600  # about the width of an axis, on which ticks keep their distance
# Okabe and Ito's palette, as on the page.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9")
MARKS = "osDv^P"


def render_png(rows: Sequence[Row], title: str | None = None) -> bytes:
    """A PNG of latency distributions, and of accuracy against latency, for each real device.

    Raises:
        OnebitError: No row has times that mean something.
    """
    devices: dict[str, list[Row]] = {}
    for row in timed(rows):
        devices.setdefault(host_label(row), []).append(row)
    if not devices:
        raise OnebitError("no row was measured on a real device: there is nothing to draw")
    with importing():  # half a second that the other kinds of report do not need
        from matplotlib import figure

    heights = []
    for own in devices.values():
        heights += [ROW_INCHES * len(own) + 1.0, SCATTER_INCHES if _known(own) else 0.01]
    drawn = figure.Figure((WIDTH_INCHES, sum(heights) + 0.4), layout="constrained")
    models = len({row.model.name for row in rows})
    days = sorted({row.run.timestamp[:10] for row in rows})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    what = title or f"Onebit: {models} model{'s' if models > 1 else ''}"
    drawn.suptitle(f"{what}, {when}", fontsize=11)
    axes = drawn.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    labels = list(dict.fromkeys(backend_label(row) for own in devices.values() for row in own))
    groups = {}
    for index, (name, own) in enumerate(devices.items()):
        _draw_latency(axes[2 * index], own, labels)
        axes[2 * index].set_title(f"Latency on {name}", loc="left", fontsize=10)
        if _known(own):
            groups[2 * index + 1] = _draw_accuracy(axes[2 * index + 1], own, labels)
        else:
            axes[2 * index + 1].set_axis_off()
    drawn.set_dpi(DOTS_PER_INCH)
    drawn.draw_without_rendering()  # places the axes, in which the labels then have to fit
    for index, points in groups.items():
        _draw_names(axes[index], points)
    content = io.BytesIO()
    origin = {"Software": f"{SOFTWARE} {__version__}"}
    drawn.savefig(content, format="png", dpi=DOTS_PER_INCH, metadata=origin)
    return content.getvalue()


def _known(rows: Sequence[Row]) -> bool:
    return any(accuracy_of_row(row) is not None for row in rows)


def _draw_latency(axes: Any, rows: Sequence[Row], labels: Sequence[str]) -> None:
    """Boxes from p25 to p75 with whiskers from p10 to p90."""
    boxes = axes.boxplot(
        [[ns / 1e6 for ns in row.samples_ns] for row in rows],
        orientation="horizontal",
        whis=(10, 90),
        showfliers=False,
        patch_artist=True,
        widths=0.6,
        medianprops={"color": "black"},
    )
    for box, row in zip(boxes["boxes"], rows, strict=True):
        box.set_facecolor(COLOURS[labels.index(backend_label(row)) % len(COLOURS)])
        box.set_alpha(0.8 if row.status == OK else 0.3)
    warned = ["" if row.status == OK else " (invalid)" for row in rows]
    names = [f"{r.model.name}, {backend_label(r)}{w}" for r, w in zip(rows, warned, strict=True)]
    axes.set_yticks(range(1, len(rows) + 1), names, fontsize=8)
    axes.invert_yaxis()
    _scale(axes)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel(
        "ms per inference, logarithmic; box: middle half, whiskers: p10 to p90", fontsize=8
    )
    axes.grid(axis="x", alpha=0.3)


def _draw_accuracy(axes: Any, rows: Sequence[Row], labels: Sequence[str]) -> list[Point]:
    """Draws a point for each row with an accuracy; returns them."""
    points = []
    for row in rows:
        accuracy, summary = accuracy_of_row(row), row.summary
        if accuracy is None or summary is None:
            continue
        index = labels.index(backend_label(row))
        doubtful = row.status != OK
        point = Point(
            row.model.name, summary.p50_ns / 1e6, accuracy.value * 100, index, "", None, doubtful
        )
        points.append(point)
        colour, mark = COLOURS[index % len(COLOURS)], MARKS[index % len(MARKS)]
        alpha = 0.3 if doubtful else 1.0
        axes.plot(point.x, point.y, mark, color=colour, alpha=alpha, label=backend_label(row))
    front = pareto_front(points)
    if len(front) > 1:
        xs, ys = [p.x for p in front], [p.y for p in front]
        axes.step(xs, ys, where="post", color="#0072b2", linewidth=1, label="Pareto front")
    once = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    # Beside the axes, where it covers no point.
    axes.legend(once.values(), once.keys(), fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    axes.margins(x=0.12, y=0.15)
    _scale(axes)
    axes.set_xlabel("p50 in ms, logarithmic", fontsize=8)
    known = [found for row in rows if (found := accuracy_of_row(row)) is not None]
    axes.set_ylabel(axis_title(known), fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    return points


def _draw_names(axes: Any, points: Sequence[Point]) -> None:
    """Names each model once, beside its points."""
    groups: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        groups.setdefault(point.group, []).append(axes.transData.transform((point.x, point.y)))
    box = axes.get_window_extent()
    to_data = axes.transData.inverted().transform
    for label in place_labels(groups, (box.x0, box.y0, box.x1, box.y1), CHARACTER_DOTS):
        axes.text(*to_data((label.x, label.y)), label.text, fontsize=7, ha="center", va="center")
        if label.leader is not None:
            start, end = to_data(label.leader[:2]), to_data(label.leader[2:])
            axes.plot(*zip(start, end, strict=True), color="grey", linewidth=0.6)


def _scale(axes: Any) -> None:
    """A logarithmic x axis with round numbers, without exponents."""
    axes.set_xscale("log")
    low, high = log_range(axes.get_xlim())
    axes.set_xlim(low, high)
    ticks = Axis(low, high, 0, TICKS_PX, logarithmic=True).ticks(48)
    axes.set_xticks(ticks, [significant_short(tick) for tick in ticks])
    axes.minorticks_off()
