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
CHARACTER_PX = 7.8  # of a bold 12 px sans-serif; on the wide side, so that boxes do not touch
LABELS_BESIDE_PX = 700
LINE_PX = 15.0
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Strip:
    """One distribution of a strip chart: raw `values`, drawn in the colour of `series`.

    Strips of one group stand together under its name.
    """

    label: str
    note: str
    group: str
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
    strips: Sequence[Strip], width: int, x_title: str, number: Callable[[float], str]
) -> Markup:
    """Raw samples as dots, with a box from p25 to p75, a line to p90 and a bar at the median.

    Above `MAX_DOTS` samples, that many of the sorted ones are drawn, evenly by rank; the smallest
    and the largest are always among them. Labels stand at the left of a wide chart and above the
    strips of a narrow one; a group's name stands once, so its strips must be neighbours.
    """
    beside = width >= LABELS_BESIDE_PX
    side, top, bottom, row_px, heading_px, note_px = 10, 4, 40, 36, 30, 84
    group_px = max(len(strip.group) for strip in strips) * CHARACTER_PX + 14 if beside else 0.0
    label_px = max(len(strip.label) for strip in strips) * CHARACTER_PX if beside else 0.0
    left, right = side + group_px + label_px, width - side - (note_px if beside else 0)

    # First the places, since the grid that lies behind everything must know the height.
    y, places, headings = float(top), [], []
    for index, strip in enumerate(strips):
        if index == 0 or strip.group != strips[index - 1].group:
            headings.append((strip.group, y))
            y += 4 if beside else heading_px
        y += 0 if beside else 20
        places.append(y)
        y += row_px
    low, high = log_range([v for strip in strips for v in (min(strip.values), max(strip.values))])
    axis = Axis(low, high, left, right, logarithmic=True)
    parts = [vertical_grid(axis, top, y, number, x_title, right)]
    for group, at in headings:
        if at > top:
            parts.append(_line(side, width - side, at, at, "grid"))
        parts.append(element("text", group, x=side, y=at + (26 if beside else 22), class_="label"))
    for strip, at in zip(strips, places, strict=True):
        text_y, x = (at + 22, side + group_px) if beside else (at - 2, side)
        note = element(
            "text", strip.note, x=width - side, y=text_y, class_="note", text_anchor="end"
        )
        label = element("text", strip.label, x=x, y=text_y, class_="setup")
        sound = "doubtful" if strip.doubtful else "sound"
        parts.append(element("g", label, note, _strip(strip, axis, at + 18), class_=sound))
    return drawing(width, y + bottom, "Latency distributions", parts)


def _strip(strip: Strip, axis: Axis, middle: float) -> Markup:
    values = np.sort(np.asarray(strip.values, dtype=float))
    p25, p50, p75, p90 = np.percentile(values, [25, 50, 75, 90])
    if len(values) > MAX_DOTS:
        values = values[np.linspace(0, len(values) - 1, MAX_DOTS).round().astype(int)]
    # The golden ratio spreads neighbours evenly and, unlike random jitter, the same every time.
    dots = [
        element("circle", cx=axis(v), cy=middle + ((i * GOLDEN) % 1 - 0.5) * 24, r=2)
        for i, v in enumerate(values)
    ]
    colour = f"s{strip.series}"
    box_px = max(1.0, axis(p75) - axis(p25))
    box = element(
        "rect", x=axis(p25), y=middle - 8, width=box_px, height=16, rx=2, class_=f"box {colour}"
    )
    return (
        element("g", *dots, class_=f"dots {colour}")
        + box
        + _line(axis(p75), axis(p90), middle, middle, f"whisker {colour}")
        + _line(axis(p50), axis(p50), middle - 12, middle + 12, f"median {colour}")
    )


def _line(x1: float, x2: float, y1: float, y2: float, class_: str) -> Markup:
    return element("line", x1=x1, x2=x2, y1=y1, y2=y2, class_=class_)


def scatter(
    points: Sequence[Point],
    width: int,
    titles: tuple[str, str],
    numbers: tuple[Callable[[float], str], Callable[[float], str]],
    y_range: tuple[float, float],
) -> Markup:
    """Points over a logarithmic x and a linear y axis; each group is named once.

    Args:
        points: At least one.
        width: In CSS pixels.
        titles: Of the x and y axis.
        numbers: How the ticks of the x and y axis are written.
        y_range: The ends of the y axis, so that charts side by side can share them.
    """
    height, left, right, top, bottom = 330, 52, 14, 26, 44
    low, high = log_range([p.x for p in points])
    x_axis = Axis(low, high, left, width - right, logarithmic=True)
    y_axis = Axis(*y_range, height - bottom, top, logarithmic=False)
    parts = [vertical_grid(x_axis, top, height - bottom, numbers[0], titles[0], width - right)]
    for tick in y_axis.ticks(26):
        y = y_axis(tick)
        text = numbers[1](tick)
        parts.append(_line(left, width - right, y, y, "grid"))
        parts.append(element("text", text, x=left - 7, y=y + 4, class_="tick", text_anchor="end"))
    parts.append(element("text", titles[1], x=8, y=14, class_="axis"))

    groups: dict[str, list[tuple[float, float]]] = {}
    marks = []
    for point in points:
        x, y = x_axis(point.x), y_axis(point.y)
        groups.setdefault(point.group, []).append((x, y))
        if point.interval:
            bottom_y, top_y = (y_axis(bound) for bound in point.interval)
            parts.append(_line(x, x, bottom_y, top_y, "interval"))
        marks.append(marker(x, y, point.series, point.tooltip))
    for positions in groups.values():
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in sorted(positions))
        parts.append(element("polyline", points=path, class_="joint"))
    parts += marks
    parts += place_labels(groups, (left, top, width - right, height - bottom))
    return drawing(width, height, f"{titles[1]} against {titles[0]}", parts)


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
        for distance in (12.0, 18.0, 28.0, 40.0, 56.0, 74.0):
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
        if distance > 20:
            edge_y = box[3] if cy < y else box[1]
            parts.append(element("line", x1=x, y1=y, x2=cx, y2=edge_y, class_="leader"))
        parts.append(element("text", name, x=cx, y=cy + 4, class_="label", text_anchor="middle"))
    return parts


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """The area that two boxes (left, top, right, bottom) share, in square pixels."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    return wide * high if wide > 0 and high > 0 else 0.0
