"""Building blocks of the charts: SVG elements, axes with round ticks, marks."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup, escape

MARGIN_PX = 10  # between the area of a chart and the end of its drawing, at least
CHARACTER_PX = 7.8  # of a bold 12 px sans-serif; on the wide side, so that boxes do not touch


def element(name: str, *children: Any, **attributes: Any) -> Markup:
    """An SVG element; text is escaped, `stroke_width=1` becomes `stroke-width="1"`."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
    )
    inner = Markup("").join(escape(child) for child in children)
    # Names are the callers' literals; values and children have been escaped above.
    return Markup(f"<{name}{written}>") + inner + Markup(f"</{name}>")  # noqa: S704


def shortened(text: str, width_px: float) -> str:
    """The text, with an ellipsis for its middle where it is wider than that.

    Names of one family differ at their ends, and files of one name at their beginnings.
    """
    most = max(3, int(width_px / CHARACTER_PX))
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}…{text[len(text) - (most - 1 - most // 2) :]}"


def _number(value: Any) -> Any:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


class Axis:
    """Maps values to pixels, linearly or by logarithm, and chooses round ticks."""

    def __init__(
        self, low: float, high: float, start_px: float, end_px: float, logarithmic: bool
    ) -> None:
        self._log = logarithmic
        self._low, self._high = self._scaled(low), self._scaled(high)
        self._start, self._end = start_px, end_px
        self.low, self.high = low, high

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self._log else value

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        fraction = (self._scaled(value) - self._low) / (self._high - self._low)
        return self._start + fraction * (self._end - self._start)

    def ticks(self, at_least_px: float) -> list[float]:
        """Round values within the axis whose marks are at least `at_least_px` apart."""
        # From fine to coarse; the first whose neighbours keep their distance.
        for candidates in self._tick_choices():
            inside = [t for t in candidates if self.low * (1 - 1e-9) <= t <= self.high * (1 + 1e-9)]
            gaps = [abs(self(b) - self(a)) for a, b in itertools.pairwise(inside)]
            if inside and all(gap >= at_least_px for gap in gaps):
                return inside
        return []

    def _tick_choices(self) -> list[list[float]]:
        if self._log:
            decades = range(math.floor(self._low), math.ceil(self._high) + 1)
            fine = [_linear_ticks(self.low, self.high, step) for step in _steps(self.low)]
            # Even steps read best, but only fit where the axis spans less than a decade or so.
            return (fine if self.high < 4 * self.low else []) + [
                [m * 10.0**decade for decade in decades for m in mantissas]
                for mantissas in ((1, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))
            ]
        return [
            _linear_ticks(self.low, self.high, step) for step in _steps((self.high - self.low) / 20)
        ]


def _steps(smallest: float) -> list[float]:
    decade = 10.0 ** math.floor(math.log10(smallest))
    return [m * decade * 10**power for power in range(3) for m in (1, 2, 5)]


def _linear_ticks(low: float, high: float, step: float) -> list[float]:
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)] if last - first < 50 else []


def log_range(values: Sequence[float]) -> tuple[float, float]:
    """The ends of a logarithmic axis: the values with a margin, and at least a factor of 1.5."""
    low, high = min(values), max(values)
    margin = max((high / low) ** 0.06, math.sqrt(1.5 * low / high))
    return low / margin, high * margin


def marker(x: float, y: float, series: int, tooltip: str) -> Markup:
    """A mark whose shape and colour tell the series, with a tooltip."""
    r = 6.0
    corners = {
        1: [(-r, -r), (r, -r), (r, r), (-r, r)],
        2: [(0.0, -r * 1.25), (r * 1.2, r * 0.9), (-r * 1.2, r * 0.9)],
        3: [(0.0, -r * 1.35), (r * 1.35, 0.0), (0.0, r * 1.35), (-r * 1.35, 0.0)],
        4: [(0.0, r * 1.25), (r * 1.2, -r * 0.9), (-r * 1.2, -r * 0.9)],
    }
    title = element("title", tooltip)
    shape = series % (len(corners) + 1)
    if shape not in corners:
        return element("circle", title, cx=x, cy=y, r=r, class_=f"mark s{series}")
    path = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners[shape])
    return element("polygon", title, points=path, class_=f"mark s{series}")


def line(x1: float, x2: float, y1: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, x2=x2, y1=y1, y2=y2, class_=class_)


def vertical_grid(
    axis: Axis, top: float, floor: float, number: Callable[[float], str], title: str, right: float
) -> Markup:
    """Vertical lines at the ticks of a horizontal axis, their numbers and the axis' title."""
    parts = []
    for tick in axis.ticks(48):
        x, text = axis(tick), number(tick)
        parts.append(element("line", x1=x, x2=x, y1=top, y2=floor, class_="grid"))
        # The last number must not reach beyond the drawing, which ends a little to the right.
        at = min(x, right + MARGIN_PX - len(text) * CHARACTER_PX / 2)
        parts.append(element("text", text, x=at, y=floor + 16, class_="tick", text_anchor="middle"))
    parts.append(element("text", title, x=right, y=floor + 34, class_="axis", text_anchor="end"))
    return Markup("").join(parts)


def drawing(width: int, height: float, title: str, parts: Sequence[Markup]) -> Markup:
    """A whole SVG of `parts`; `title` is read out by screen readers."""
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        aria_label=title,
    )
