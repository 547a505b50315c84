import itertools
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from edge.charts import MAX_DOTS, Point, Strip, _overlap, place_labels, scatter, strip_chart
from edge.svg import Axis, element, log_range, marker


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
    labels = [parse(p) for p in place_labels(groups, area) if p.startswith("<text")]
    boxes = []
    for label in labels:
        x, y, half = float(label.get("x")), float(label.get("y")), len(label.text) * 7.8 / 2
        boxes.append((x - half, y - 11.5, x + half, y + 3.5))
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
