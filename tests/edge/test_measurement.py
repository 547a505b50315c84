import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bench.measurement import (
    EMULATED,
    MAX_DRIFT,
    MAX_SPREAD,
    MODES,
    Plan,
    disturbance,
    plan_for,
    summarise,
    why_invalid,
)
from edge.results.row import Conditions, Disturbance, Host
from onebit.errors import UsageError

QUIET = Disturbance(other_cores=0.0, stolen_cores=0.0)
STEADY = list(range(1000, 1100))
TWO_CORES = Host("local", cores=2)


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


def conditions(**changes):
    keys = (
        "busy_cpu_seconds stolen_cpu_seconds load_1min temperature_c throttle_count "
        "throttle_flags cooling"
    )
    unknown = dict.fromkeys(keys.split())
    return {**unknown, "wall_seconds": 0.0, "process_cpu_seconds": 0.0, **changes}


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
    assert (measured.before.temperature_c, measured.after.temperature_c) == (50.0, 61.0)
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
        # Bits from 16 on are about the time since boot: they count only if newly set.
        ({"throttle_flags": 0x50000}, {"throttle_flags": 0x50000}, False),
        ({"throttle_flags": 0x10000}, {"throttle_flags": 0x50000}, True),
        ({"cooling": []}, {"cooling": []}, False),
        ({"cooling": []}, {"cooling": ["cpufreq-cpu0"]}, True),
    ],
)
def test_disturbance_knows_throttling(before, after, throttled):
    assert disturbance(conditions(**before), conditions(**after)).throttled is throttled


def test_quiet_and_steady_runs_are_valid():
    assert why_invalid(STEADY, QUIET, threads=1, host=TWO_CORES) is None


@pytest.mark.parametrize(
    ("disturbed", "threads", "valid"),
    [
        (Disturbance(other_cores=1.1), 1, True),
        (Disturbance(other_cores=1.3), 1, False),
        (Disturbance(other_cores=0.3), 2, False),
        (Disturbance(other_cores=0.1), 4, True),
        # What the load average says counts only where nothing better is known.
        (Disturbance(other_cores=0.0, before=Conditions(load_1min=9.0)), 1, True),
        (Disturbance(before=Conditions(load_1min=2.0)), 1, True),
        (Disturbance(before=Conditions(load_1min=2.1)), 1, False),
        (Disturbance(stolen_cores=0.04), 1, True),
        (Disturbance(stolen_cores=0.06), 1, False),
        (Disturbance(throttled=True), 1, False),
        (Disturbance(throttled=False), 1, True),
        (Disturbance(), 1, True),
    ],
)
def test_validity_depends_on_what_else_the_machine_did(disturbed, threads, valid):
    assert (why_invalid(STEADY, disturbed, threads, host=TWO_CORES) is None) == valid


def test_wide_spread_is_invalid_and_says_so():
    samples = [100] * 85 + [int(100 * (1 + MAX_SPREAD)) + 1] * 15
    np.random.default_rng(0).shuffle(samples)
    assert "above the median" in why_invalid(samples, QUIET, 1, TWO_CORES)


@pytest.mark.parametrize(("scale", "valid"), [(100, True), (20_000, False)])
def test_bursts_of_microseconds_are_judged_by_the_millisecond(scale, valid):
    """10 µs of which 15% take 18 µs repeat from one millisecond to the next; of 2 ms they don't."""
    samples = np.random.default_rng(0).choice([100, 180], 10_000, p=[0.85, 0.15]) * scale
    assert summarise(samples).spread > MAX_SPREAD
    reason = why_invalid(samples.tolist(), QUIET, 1, TWO_CORES)
    assert (reason is None) == valid
    # A machine that is slow for whole milliseconds is not steady, however short the inference.
    slow = np.repeat(np.random.default_rng(0).choice([100, 180], 50, p=[0.8, 0.2]), 200) * scale
    assert "above the median" in why_invalid(slow.tolist(), QUIET, 1, TWO_CORES)


