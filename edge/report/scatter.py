"""Scatter charts with labels beside the points, and the Pareto front among them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from edge.report.svg import (
    CHARACTER_PX,
    Axis,
    drawing,
    element,
    line,
    log_range,
    marker,
    shortened,
    vertical_grid,
)

LINE_PX = 15.0
LONGEST_LABEL = 0.7  # of the area's width: the rest has room for marks beside it
DIRECTIONS = ((1, 0), (0, -1), (0, 1), (-1, 0), (1, -1), (1, 1), (-1, -1), (-1, 1))
"""From a mark to its label, the best first."""


@dataclass(frozen=True)
class Point:
    """A point of a scatter; points of one `group` share a label and are joined by a line.

    `interval` is the uncertainty of y. A doubtful point is drawn faintly and is on no front.
    """

    group: str
    x: float
    y: float
    series: int
    tooltip: str
    interval: tuple[float, float] | None = None
    doubtful: bool = False


def scatter(
    points: Sequence[Point],
    width: int,
    titles: tuple[str, str],
    numbers: tuple[Callable[[float], str], Callable[[float], str]],
    y_range: tuple[float, float],
    lower_is_better: bool = False,
) -> Markup:
    """Points over a logarithmic x and a linear y axis; each group is named once.

    A line steps along the Pareto front: the points to which none is further left and higher.

    Args:
        points: At least one.
        width: In CSS pixels.
        titles: Of the x and y axis.
        numbers: How the ticks of the x and y axis are written.
        y_range: The ends of the y axis, so that charts side by side can share them.
        lower_is_better: Small y are good; the y axis is logarithmic then.
    """
    height, left, right, top, bottom = 330, 52, 14, 26, 44
    low, high = log_range([p.x for p in points])
    x_axis = Axis(low, high, left, width - right, logarithmic=True)
    y_axis = Axis(*y_range, height - bottom, top, logarithmic=lower_is_better)
    parts = [vertical_grid(x_axis, top, height - bottom, numbers[0], titles[0], width - right)]
    for tick in y_axis.ticks(26):
        y = y_axis(tick)
        text = numbers[1](tick)
        parts.append(line(left, width - right, y, y, "grid"))
        parts.append(element("text", text, x=left - 7, y=y + 4, class_="tick", text_anchor="end"))
    parts.append(element("text", titles[1], x=8, y=14, class_="axis"))

    groups: dict[str, list[tuple[float, float]]] = {}
    marks = []
    for point in points:
        x, y = x_axis(point.x), y_axis(point.y)
        groups.setdefault(point.group, []).append((x, y))
        if point.interval:
            bottom_y, top_y = (y_axis(bound) for bound in point.interval)
            parts.append(line(x, x, bottom_y, top_y, "interval"))
        drawn = marker(x, y, point.series, point.tooltip)
        marks.append(element("g", drawn, class_="doubtful") if point.doubtful else drawn)
    for positions in groups.values():
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in sorted(positions))
        parts.append(element("polyline", points=path, class_="joint"))
    worst = (width - right, top if lower_is_better else height - bottom)
    steps = _front_steps(pareto_front(points, lower_is_better), x_axis, y_axis, worst)
    if steps:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in steps)
        parts.append(element("polyline", points=path, class_="front"))
    parts += marks
    for label in place_labels(groups, (left, top, width - right, height - bottom)):
        parts += _drawn(label)
    return drawing(width, height, f"{titles[1]} against {titles[0]}", parts)


def pareto_front(points: Sequence[Point], lower_is_better: bool = False) -> list[Point]:
    """The points to which no other is at least as good in x and y and better in one.

    Small x and large y are good, or small y. Doubtful points are left out. From left to right.
    """
    sign = -1 if lower_is_better else 1
    front: list[Point] = []
    for point in sorted((p for p in points if not p.doubtful), key=lambda p: (p.x, -sign * p.y)):
        if not front or sign * point.y > sign * front[-1].y:
            front.append(point)
    return front


def _front_steps(
    front: Sequence[Point], x_axis: Axis, y_axis: Axis, worst: tuple[float, float]
) -> list[tuple[float, float]]:
    """The corners of the front's steps in pixels, towards the worst corner of the area.

    There are none where a single point is the whole front.
    Between two of its points the front has the height of the left one: nothing better was measured.
    """
    if len(front) < 2:
        return []
    steps = [(x_axis(front[0].x), worst[1])]
    for i, point in enumerate(front):
        steps.append((x_axis(point.x), y_axis(point.y)))
        end = x_axis(front[i + 1].x) if i + 1 < len(front) else worst[0]
        steps.append((end, y_axis(point.y)))
    return steps


@dataclass(frozen=True)
class Label:
    """A group's name, centred at x and y; `leader` is a line to its mark, if that is far away."""

    text: str
    x: float
    y: float
    leader: tuple[float, float, float, float] | None


def place_labels(
    groups: dict[str, list[tuple[float, float]]],
    area: tuple[float, float, float, float],
    character_px: float = CHARACTER_PX,
) -> list[Label]:
    """A label beside each group, where it covers neither a mark nor another label.

    Greedy: positions around the group's marks are tried from near to far; the one that covers least
    is taken.

    Args:
        groups: Name → the positions of its marks.
        area: The left, the smaller y, the right and the larger y in which labels must be.
        character_px: The width of a character.
    """
    left, top, right, bottom = area
    taken = [(x - 7, y - 7, x + 7, y + 7) for marks in groups.values() for x, y in marks]
    labels = []
    for group, marks in groups.items():
        name = shortened(group, LONGEST_LABEL * (right - left) * CHARACTER_PX / character_px)
        w, best = len(name) * character_px, None
        for distance in (12.0, 18.0, 28.0, 40.0, 56.0, 74.0):
            for x, y in marks:
                for dx, dy in DIRECTIONS:
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
        leader = (x, y, cx, box[3] if cy < y else box[1]) if distance > 20 else None
        labels.append(Label(name, cx, cy, leader))
    return labels


def _drawn(label: Label) -> Iterator[Markup]:
    if label.leader is not None:
        x1, y1, x2, y2 = label.leader
        yield element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_="leader")
    yield element(
        "text", label.text, x=label.x, y=label.y + 4, class_="label", text_anchor="middle"
    )


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """The area that two boxes (left, top, right, bottom) share, in square pixels."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    return wide * high if wide > 0 and high > 0 else 0.0
