import itertools
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from edge.report.charts import MAX_DOTS, Bar, Strip, bar_chart, strip_chart
from edge.report.scatter import Point, _overlap, pareto_front, place_labels, scatter
from edge.report.svg import Axis, element, log_range, marker, shortened


def parse(drawing):
    return ElementTree.fromstring(str(drawing))  # noqa: S314 - what we have just drawn


def of_class(drawing, name):
    return [e for e in parse(drawing).iter() if name in e.get("class", "").split()]


def test_element_escapes_text_and_attributes():
    written = str(element("text", "<b> & 'c'", class_='"x"', stroke_width=1.50))
    assert parse(written).text == "<b> & 'c'"
    assert parse(written).get("class") == '"x"'
    assert 'stroke-width="1.5"' in written


@pytest.mark.parametrize(
    ("low", "high", "logarithmic", "expected"),
    [
        (1.0, 1000.0, True, [1, 10, 100, 1000]),
        (0.9, 11.0, True, [1, 2, 5, 10]),
        (90.0, 98.0, False, [90, 92, 94, 96, 98]),
    ],
)
def test_ticks_are_round(low, high, logarithmic, expected):
    axis = Axis(low, high, 0, 300, logarithmic)
    assert axis.ticks(60) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(20))
def test_ticks_keep_their_distance_and_stay_inside(seed):
    rng = np.random.default_rng(seed)
    low = 10 ** rng.uniform(-3, 3)
    high = low * 10 ** rng.uniform(0.18, 4)
    axis = Axis(low, high, 10, 400, bool(seed % 2))
    ticks = axis.ticks(48)
    pixels = [axis(tick) for tick in ticks]
    assert len(ticks) >= 2, f"{seed=} {low=} {high=}"
    assert all(10 - 1e-6 <= pixel <= 400 + 1e-6 for pixel in pixels)
    assert all(b - a >= 48 for a, b in itertools.pairwise(pixels))


def test_log_range_of_one_value_is_not_empty():
    low, high = log_range([5.0])
    assert low < 5.0 < high
    assert high / low == pytest.approx(1.5)


def strip(values, **changes):
    return Strip(
        **{"label": "lce", "note": "1 ms", "group": "m", "series": 0} | changes, values=values
    )


@pytest.mark.parametrize("width", [340, 1000])
def test_strips_show_extremes_and_quartiles_on_the_axis(width):
    values = np.random.default_rng(1).gamma(2.0, 1.0, 5000) + 0.5
    drawing = strip_chart([strip(values)], width, "ms", str)
    circles = sorted(float(c.get("cx")) for c in parse(drawing).iter("circle"))
    assert len(circles) == MAX_DOTS
    low, high = log_range([values.min(), values.max()])
    ends = (circles[0], circles[-1])

    def pixel(value):
        share = math.log(value / values.min()) / math.log(values.max() / values.min())
        return ends[0] + share * (ends[1] - ends[0])

    # Pixels are written with two decimals.
    (median,) = of_class(drawing, "median")
    assert float(median.get("x1")) == pytest.approx(pixel(np.median(values)), abs=0.02)
    (box,) = of_class(drawing, "box")
    assert float(box.get("x")) == pytest.approx(pixel(np.percentile(values, 25)), abs=0.02)
    (whisker,) = of_class(drawing, "whisker")
    assert float(whisker.get("x2")) == pytest.approx(pixel(np.percentile(values, 90)), abs=0.02)
    assert low < values.min()
    assert high > values.max()


def test_strips_show_every_sample_of_a_short_run():
    drawing = strip_chart([strip([3.0, 1.0, 2.0])], 340, "ms", str)
    assert len(list(parse(drawing).iter("circle"))) == 3


def test_strips_of_a_group_stand_under_its_name():
    strips = [strip([1.0, 2.0], group=g, doubtful=g == "b") for g in ("a", "a", "b")]
    drawing = strip_chart(strips, 340, "ms", str)
    texts = [e.text for e in of_class(drawing, "label")]
    assert texts == ["a", "b"]
    assert len(of_class(drawing, "doubtful")) == 1


def test_series_differ_in_shape_as_well_as_in_colour():
    shapes = {str(marker(0, 0, series, "")).replace(f"s{series}", "") for series in range(5)}
    assert len(shapes) == 5


@pytest.mark.parametrize("seed", range(10))
def test_labels_cover_neither_marks_nor_each_other(seed):
    rng = np.random.default_rng(seed)
    groups = {f"binary_model_{i}": [(rng.uniform(60, 440), rng.uniform(40, 280))] for i in range(6)}
    area = (50.0, 20.0, 480.0, 290.0)
    labels = place_labels(groups, area)
    boxes = []
    for label in labels:
        half = len(label.text) * 7.8 / 2
        boxes.append((label.x - half, label.y - 7.5, label.x + half, label.y + 7.5))
    assert {label.text for label in labels} == set(groups)
    for a, b in itertools.combinations(boxes, 2):
        assert _overlap(a, b) < 1e-6, f"{seed=}"
    for box, ((x, y),) in itertools.product(boxes, groups.values()):
        assert _overlap(box, (x - 6, y - 6, x + 6, y + 6)) < 1e-6, f"{seed=}"
    for box in boxes:
        assert box[0] >= area[0] - 1
        assert box[2] <= area[2] + 1


