"""Charts with one row for each measurement: distributions and bars, as inline SVG.

Colours and fonts come from the page's style sheet by class (`s0`, `s1`, … for series), so that the
same drawing serves light and dark pages. Every figure is drawn for one width in CSS pixels, for a
wide and a narrow screen: scaling one drawing down would make its text unreadable.
"""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from edge.report.svg import (
    CHARACTER_PX,
    Axis,
    drawing,
    element,
    line,
    log_range,
    shortened,
    vertical_grid,
)

MAX_DOTS = 240
LABELS_BESIDE_PX = 700
MOST_LABELS = 0.5  # of the width; longer ones are above their rows
LINE_PX = 15
NARROW_NOTE_PX = 16  # half of the number at the last tick
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Strip:
    """One distribution of a strip chart: raw `values`, drawn in the colour of `series`.

    Strips of one group are drawn together under its name.
    """

    label: str
    note: str
    group: str
    values: Sequence[float]
    series: int
    doubtful: bool = False


@dataclass(frozen=True)
class Bar:
    """One bar of a bar chart, in the colour of `series`; `mark` is drawn across it.

    Bars of one group are drawn together under its name.
    """

    label: str
    note: str
    group: str
    value: float
    series: int
    mark: float | None = None
    doubtful: bool = False


@dataclass(frozen=True)
class _Layout:
    """Where the rows of a chart go: labels beside them on a wide chart, above on a narrow one."""

    width: int
    left: float
    right: float
    bottom: float
    places: list[float]
    parts: list[Markup]


SIDE_PX, TOP_PX = 10, 4


def _lay_out(rows: Sequence[Strip | Bar], width: int, row_px: int, note_px: int) -> _Layout:
    """Places the rows, with their groups' headings, labels and notes."""
    heading_px = 30
    group_px = max(len(row.group) for row in rows) * CHARACTER_PX + 14
    label_px = max(len(row.label) for row in rows) * CHARACTER_PX
    beside = width >= LABELS_BESIDE_PX and group_px + label_px <= MOST_LABELS * width
    left = SIDE_PX + (group_px + label_px if beside else 0.0)
    y, places, parts = float(TOP_PX), [], []
    for index, row in enumerate(rows):
        if index == 0 or row.group != rows[index - 1].group:
            if index:
                parts.append(line(SIDE_PX, width - SIDE_PX, y, y, "grid"))
            parts.append(
                element(
                    "text",
                    shortened(row.group, width - 2 * SIDE_PX),
                    x=SIDE_PX,
                    y=y + (row_px / 2 + 8 if beside else 22),
                    class_="label",
                )
            )
            y += 4 if beside else heading_px
        lines = [row.label] if beside else _wrapped(row.label, row.note, width)
        y += 0 if beside else 20 + LINE_PX * (len(lines) - 1)
        places.append(y)
        text_y, x = (y + row_px / 2 + 4, SIDE_PX + group_px) if beside else (y - 2, SIDE_PX)
        for above, text in enumerate(reversed(lines)):
            at = text_y - LINE_PX * above
            parts.append(element("text", text, x=x, y=at, class_="backend"))
        parts.append(
            element("text", row.note, x=width - SIDE_PX, y=text_y, class_="note", text_anchor="end")
        )
        y += row_px
    right = width - SIDE_PX - (note_px if beside else NARROW_NOTE_PX)
    return _Layout(width, left, right, y, places, parts)


def _wrapped(label: str, note: str, width: int) -> list[str]:
    """A label in lines that fit the width, the last of them beside the note."""
    fitting = int((width - 2 * SIDE_PX) / CHARACTER_PX)
    if len(label) + 2 + len(note) <= fitting:
        return [label]
    lines = textwrap.wrap(label, fitting) or [""]
    return lines if len(lines[-1]) + 2 + len(note) <= fitting else [*lines, ""]


def strip_chart(
    strips: Sequence[Strip], width: int, x_title: str, number: Callable[[float], str]
) -> Markup:
    """Raw samples as dots, with a box from p25 to p75, a line to p90 and a bar at the median.

    Above `MAX_DOTS` samples, that many of the sorted ones are drawn, evenly by rank; the smallest
    and the largest are always among them. A group's name is drawn once, so its strips must be
    neighbours.
    """
    layout = _lay_out(strips, width, row_px=36, note_px=84)
    low, high = log_range([v for strip in strips for v in (min(strip.values), max(strip.values))])
    axis = Axis(low, high, layout.left, layout.right, logarithmic=True)
    # The grid is behind everything.
    grid = vertical_grid(axis, TOP_PX, layout.bottom, number, x_title, layout.right)
    drawn = [
        element("g", _strip(strip, axis, at + 18), class_="doubtful" if strip.doubtful else "sound")
        for strip, at in zip(strips, layout.places, strict=True)
    ]
    return drawing(
        width, layout.bottom + 40, "Latency distributions", [grid, *layout.parts, *drawn]
    )


def bar_chart(
    bars: Sequence[Bar], width: int, x_title: str, number: Callable[[float], str], title: str
) -> Markup:
    """Bars from zero, each with its value at the right and, where it has one, a mark across it."""
    layout = _lay_out(bars, width, row_px=26, note_px=110)
    high = max([bar.value for bar in bars] + [bar.mark for bar in bars if bar.mark is not None])
    axis = Axis(0.0, high * 1.02 or 1.0, layout.left, layout.right, logarithmic=False)
    grid = vertical_grid(axis, TOP_PX, layout.bottom, number, x_title, layout.right)
    drawn = []
    for bar, at in zip(bars, layout.places, strict=True):
        wide = max(1.0, axis(bar.value) - axis(0.0))
        parts = [
            element(
                "rect",
                x=axis(0.0),
                y=at + 5,
                width=wide,
                height=16,
                rx=2,
                class_=f"bar s{bar.series}",
            )
        ]
        if bar.mark is not None:
            parts.append(line(axis(bar.mark), axis(bar.mark), at + 2, at + 24, "tickmark"))
        drawn.append(element("g", *parts, class_="doubtful" if bar.doubtful else "sound"))
    return drawing(width, layout.bottom + 40, title, [grid, *layout.parts, *drawn])


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
        + line(axis(p75), axis(p90), middle, middle, f"whisker {colour}")
        + line(axis(p50), axis(p50), middle - 12, middle + 12, f"median {colour}")
    )
