"""Charts as inline SVG, drawn for one width in CSS pixels.

Colours and fonts come from the page's style sheet by class (`s0`, `s1`, … for series), so that the
same drawing serves light and dark pages. Every figure is drawn for a wide and a narrow screen:
scaling one drawing down would make its text unreadable.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from edge.svg import Axis, drawing, element, log_range, marker, vertical_grid

MAX_DOTS = 240
CHARACTER_PX = 6.7  # of the 12 px sans-serif font; on the wide side, so that boxes do not touch
LINE_PX = 15.0
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Strip:
    """One distribution of a strip chart: raw `values`, drawn in the colour of `series`."""

    label: str
    note: str
    values: Sequence[float]
    series: int
    doubtful: bool = False


@dataclass(frozen=True)
class Point:
    """A point of a scatter; points of one `group` share a label and are joined by a line.

    `interval` is the uncertainty of y.
    """

    group: str
    x: float
    y: float
    series: int
    tooltip: str
    interval: tuple[float, float] | None = None


def strip_chart(
    strips: Sequence[Strip], width: int, unit: str, number: Callable[[float], str]
) -> Markup:
    """Raw samples as dots, with a box from p25 to p75, a line to p90 and a bar at the median.

    Above `MAX_DOTS` samples, that many of the sorted ones are drawn, evenly by rank; the smallest
    and the largest are always among them.
    """
    row_px, top, bottom, side = 58, 4, 40, 12
    height = top + row_px * len(strips) + bottom
    low, high = log_range([v for strip in strips for v in (min(strip.values), max(strip.values))])
    axis = Axis(low, high, side, width - side, logarithmic=True)
    floor = height - bottom
    parts = [vertical_grid(axis, top, floor, number, f"{unit}, logarithmic", width)]
    for index, strip in enumerate(strips):
        parts.append(_strip(strip, axis, top + index * row_px, width, side))
    return drawing(width, height, "Latency distributions", parts)


def _strip(strip: Strip, axis: Axis, y: float, width: int, side: int) -> Markup:
    values = np.sort(np.asarray(strip.values, dtype=float))
    p25, p50, p75, p90 = np.percentile(values, [25, 50, 75, 90])
    middle = y + 38
    if len(values) > MAX_DOTS:
        values = values[np.linspace(0, len(values) - 1, MAX_DOTS).round().astype(int)]
    # The golden ratio spreads neighbours evenly and, unlike random jitter, the same every time.
    dots = [
        element("circle", cx=axis(v), cy=middle + ((i * GOLDEN) % 1 - 0.5) * 22, r=1.7)
        for i, v in enumerate(values)
    ]
    colour = f"s{strip.series}"
    return element(
        "g",
        element("text", strip.label, x=side, y=y + 18, class_="label"),
        element("text", strip.note, x=width - side, y=y + 18, class_="note", text_anchor="end"),
        element("g", *dots, class_=f"dots {colour}"),
        element(
            "rect",
            x=axis(p25),
            y=middle - 8,
            width=max(1.0, axis(p75) - axis(p25)),
            height=16,
            rx=2,
            class_=f"box {colour}",
        ),
        element(
            "line", x1=axis(p75), x2=axis(p90), y1=middle, y2=middle, class_=f"whisker {colour}"
        ),
        element(
            "line",
            x1=axis(p50),
            x2=axis(p50),
            y1=middle - 12,
            y2=middle + 12,
            class_=f"median {colour}",
        ),
        class_="doubtful" if strip.doubtful else "sound",
    )


def scatter(
    points: Sequence[Point],
    width: int,
    x_title: str,
    y_title: str,
    x_number: Callable[[float], str],
    y_number: Callable[[float], str],
) -> Markup:
    """Points over a logarithmic x and a linear y axis; each group is named once."""
    height, left, right, top, bottom = 330, 52, 14, 26, 44
    low, high = log_range([p.x for p in points])
    x_axis = Axis(low, high, left, width - right, logarithmic=True)
    spans = [bound for p in points for bound in (p.interval or (p.y, p.y))]
    margin = max((max(spans) - min(spans)) * 0.08, 1e-3)
    y_axis = Axis(min(spans) - margin, max(spans) + margin, height - bottom, top, False)
    parts = [vertical_grid(x_axis, top, height - bottom, x_number, x_title, width)]
    for tick in y_axis.ticks(26):
        y = y_axis(tick)
        parts.append(element("line", x1=left, x2=width - right, y1=y, y2=y, class_="grid"))
        parts.append(
            element("text", y_number(tick), x=left - 7, y=y + 4, class_="tick", text_anchor="end")
        )
    parts.append(element("text", y_title, x=8, y=14, class_="axis"))

    groups: dict[str, list[tuple[float, float]]] = {}
    marks = []
    for point in points:
        x, y = x_axis(point.x), y_axis(point.y)
        groups.setdefault(point.group, []).append((x, y))
        if point.interval:
            low_y, high_y = (y_axis(bound) for bound in point.interval)
            marks.append(element("line", x1=x, x2=x, y1=low_y, y2=high_y, class_="interval"))
        marks.append(marker(x, y, point.series, point.tooltip))
    for positions in groups.values():
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in sorted(positions))
        parts.append(element("polyline", points=path, class_="joint"))
    parts += marks
    parts += place_labels(groups, (left, top, width - right, height - bottom))
    return drawing(width, height, f"{y_title} against {x_title}", parts)


def place_labels(
    groups: dict[str, list[tuple[float, float]]], area: tuple[float, float, float, float]
) -> list[Markup]:
    """A label beside each group, where it covers neither a mark nor another label.

    Greedy: positions around the group's marks are tried from near to far; the one that covers least
    is taken. Labels that end up far from their mark get a line to it.
    """
    left, top, right, bottom = area
    taken = [(x - 7, y - 7, x + 7, y + 7) for marks in groups.values() for x, y in marks]
    parts = []
    for name, marks in groups.items():
        w, best = len(name) * CHARACTER_PX, None
        for distance in (12.0, 24.0, 38.0, 54.0, 74.0):
            for x, y in marks:
                for dx, dy in (
                    (1, 0),
                    (0, -1),
                    (0, 1),
                    (-1, 0),
                    (1, -1),
                    (1, 1),
                    (-1, -1),
                    (-1, 1),
                ):
                    cx = x + dx * (distance + w / 2) if dy == 0 else x + dx * (w / 2)
                    cy = y + dy * (distance + 2)
                    cx = min(max(cx, left + w / 2), right - w / 2)
                    box = (cx - w / 2, cy - LINE_PX / 2, cx + w / 2, cy + LINE_PX / 2)
                    cost = sum(_overlap(box, other) for other in taken)
                    cost += 1e4 * (box[1] < top or box[3] > bottom) + distance * 0.01
                    if best is None or cost < best[0]:
                        best = (cost, box, (x, y), distance)
        if best is None:
            continue
        _, box, (x, y), distance = best
        taken.append(box)
        cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        if distance > 24:
            edge_y = box[3] if cy < y else box[1]
            parts.append(element("line", x1=x, y1=y, x2=cx, y2=edge_y, class_="leader"))
        parts.append(element("text", name, x=cx, y=cy + 4, class_="label", text_anchor="middle"))
    return parts


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """The area that two boxes (left, top, right, bottom) share, in square pixels."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    return wide * high if wide > 0 and high > 0 else 0.0
