import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.measurement import (
    MAX_DRIFT,
    MAX_SPREAD,
    disturbance,
    drift,
    median_interval_ranks,
    summarise,
    why_invalid,
)
from edge.rows import Disturbance

QUIET = Disturbance(other_cores=0.0, stolen_cores=0.0)
STEADY = list(range(1000, 1100))


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=300))
def test_summary_agrees_with_numpy(samples):
    summary = summarise(samples)
    assert summary.runs == len(samples)
    assert summary.min_ns == min(samples)
    assert summary.p50_ns == np.median(samples)
    assert summary.p90_ns == np.percentile(samples, 90)
    assert summary.p99_ns == np.percentile(samples, 99)
    assert summary.spread == (summary.p90_ns - summary.p50_ns) / summary.p50_ns
    if summary.p50_low_ns is not None:
        assert summary.p50_low_ns <= summary.p50_ns <= summary.p50_high_ns


def test_summary_of_no_samples_raises():
    with pytest.raises(ValueError, match="no samples"):
        summarise([])


@pytest.mark.parametrize("count", [1, 5, 6, 7, 10, 50, 51, 200, 1001])
def test_median_interval_is_the_narrowest_that_covers(count):
    # Exact integers as the oracle: P(X <= k) for X ~ binomial(count, 1/2) is tail(k) / 2^count.
    def missed(rank):
        return 2 * sum(math.comb(count, k) for k in range(rank + 1))

    allowed = 2**count // 20
    ranks = median_interval_ranks(count)
    if missed(0) > allowed:
        assert ranks is None
    else:
        low, high = ranks
        assert high == count - 1 - low
        assert missed(low) <= allowed < missed(low + 1)


def test_median_interval_covers_the_median_as_often_as_it_says():
    rng = np.random.default_rng(3)
    samples = np.sort(rng.exponential(1.0, (4000, 41)), axis=1)
    low, high = median_interval_ranks(41)
    covered = np.mean((samples[:, low] <= math.log(2)) & (math.log(2) <= samples[:, high]))
    # At least 95%; the standard error of the share over 4000 trials is 0.0035, 4 of them 0.014.
    assert covered > 0.95 - 0.014


def test_median_interval_is_quick_for_as_many_samples_as_a_row_holds():
    low, high = median_interval_ranks(20_000)
    # The normal approximation: 10,000 -+ 1.96 * sqrt(20,000) / 2 = 9,861.4; exact to a few ranks.
    assert abs(low - 9861) <= 2
    assert high == 19_999 - low


def test_drift_compares_the_first_third_with_the_last():
    assert drift([100] * 30 + [150] * 30 + [120] * 30) == pytest.approx(0.2)
    assert drift([1, 2, 3]) == 0


def conditions(**changes):
    keys = (
        "busy_cpu_seconds stolen_cpu_seconds load_1min temperature_c throttle_count throttle_flags"
    )
    untold = dict.fromkeys(keys.split())
    return {**untold, "wall_seconds": 0.0, "process_cpu_seconds": 0.0, **changes}


def test_disturbance_is_what_others_used_while_samples_were_taken():
    before = conditions(
        wall_seconds=100.0,
        process_cpu_seconds=5.0,
        busy_cpu_seconds=1000.0,
        stolen_cpu_seconds=7.0,
        temperature_c=50.0,
    )
    after = conditions(
        wall_seconds=102.0,
        process_cpu_seconds=7.0,
        busy_cpu_seconds=1003.0,
        stolen_cpu_seconds=7.5,
        temperature_c=61.0,
    )
    measured = disturbance(before, after)
    # Two seconds in which all cores worked for 3 s, 2 s of them here: others had half a core.
    assert measured.other_cores == pytest.approx(0.5)
    assert measured.stolen_cores == pytest.approx(0.25)
    assert (measured.temperature_before_c, measured.temperature_after_c) == (50.0, 61.0)
    assert measured.throttled is None


def test_disturbance_of_a_short_span_is_unknown():
    before = conditions(busy_cpu_seconds=0.0)
    after = conditions(wall_seconds=0.1, busy_cpu_seconds=0.1)
    assert disturbance(before, after).other_cores is None


@pytest.mark.parametrize(
    ("before", "after", "throttled"),
    [
        ({"throttle_count": 3.0}, {"throttle_count": 3.0}, False),
        ({"throttle_count": 3.0}, {"throttle_count": 4.0}, True),
        ({}, {"throttle_flags": 0}, False),
        ({}, {"throttle_flags": 4}, True),
    ],
)
def test_disturbance_knows_throttling(before, after, throttled):
    assert disturbance(conditions(**before), conditions(**after)).throttled is throttled


def test_quiet_and_steady_runs_are_valid():
    assert why_invalid(STEADY, QUIET, threads=1, cores=2) is None


@pytest.mark.parametrize(
    ("disturbed", "threads", "valid"),
    [
        (Disturbance(other_cores=1.1), 1, True),
        (Disturbance(other_cores=1.3), 1, False),
        (Disturbance(other_cores=0.3), 2, False),
        (Disturbance(other_cores=0.1), 4, True),
        # What the load average says counts only where nothing better is known.
        (Disturbance(other_cores=0.0, load_before=9.0), 1, True),
        (Disturbance(load_before=2.0), 1, True),
        (Disturbance(load_before=2.1), 1, False),
        (Disturbance(stolen_cores=0.04), 1, True),
        (Disturbance(stolen_cores=0.06), 1, False),
        (Disturbance(throttled=True), 1, False),
        (Disturbance(throttled=False), 1, True),
        (Disturbance(), 1, True),
    ],
)
def test_validity_depends_on_what_else_the_machine_did(disturbed, threads, valid):
    assert (why_invalid(STEADY, disturbed, threads, cores=2) is None) == valid


def test_wide_spread_is_invalid_and_says_so():
    samples = [100] * 85 + [int(100 * (1 + MAX_SPREAD)) + 1] * 15
    np.random.default_rng(0).shuffle(samples)
    assert "above the median" in why_invalid(samples, QUIET, 1, 2)


def test_drifting_runs_are_invalid_and_say_so():
    samples = [1000] * 50 + [int(1000 * (1 + MAX_DRIFT)) + 1] * 50
    assert "first to the last third" in why_invalid(samples, QUIET, 1, 2)


def test_all_reasons_are_told_together():
    samples = [1000] * 50 + [2000] * 50
    reason = why_invalid(samples, Disturbance(other_cores=2.0, throttled=True), 1, 2)
    assert "busy" in reason
    assert "throttled" in reason
    assert "last third" in reason