def test_drifting_runs_are_invalid_and_say_so():
    samples = [1000] * 50 + [int(1000 * (1 + MAX_DRIFT)) + 1] * 50
    assert "first to the last third" in why_invalid(samples, QUIET, 1, TWO_CORES)


def test_all_reasons_are_told_together():
    samples = [1000] * 50 + [2000] * 50
    reason = why_invalid(samples, Disturbance(other_cores=2.0, throttled=True), 1, TWO_CORES)
    assert "busy" in reason
    assert "throttled" in reason
    assert "last third" in reason


def test_what_held_the_clock_down_is_named():
    hot = disturbance(
        conditions(throttle_flags=0), conditions(throttle_flags=0x70005, cooling=["cpufreq-cpu0"])
    )
    assert hot.after.throttling == ("under-voltage", "throttled", "cpufreq-cpu0")
    reason = why_invalid(STEADY, hot, 1, TWO_CORES)
    assert reason == (
        "the processor was throttled or under-powered (under-voltage, throttled, cpufreq-cpu0)"
    )


@pytest.mark.parametrize(
    ("governor", "clock_mhz", "valid"),
    [("performance", 1700, True), ("performance", 1500, False), ("ondemand", 1500, True)],
)
def test_fixed_clock_that_fell_is_invalid(governor, clock_mhz, valid):
    fell = Disturbance(
        before=Conditions(clock_mhz=1800, governor=governor),
        after=Conditions(clock_mhz=clock_mhz, governor=governor),
    )
    assert (why_invalid(STEADY, fell, 1, TWO_CORES) is None) is valid


def test_emulated_machine_is_never_trusted_and_only_that_is_said():
    emulated = Host("pi", cores=2, emulated=True)
    reason = why_invalid(STEADY, Disturbance(throttled=True), 1, emulated)
    assert reason == EMULATED


def test_throughput_counts_every_inference_and_all_time():
    summary = summarise([10, 20, 30], inferences=12, every=4, elapsed_ns=6_000_000_000)
    assert (summary.runs, summary.inferences, summary.every) == (3, 12, 4)
    assert summary.throughput_per_s == 2.0
    assert summarise([10, 20]).throughput_per_s is None


def test_single_stream_is_as_long_as_in_mlperf():
    plan = plan_for("single-stream")
    assert plan.min_runs >= 1024
    assert plan.min_seconds >= 60
    assert plan.cooldown_seconds > 0
    # The longest that it takes by itself, with a warm-up that never gets steady.
    assert plan.timeout_seconds > 60 + plan.cooldown_seconds + plan.warmup_seconds


def test_plan_that_is_shorter_than_its_mode_is_not_called_so():
    assert plan_for("single-stream", min_seconds=1.0).mode == "custom"
    assert plan_for("single-stream", min_seconds=60.0, seed=5).mode == "single-stream"
    assert plan_for("quick", min_runs=None) == MODES["quick"]


def test_plan_keeps_the_buffer_even():
    with pytest.raises(UsageError, match="even"):
        Plan(max_samples=11)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mode": "qick"}, "no mode 'qick'; did you mean quick"),
        ({"min_run": 3}, "a plan has no 'min_run'; did you mean min_runs"),
        ({"min_runs": 0}, "min_runs is 0"),
        ({"min_runs": 2.5}, "min_runs is 2.5"),
        ({"min_seconds": -1}, "min_seconds is -1"),
        ({"warmup_seconds": float("nan")}, "warmup_seconds is nan"),
        ({"timeout_seconds": 0}, "timeout_seconds is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"affinity": "huge"}, "affinity is 'huge'; give big, little or cores"),
    ],
)
def test_plan_refuses_values_out_of_range(changes, words):
    with pytest.raises(UsageError) as error:
        plan_for(**{"mode": "quick", **changes})
    assert words in str(error.value)
