"""How long to measure, whether to trust it, and figures from raw samples."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from edge.results.row import Conditions, Disturbance, Evaluation, Host, Summary
from edge.results.statistics import drift, quantile_interval_ranks, sign_test
from edge.runner.conditions import THROTTLE_FLAGS
from edge.runner.cores import AFFINITY
from onebit.errors import UsageError, near_matches

MAX_SPREAD = 0.5
"""A p90 more than half above the median: the usual run was not what was measured.

A quiet machine stays below 0.1; sharing a core with another process doubles some of the runs. Of
inferences shorter than `STEADY_NS` it is that of the means of neighbouring samples.
"""

STEADY_NS = 1_000_000
"""Over this time a machine's state is judged, not over an inference of some microseconds.

A neighbour on the core's second thread, or an interrupt, comes in bursts of microseconds. They make
single short inferences half as slow again (which p90 and p99 of the row show), while any
millisecond of them takes what the next does: the figures are right, and repeat.
"""

MIN_GROUPS = 20
"""Of fewer means no p90 is taken: the single samples decide."""

MAX_DRIFT = 0.15
"""The median of the last third of the samples against the first third's.

Beyond this the state was not steady: the chip heated up, or another load came or went.
"""

MAX_CLOCK_FALL = 0.1
"""With the governor `performance` the clock is fixed: if it fell, something held it down."""

MAX_STOLEN_CORES = 0.05
MIN_SECONDS_FOR_LOAD = 0.15
"""Processor accounts are kept in steps of 10 ms: over shorter spans they are off by over 0.07."""

SPARE_CORES_TOLERANCE = 0.15
"""Other processes' short bursts that cost a run less than the spread already shows."""

WRONG_PROBABILITY = 1e-3
"""The device's answers are called wrong if luck would make them so bad less often than this."""

EMULATED = "emulated: its times and memory say nothing about a real device"


