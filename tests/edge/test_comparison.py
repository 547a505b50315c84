"""Old rows against new ones: which are paired, and when a difference is believed."""

import dataclasses
import math

import numpy as np
import pytest

from edge.results.comparison import (
    APART,
    BROKEN,
    FASTER,
    KEYS,
    SAME,
    SLOWER,
    STUDIES,
    compare,
    regressions,
)
from edge.results.row import Evaluation
from edge.results.statistics import paired_ratio_of_medians, ratio_of_medians
from onebit.errors import UsageError

from .compare_rows import in_turn


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, SAME), (1.001, SAME), (1.05, SLOWER), (0.95, FASTER)]
)
def test_difference_beyond_noise_is_reported(change, factor, verdict):
    # The standard error of a median of 200 samples that scatter by 2% is 1.25 * 2% / 14 = 0.18%.
    (found,) = compare([change(seed=1)], [change(500_000 * factor, seed=2)])
    assert found.verdict == verdict
    assert found.ratio == pytest.approx(factor, abs=4 * math.sqrt(2) * 0.0018)
    assert found.ratio_low < found.ratio < found.ratio_high
    assert (found.old_rows, found.new_rows) == (1, 1)


@pytest.mark.slow
def test_interval_covers_the_true_ratio_as_often_as_it_says():
    rng = np.random.default_rng(7)
    trials = 150
    covered = 0
    for trial in range(trials):
        old, new = (1e6 * np.exp(0.05 * rng.standard_normal(150)) for _ in range(2))
        _, low, high = ratio_of_medians([old], [new], seed=trial)
        covered += low <= 1 <= high
    # Binomial(150, 0.95): below 0.87 with a probability of 1e-4.
    assert covered / trials > 0.87


def test_interval_widens_where_neighbours_are_alike():
    rng = np.random.default_rng(8)
    independent = 1e6 * np.exp(0.05 * rng.standard_normal(400))
    # The same values in blocks: what a machine does that is slow for a while.
    alike = np.repeat(independent[:40], 10)
    widths = []
    for samples in (independent, alike):
        _, low, high = ratio_of_medians([samples], [samples])
        widths.append(math.log(high / low))
    # 40 independent values instead of 400: sqrt(10) = 3.2 times as wide, of which blocks of 20
    # samples, two of these, see a good part.
    assert widths[1] > 1.8 * widths[0]


def test_repeated_rows_count_as_separate_observations(change):
    # Each process is precise in itself, but they differ by 3%: a change of 2% is not shown.
    old = [change(500_000 * f, seed=i) for i, f in enumerate((1.0, 1.03, 0.97, 1.01))]
    new = [change(510_000 * f, seed=i + 9) for i, f in enumerate((1.02, 0.98, 1.0, 1.03))]
    (found,) = compare(old, new)
    assert found.verdict == SAME
    assert (found.old_rows, found.new_rows) == (4, 4)
    (single,) = compare(old[:1], new[:1])
    assert single.verdict == SLOWER


def test_welch_interval_agrees_with_scipy(change):
    from scipy import stats

    old = [[100] * 9, [104] * 9, [99] * 9]
    new = [[110] * 9, [118] * 9]
    ratio, low, high = ratio_of_medians(old, new)
    logs = [np.log([side[0] for side in rows]) for rows in (old, new)]
    expected = stats.ttest_ind(logs[1], logs[0], equal_var=False).confidence_interval(0.95)
    assert math.log(ratio) == pytest.approx(logs[1].mean() - logs[0].mean())
    assert (math.log(low), math.log(high)) == pytest.approx((expected.low, expected.high))


def test_figures_do_not_depend_on_when_they_are_computed(change):
    rows = [change(seed=1)], [change(seed=2)]
    assert compare(*rows) == compare(*rows)


DIFFERENT = {
    "device": {"host__device": "pi"},
    "processor": {"host__cpu": "Cortex-A76"},
    "model": {"model__name": "other"},
    "file": {"model__sha256": "other"},
    "backend": {"setup__name": "litert"},
    "runtime": {"setup__runtime_version": "9.9"},
    "delegate": {"setup__delegate": "onebit-delegate 9"},
    "threads": {"setup__threads": 4},
    "affinity": {"setup__affinity": "big"},
    "mode": {"setup__mode": "single-stream"},
    "emulated": {"host__emulated": True},
}


@pytest.mark.parametrize("key", KEYS)
def test_rows_that_differ_in_anything_else_have_no_partner(change, key):
    old, new = change(), change(**DIFFERENT[key])
    found = compare([old], [new], study=())
    assert [line.verdict for line in found] == [APART, APART]
    assert "only in the new rows" in found[0].reason
    assert "only in the old rows" in found[1].reason
    if key != "model":
        assert f"the nearest row differs in {key}" in found[0].reason


@pytest.mark.parametrize("key", STUDIES)
def test_what_is_under_study_may_differ(change, key):
    (found,) = compare([change()], [change(**DIFFERENT[key])], study=[key])
    assert found.verdict == SAME


def test_several_cells_that_would_fit_are_not_mixed(change):
    new = [change(setup__name="lce"), change(setup__name="litert")]
    (found,) = compare([change()], new, study=["backend"])
    assert found.verdict == APART
    assert "2 different cells" in found.reason


