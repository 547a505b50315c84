"""Decides how long to measure and whether to believe it; turns raw samples into figures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edge.rows import Disturbance, Summary

MAX_SPREAD = 0.5
"""A p90 more than half above the median: the usual run was not what was measured.

A quiet machine stays below 0.1; sharing a core with another process doubles some of the runs.
"""

MAX_DRIFT = 0.15
"""The median of the last third of the samples against the first third's.

Beyond this the state was not steady: the chip heated up, or another load came or went.
"""

MAX_STOLEN_CORES = 0.05
MIN_SECONDS_FOR_LOAD = 0.15
"""Processor accounts are kept in steps of 10 ms: over shorter spans they are off by over 0.07."""

SPARE_CORES_TOLERANCE = 0.15
"""Other processes' short bursts that cost a run less than the spread already shows."""


@dataclass(frozen=True)
class Plan:
    """How much to measure: at least `min_runs` and `min_seconds`, after a bounded warm-up.

    `max_runs` bounds the size of a row; models of under 100 µs reach it before two seconds. With
    `profile_ops` a setup with the delegate tells the time of each op too.
    """

    min_runs: int = 50
    min_seconds: float = 2.0
    max_runs: int = 20_000
    warmup_seconds: float = 2.0
    seed: int = 0
    parity_inputs: int = 8
    profile_ops: bool = False

    def as_request(self) -> dict[str, Any]:
        """The fields of a runner's request."""
        return asdict(self)


def summarise(samples_ns: Sequence[int]) -> Summary:
    """Statistics of the raw samples; percentiles interpolate linearly between order statistics.

    `spread` is (p90 - p50) / p50: how much slower than usual the slowest tenth begins. It is not
    moved by the few samples that an interrupt hits, as a standard deviation would be.

    Raises:
        ValueError: There are no samples.
    """
    if not len(samples_ns):
        raise ValueError("no samples")
    samples = np.sort(np.asarray(samples_ns, dtype=np.int64))
    p50, p90, p99 = (float(p) for p in np.percentile(samples, [50, 90, 99]))
    low, high = median_interval_ranks(len(samples)) or (None, None)
    return Summary(
        runs=len(samples),
        min_ns=float(samples[0]),
        p50_ns=p50,
        p90_ns=p90,
        p99_ns=p99,
        spread=(p90 - p50) / p50 if p50 > 0 else 0.0,
        p50_low_ns=None if low is None else float(samples[low]),
        p50_high_ns=None if high is None else float(samples[high]),
    )


def median_interval_ranks(count: int, confidence: float = 0.95) -> tuple[int, int] | None:
    """Zero-based ranks of the sorted samples that enclose the median with `confidence`.

    The number of samples below the true median is binomial(count, ½) whatever the distribution
    (ties only widen the interval). So the interval from rank k to rank count-1-k misses the median
    with probability 2·P(X ≤ k), and k is the largest rank for which that is at most
    1 - confidence. Consecutive latencies are not quite independent: read it as a lower bound of the
    uncertainty.

    Returns:
        The two ranks; None where even the smallest and the largest sample do not suffice, which for
        95% is below 6 samples.
    """
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    log_choose = log_factorials[-1] - log_factorials - log_factorials[::-1]
    cumulative = np.cumsum(np.exp(log_choose - count * np.log(2.0)))
    # 1e-12 absorbs the rounding of the sums where a probability equals the limit exactly.
    rank = int(np.searchsorted(cumulative, (1.0 - confidence) / 2 + 1e-12, side="right")) - 1
    return None if rank < 0 else (rank, count - 1 - rank)


def disturbance(before: Mapping[str, Any], after: Mapping[str, Any]) -> Disturbance:
    """What else the machine did between two of the runner's `conditions`."""

    def difference(key: str) -> float | None:
        if before.get(key) is None or after.get(key) is None:
            return None
        return float(after[key]) - float(before[key])

    wall, own = difference("wall_seconds"), difference("process_cpu_seconds")
    busy, stolen = difference("busy_cpu_seconds"), difference("stolen_cpu_seconds")
    other_cores = stolen_cores = None
    if wall is not None and wall >= MIN_SECONDS_FOR_LOAD:
        if busy is not None and own is not None:
            other_cores = max(0.0, (busy - own) / wall)
        if stolen is not None:
            stolen_cores = stolen / wall
    counted, flags = difference("throttle_count"), after.get("throttle_flags")
    known = [bool(sign) for sign in (counted, flags) if sign is not None]
    return Disturbance(
        other_cores=other_cores,
        stolen_cores=stolen_cores,
        load_before=before.get("load_1min"),
        load_after=after.get("load_1min"),
        temperature_before_c=before.get("temperature_c"),
        temperature_after_c=after.get("temperature_c"),
        throttled=any(known) if known else None,
    )


def drift(samples_ns: Sequence[int]) -> float:
    """The median of the last third over that of the first third, minus 1; 0 under 9 samples."""
    third = len(samples_ns) // 3
    if third < 3:
        return 0.0
    first, last = np.median(samples_ns[:third]), np.median(samples_ns[-third:])
    return float(last / first - 1.0) if first > 0 else 0.0


def why_invalid(
    samples_ns: Sequence[int], disturbed: Disturbance, threads: int, cores: int | None
) -> str | None:
    """Why the samples do not show what the model costs on this machine; None if they do.

    The load average lags by a minute (training that has just ended would spoil every row), so what
    other processes did *during* warm-up and samples decides; the load average only where that is
    unknown.
    """
    reasons = []
    other, stolen, load = disturbed.other_cores, disturbed.stolen_cores, disturbed.load_before
    if other is not None and cores is not None:
        if other > max(0, cores - threads) + SPARE_CORES_TOLERANCE:
            reasons.append(
                f"other processes kept {other:.1f} of {cores} cores busy, beside {threads} "
                f"thread{'s' if threads > 1 else ''}"
            )
    elif load is not None and cores is not None and load > cores:
        reasons.append(f"the load average was {load:.1f} on {cores} cores")
    if stolen is not None and stolen > MAX_STOLEN_CORES:
        reasons.append(f"the hypervisor gave {stolen:.0%} of a core to other machines")
    if disturbed.throttled:
        reasons.append("the processor was throttled or under-powered")
    spread = summarise(samples_ns).spread
    if spread > MAX_SPREAD:
        reasons.append(f"p90 was {spread:.0%} above the median (limit {MAX_SPREAD:.0%})")
    change = drift(samples_ns)
    if abs(change) > MAX_DRIFT:
        reasons.append(
            f"the median moved by {change:+.0%} from the first to the last third of the runs "
            f"(limit {MAX_DRIFT:.0%})"
        )
    return "; ".join(reasons) or None