def test_scatter_names_each_group_once_and_draws_intervals():
    points = [
        Point("a", 1.0, 94.0, 0, "a on lce", (92.0, 95.0)),
        Point("a", 2.0, 94.0, 1, "a on litert"),
        Point("<b>", 9.0, 96.0, 0, "b on lce"),
    ]
    drawing = scatter(points, 400, ("ms", "%"), (str, str), (90.0, 98.0))
    assert sorted(e.text for e in of_class(drawing, "label")) == ["<b>", "a"]
    assert len(of_class(drawing, "interval")) == 1
    marks = of_class(drawing, "mark")
    assert len(marks) == 3
    assert {mark[0].text for mark in marks} == {"a on lce", "a on litert", "b on lce"}


@pytest.mark.parametrize("width", [301, 1020])
def test_bars_are_as_long_as_their_values_and_marks_stand_at_theirs(width):
    bars = [
        Bar("lce", "1", "a", 1.0, 0, mark=0.5),
        Bar("litert", "2", "a", 2.0, 1),
        Bar("lce", "4", "b", 4.0, 0, doubtful=True),
    ]
    drawing = bar_chart(bars, width, "bytes", str, "Memory")
    drawn = of_class(drawing, "bar")
    one, two, four = (float(bar.get("width")) for bar in drawn)
    # Pixels are written with two decimals.
    assert two == pytest.approx(2 * one, abs=0.02)
    assert four == pytest.approx(4 * one, abs=0.02)
    (mark,) = of_class(drawing, "tickmark")
    start = float(drawn[0].get("x"))
    assert float(mark.get("x1")) - start == pytest.approx(one / 2, abs=0.02)
    assert start + four <= width
    assert len(of_class(drawing, "doubtful")) == 1
    assert [e.text for e in of_class(drawing, "label")] == ["a", "b"]


def test_bars_of_nothing_are_still_drawn():
    (bar,) = of_class(bar_chart([Bar("a", "0", "", 0.0, 0)], 301, "s", str, "t"), "bar")
    assert float(bar.get("width")) >= 1


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("lower", [False, True])
def test_front_is_what_nothing_dominates(seed, lower):
    rng = np.random.default_rng(seed)
    points = [
        Point(str(i), float(x), float(y), 0, "", None, bool(rng.random() < 0.2))
        for i, (x, y) in enumerate(rng.integers(1, 8, (12, 2)))
    ]
    trusted = [p for p in points if not p.doubtful]

    def dominates(a, b):
        better_y, as_good_y = (a.y < b.y, a.y <= b.y) if lower else (a.y > b.y, a.y >= b.y)
        return a.x <= b.x and as_good_y and (a.x < b.x or better_y)

    front = pareto_front(points, lower)
    expected = {(p.x, p.y) for p in trusted if not any(dominates(q, p) for q in trusted)}
    assert {(p.x, p.y) for p in front} == expected
    assert [p.x for p in front] == sorted({p.x for p in front})


def test_front_of_one_point_has_no_line_and_doubtful_points_are_faint():
    best, worse = Point("a", 1.0, 9.0, 0, ""), Point("b", 2.0, 8.0, 0, "", doubtful=True)
    drawing = scatter([best, worse], 400, ("ms", "%"), (str, str), (7.0, 10.0))
    assert of_class(drawing, "front") == []
    assert len(of_class(drawing, "doubtful")) == 1
    more = Point("c", 3.0, 9.5, 0, "")
    (front,) = of_class(scatter([best, more], 400, ("ms", "%"), (str, str), (7.0, 10.0)), "front")
    xs = [float(pair.split(",")[0]) for pair in front.get("points").split()]
    assert xs == sorted(xs)


@pytest.mark.parametrize("width", [10, 80, 156, 157, 400])
def test_names_are_shortened_to_fit_and_keep_both_ends(width):
    name = "binary_net_mlp_wide2"
    short = shortened(name, width)
    assert len(short) <= max(3, width / 7.8)
    if short != name:
        start, _, end = short.partition("…")
        assert name.startswith(start)
        assert name.endswith(end)
        assert len(short) == max(3, int(width / 7.8))


def test_long_labels_of_a_wide_chart_stand_above_their_rows():
    short, long = (strip([1.0, 2.0], label=label) for label in ("lce", "l" * 90))
    for label, beside in ((short, True), (long, False)):
        (text,) = of_class(strip_chart([label], 1000, "ms", str), "backend")
        (box,) = of_class(strip_chart([label], 1000, "ms", str), "box")
        assert (float(text.get("y")) > float(box.get("y"))) is beside


def test_last_number_of_an_axis_stays_in_the_drawing():
    # 160 kB is at the end of the axis, where its number would be cut.
    points = [Point("a", 100_000, 94.0, 0, "a"), Point("b", 160_000, 95.0, 0, "b")]
    drawn = scatter(points, 301, ("x", "y"), (lambda v: f"{v:,.0f} bytes", str), (93.0, 96.0))
    for text in of_class(drawn, "tick"):
        if text.get("text-anchor") == "middle":
            assert float(text.get("x")) + len(text.text) * 7.8 / 2 <= 301