@pytest.mark.parametrize("side", [0, 1])
def test_rows_that_are_not_trusted_are_not_compared(change, side):
    rows = [[change()], [change()]]
    rows[side] = [change(status="invalid", reason="noisy")]
    (found,) = compare(*rows)
    assert found.verdict == APART
    assert found.reason == f"the {('old', 'new')[side]} row is invalid: noisy"
    assert found.ratio is None


def test_cell_that_worked_and_fails_now_is_broken(change, failed):
    (found,) = compare([change()], [failed()])
    assert found.verdict == BROKEN
    (found,) = compare([failed()], [change()])
    assert found.verdict == APART


def test_rows_without_samples_are_not_compared(change):
    row = dataclasses.replace(change(), samples_ns=(), summary=None)
    (found,) = compare([change()], [row])
    assert found.verdict == APART
    assert "no samples" in found.reason


def test_changed_outputs_are_reported(change):
    digest = {"parity__output_sha256": "1" * 64}
    assert compare([change()], [change()])[0].same_outputs is True
    assert compare([change()], [change(**digest)])[0].same_outputs is False
    assert compare([change()], [change(setup__seed=5, **digest)])[0].same_outputs is None


@pytest.mark.parametrize("limit", [5, 1.0, -0.1, float("nan")])
def test_limit_that_is_not_a_fraction_is_refused_in_python_too(change, limit):
    with pytest.raises(UsageError, match=r"0\.05 is 5%"):
        regressions(compare([change()], [change()]), limit)


def test_regressions_are_cells_beyond_the_limit_and_broken_ones(change, failed):
    old = [change(seed=1), change(setup__threads=2), change(setup__threads=3)]
    new = [change(540_000, seed=2), change(setup__threads=2), failed(threads=3)]
    lines = compare(old, new)
    assert regressions(lines, 0.05) == [lines[0], lines[2]]
    assert regressions(lines, 0.2) == [lines[2]]


@pytest.mark.parametrize("study", [["weather"], "weather", ["delegate", "wether"]])
def test_unknown_study_is_refused(change, study):
    with pytest.raises(UsageError, match="cannot be under study"):
        compare([change()], [change()], study)


@pytest.mark.parametrize("study", [["setup"], "backend", "setup, threads"])
def test_study_may_be_a_text_and_have_its_old_name(change, study):
    (found,) = compare([change()], [change(setup__name="litert")], study)
    assert found.verdict == SAME


def test_pairs_show_what_noise_hides(change):
    rows = in_turn(change, 1.05)
    (found,) = compare(rows[::2], rows[1::2], "model")
    assert (found.verdict, found.pairs, found.old_rows) == (SLOWER, 5, 5)
    # Medians of 200 samples that scatter by 2%: 0.18% each, so 0.25% a ratio and 0.11% for five.
    assert found.ratio == pytest.approx(1.05, rel=0.005)
    assert found.ratio_low > 1.04
    apart = [dataclasses.replace(r, run=dataclasses.replace(r.run, id="x")) for r in rows[1::2]]
    (unpaired,) = compare(rows[::2], apart, "model")
    assert (unpaired.verdict, unpaired.pairs) == (SAME, 0)


def test_rows_without_a_pair_are_not_among_the_figures(change):
    rows = in_turn(change, 1.05)
    old, new = rows[::2], rows[1::2]
    old[3] = dataclasses.replace(old[3], status="invalid", reason="loud")
    new[4] = dataclasses.replace(new[4], status="invalid", reason="loud")
    (found,) = compare(old, new, "model")
    assert (found.pairs, found.old_rows, found.new_rows) == (3, 4, 4)
    assert found.new_p50_ns / found.old_p50_ns == pytest.approx(found.ratio)
    (alone,) = compare(old[:3], new[:3], "model")
    assert (found.old_p50_ns, found.min_ratio) == (alone.old_p50_ns, alone.min_ratio)


def test_paired_interval_agrees_with_scipy():
    from scipy import stats

    pairs = [([100], [110]), ([120], [126]), ([90], [101])]
    logs = np.log([new[0] / old[0] for old, new in pairs])
    expected = stats.ttest_1samp(logs, 0).confidence_interval(0.95)
    found = np.log(paired_ratio_of_medians(pairs))
    assert found == pytest.approx([logs.mean(), expected.low, expected.high])


def test_fastest_samples_are_compared_too(change):
    (found,) = compare([change(seed=1)], [change(600_000, seed=1)])
    assert found.min_ratio == pytest.approx(1.2, rel=1e-4)


def test_accuracy_on_the_device_goes_before_that_of_the_conversion(change):
    evaluated = Evaluation("digits", "sha", 1000, accuracy=0.91)
    without, on_device = change(), change(evaluation=evaluated)
    for old, new, accuracies in [
        (without, without, (0.945, 0.945)),
        (on_device, on_device, (0.91, 0.91)),
        # The conversion's is of other samples.
        (without, on_device, (None, 0.91)),
        (on_device, without, (0.91, None)),
    ]:
        (found,) = compare([old], [new])
        assert (found.old_accuracy, found.new_accuracy) == accuracies