@dataclass(frozen=True)
class Plan:
    """How much to measure: at least `min_runs` and `min_seconds`, after a bounded warm-up.

    `max_samples` bounds the size of a row: of more inferences, an even selection is kept. With
    `profile_ops` a backend with the delegate reports the time of each op too; with `instructions`
    those that an inference executes are counted, in a separate process. `affinity` is `big`,
    `little`, or a list of cores such as `0,2`. `energy_seconds` are spent only where there is a
    meter. `patience` is how many times `min_seconds` sampling may take on a virtual machine until
    enough of it was undisturbed by other guests (`edge.runner.timing.take_samples`); None keeps
    all.

    Raises:
        UsageError: A value is out of its range.
    """

    mode: str = "standard"
    min_runs: int = 50
    min_seconds: float = 2.0
    max_samples: int = 20_000
    warmup_seconds: float = 2.0
    cooldown_seconds: float = 0.0
    seed: int = 0
    parity_inputs: int = 8
    profile_ops: bool = False
    instructions: bool = False
    affinity: str | None = None
    energy_seconds: float = 5.0
    patience: float | None = 4.0
    timeout_seconds: float = 120.0

    def __post_init__(self) -> None:
        # The runner halves the samples when there are too many.
        if self.max_samples < 2 or self.max_samples % 2:
            raise UsageError(f"max_samples is {self.max_samples}, not a positive even number")
        for name, least in (("min_runs", 1), ("parity_inputs", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise UsageError(f"{name} is {value!r}, not a whole number from {least}")
        for name in ("min_seconds", "warmup_seconds", "cooldown_seconds", "energy_seconds"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UsageError(f"{name} is {getattr(self, name)!r}, not a time from 0 s")
        if not 0 < self.timeout_seconds < float("inf"):
            raise UsageError(f"timeout_seconds is {self.timeout_seconds!r}, not above 0 s")
        if self.patience is not None and not 1 <= self.patience < float("inf"):
            raise UsageError(f"patience is {self.patience!r}, not a factor from 1")
        if self.affinity is not None and not re.fullmatch(AFFINITY, self.affinity):
            raise UsageError(
                f"affinity is {self.affinity!r}", hint="give big, little or cores such as 0,2"
            )

    def as_request(self) -> dict[str, Any]:
        """The fields of a runner's request."""
        here = ("mode", "timeout_seconds", "instructions")
        return {key: value for key, value in asdict(self).items() if key not in here}


MODES = {
    plan.mode: plan
    for plan in (
        Plan("quick", min_runs=20, min_seconds=0.5, warmup_seconds=1.0, energy_seconds=2.0),
        Plan(),
        # As in MLPerf Inference's single stream: one query after the other, at least 1024 of them
        # and for 60 s, judged by the 90th percentile of all; cool-down as in MLPerf Mobile.
        Plan(
            "single-stream",
            min_runs=1024,
            min_seconds=60.0,
            warmup_seconds=5.0,
            cooldown_seconds=30.0,
            patience=None,
            timeout_seconds=900.0,
        ),
    )
}
CUSTOM = "custom"


def plan_for(mode: str, **changes: Any) -> Plan:
    """The plan of a mode; None leaves a field as it is.

    A plan whose length differs from its mode's is called `custom`, so that no other measurement
    passes for a single-stream one.

    Raises:
        UsageError: There is no such mode or field, or a value is out of its range.
    """
    if mode not in MODES:
        raise UsageError(f"no mode {mode!r}", hint=near_matches(mode, MODES))
    known = [field.name for field in fields(Plan)]
    for name in changes:
        if name not in known:
            raise UsageError(f"a plan has no {name!r}", hint=near_matches(name, known))
    given = {key: value for key, value in changes.items() if value is not None}
    plan = MODES[mode]
    lengths = ("min_runs", "min_seconds", "warmup_seconds", "cooldown_seconds")
    if any(given.get(key, getattr(plan, key)) != getattr(plan, key) for key in lengths):
        given["mode"] = CUSTOM
    return replace(plan, **given)


def summarise(
    samples_ns: Sequence[int],
    *,
    inferences: int | None = None,
    every: int = 1,
    elapsed_ns: int | None = None,
) -> Summary:
    """Statistics of the raw samples; percentiles interpolate linearly between order statistics.

    `spread` is (p90 - p50) / p50: how much slower than usual the slowest tenth begins. It is not
    moved by the few samples that an interrupt hits, as a standard deviation would be. The intervals
    of p50 and p90 hold with 95%. Throughput is inferences over the time that all of them took.

    Args:
        samples_ns: The samples that were kept.
        inferences: How many were run; as many as samples when None.
        every: Of how many inferences one was kept.
        elapsed_ns: How long all took; unknown when None.

    Raises:
        ValueError: There are no samples.
    """
    if not len(samples_ns):
        raise ValueError("no samples")
    samples = np.sort(np.asarray(samples_ns, dtype=np.int64))
    p50, p90, p99 = (float(p) for p in np.percentile(samples, [50, 90, 99]))

    def interval(quantile: float) -> tuple[float | None, float | None]:
        ranks = quantile_interval_ranks(len(samples), quantile)
        return (None, None) if ranks is None else tuple(float(samples[r]) for r in ranks)  # type: ignore[return-value]

    (p50_low, p50_high), (p90_low, p90_high) = interval(0.5), interval(0.9)
    count = len(samples) if inferences is None else inferences
    return Summary(
        runs=len(samples),
        min_ns=float(samples[0]),
        p50_ns=p50,
        p90_ns=p90,
        p99_ns=p99,
        spread=_spread(p50, p90),
        p50_low_ns=p50_low,
        p50_high_ns=p50_high,
        p90_low_ns=p90_low,
        p90_high_ns=p90_high,
        inferences=count,
        every=every,
        seconds=None if elapsed_ns is None else elapsed_ns / 1e9,
        throughput_per_s=count / (elapsed_ns / 1e9) if elapsed_ns else None,
    )


def disturbance(
    before: Mapping[str, Any], after: Mapping[str, Any], left_out: float | None = None
) -> Disturbance:
    """Other activity of the machine between two of the runner's `conditions`.

    `left_out` is the share of the time that the runner left out.
    """

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
    return Disturbance(
        other_cores=other_cores,
        stolen_cores=stolen_cores,
        left_out=left_out,
        throttled=_throttled(before, after, difference("throttle_count")),
        before=_conditions(before),
        after=_conditions(after),
    )


def _throttled(
    before: Mapping[str, Any], after: Mapping[str, Any], counted: float | None
) -> bool | None:
    """Whether the clock was held down at either moment or in between; None if unknown."""
    signs = [counted > 0] if counted is not None else []
    if after.get("throttle_flags") is not None:
        flags = [int(moment.get("throttle_flags") or 0) for moment in (before, after)]
        newly = (flags[1] >> 16) & ~(flags[0] >> 16)
        signs.append(bool((flags[0] | flags[1] | newly) & 0xF))
    if after.get("cooling") is not None:
        signs.append(bool(before.get("cooling") or after["cooling"]))
    return any(signs) if signs else None


def _conditions(moment: Mapping[str, Any]) -> Conditions:
    flags = int(moment.get("throttle_flags") or 0)
    names = [name for bit, name in enumerate(THROTTLE_FLAGS) if flags & (1 << bit)]
    return Conditions(
        load_1min=moment.get("load_1min"),
        temperature_c=moment.get("temperature_c"),
        clock_mhz=moment.get("clock_mhz"),
        governor=moment.get("governor"),
        throttling=(*names, *(moment.get("cooling") or ())),
    )


def why_invalid(
    samples_ns: Sequence[int], disturbed: Disturbance, threads: int, host: Host
) -> str | None:
    """Why the samples do not show what the model costs on this machine; None if they do.

    The load average lags by a minute (training that has just ended would make every row invalid),
    so the activity of other processes *during* warm-up and samples decides; the load average only
    where that is unknown.
    """
    if host.emulated:
        return EMULATED
    cores, before, after = host.cores, disturbed.before, disturbed.after
    other, stolen = disturbed.other_cores, disturbed.stolen_cores
    load = before.load_1min if before else None
    reasons = []
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
        named = dict.fromkeys(n for moment in (before, after) if moment for n in moment.throttling)
        why = f" ({', '.join(named)})" if named else ""
        reasons.append(f"the processor was throttled or under-powered{why}")
    if before and after and before.governor == after.governor == "performance":
        first, last = before.clock_mhz, after.clock_mhz
        if first and last and last < first * (1 - MAX_CLOCK_FALL):
            reasons.append(f"the clock fell from {first:.0f} to {last:.0f} MHz")
    spread = _steady_spread(samples_ns)
    if spread > MAX_SPREAD:
        reasons.append(f"p90 was {spread:.0%} above the median (limit {MAX_SPREAD:.0%})")
    change = drift(samples_ns)
    if abs(change) > MAX_DRIFT:
        reasons.append(
            f"the median moved by {change:+.0%} from the first to the last third of the runs "
            f"(limit {MAX_DRIFT:.0%})"
        )
    return "; ".join(reasons) or None


def _steady_spread(samples_ns: Sequence[int]) -> float:
    """How far p90 is above the median, of the means of neighbouring samples that make 1 ms."""
    samples = np.asarray(samples_ns, dtype=np.float64)
    together = max(1, math.ceil(STEADY_NS / max(1.0, float(np.median(samples)))))
    if len(samples) >= MIN_GROUPS * together:
        whole = len(samples) // together * together
        samples = samples[:whole].reshape(-1, together).mean(axis=1)
    return _spread(*np.percentile(samples, [50, 90]))


def _spread(p50: float, p90: float) -> float:
    """How far p90 is above the median, as a share of it."""
    return float((p90 - p50) / p50) if p50 > 0 else 0.0


def why_wrong(evaluation: Evaluation, only_device: int, only_host: int) -> str | None:
    """Why the device's answers cannot be the model's; None if rounding explains them.

    Where rounding flips a bit of a binary network, the answer may become another one, and it gets
    right as easily as wrong: of the samples that only one of the two got right, each side has half.
    A wrong kernel only loses. So the answers are wrong if so few of those samples are the device's
    that a fair coin would give as few with a probability below `WRONG_PROBABILITY` (McNemar's exact
    test).

    Args:
        evaluation: The accuracies for the reason.
        only_device: How many samples only the device got right.
        only_host: How many only the host got right.
    """
    if sign_test(only_device, only_device + only_host) >= WRONG_PROBABILITY:
        return None
    return (
        f"wrong answers: {evaluation.accuracy:.2%} of {evaluation.samples} samples were right on "
        f"the device, {evaluation.reference_accuracy:.2%} on the host ({evaluation.reference})"
    )
