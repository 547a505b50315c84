"""Warm-up, samples and cool-down."""

import time

import numpy as np

from .conditions import temperature

WARMUP_WINDOW_RUNS = 10
WARMUP_WINDOW_SECONDS = 0.05
STEADY_TOLERANCE = 0.05
SPELL_RUNS = 5
SPELL_SECONDS = 0.02
UNDISTURBED = 0.1
UNDISTURBED_SHARE = 1 / 8
COOLING_STEP_SECONDS = 5.0
COOLED_DEGREES = 0.5


def is_steady(medians, tolerance=STEADY_TOLERANCE):
    """Whether the last two of the windows' medians agree within `tolerance` of the earlier one."""
    return len(medians) >= 2 and abs(medians[-1] - medians[-2]) <= tolerance * medians[-2]


def warm_up(run, inputs, limit_seconds):
    """Runs until two consecutive windows have the same median, for `limit_seconds` at most.

    A window is at least 10 runs and 50 ms: a processor needs tens of milliseconds to raise its
    clock, which ten runs of a small model do not last.

    Returns:
        The number of runs, and whether a steady state was reached.
    """
    start, runs = time.perf_counter(), 0
    medians: list = []
    while time.perf_counter() - start < limit_seconds:
        window: list = []
        window_start = time.perf_counter()
        while (
            len(window) < WARMUP_WINDOW_RUNS
            or time.perf_counter() - window_start < WARMUP_WINDOW_SECONDS
        ):
            before = time.perf_counter_ns()
            run(inputs)
            window.append(time.perf_counter_ns() - before)
            if time.perf_counter() - start >= limit_seconds:
                break
        runs += len(window)
        medians.append(float(np.median(window)))
        if len(window) >= WARMUP_WINDOW_RUNS and is_steady(medians):
            return runs, True
    return runs, False


def take_samples(run, inputs, buffer, min_runs, min_seconds, patience=None):
    """Times inferences until there were `min_runs` and `min_seconds` have passed.

    When the buffer is full, every other sample is dropped and from then on only every second,
    fourth, … inference is kept: a systematic sample, evenly spread over the whole time, so that a
    minute of a small model fits a row. Forgetting happens between inferences, not within.

    With `patience`, disturbed spells are left out. On a virtual machine another guest may use the
    second thread of the same physical core: everything then takes about half as long again, for a
    tenth of a second or for ten, and neither the load nor the stolen time shows it. A spell is at
    least 5 samples and 20 ms; it is disturbed if its mean is more than a tenth above the best
    spell's. (Quantiles do not serve: where short inferences take one of two times, depending on a
    neighbour's bursts of microseconds, they jump from spell to spell.) Sampling goes on until the
    others make an eighth of `min_seconds` and have `min_runs`, for `patience` times `min_seconds`
    at most. If these runs were not reached by then, all samples stay.

    Args:
        run: Runs the model.
        inputs: What it is given.
        buffer: int64 `[2, n]`, n even; the beginning of its first row is filled with latencies in
            ns, the second with the number of their spell.
        min_runs: Inferences.
        min_seconds: Since the first of them began.
        patience: A factor from 1, or None to keep all spells.

    Returns:
        `{"kept", "every", "inferences", "elapsed_ns", "left_out"}`: how many samples are in the
        buffer, of which inference each is (every `every`-th), how many inferences there were in the
        spells that were kept and how long those took, and the other spells' share of the time.
    """
    clock = time.perf_counter_ns
    start = spell_start = clock()
    kept, every, inferences = 0, 1, 0
    spells: list = []
    first, inferences_before = 0, 0  # of the current spell
    while True:
        before = clock()
        run(inputs)
        after = clock()
        if inferences % every == 0:
            buffer[:, kept] = after - before, len(spells)
            kept += 1
        inferences += 1
        enough = inferences >= min_runs and after - start >= min_seconds * 1e9
        if patience is None:
            if enough:
                break
        elif kept - first >= SPELL_RUNS and after - spell_start >= SPELL_SECONDS * 1e9:
            spells.append((inferences - inferences_before, after - spell_start))
            first, inferences_before, spell_start = kept, inferences, after
            waited = after - start >= patience * min_seconds * 1e9
            quiet_seconds = UNDISTURBED_SHARE * min_seconds
            if enough and (waited or _suffice(_undisturbed(spells), min_runs, quiet_seconds)):
                break
        if kept == buffer.shape[1]:
            kept //= 2
            first = (first + 1) // 2
            buffer[:, :kept] = buffer[:, ::2].copy()
            every *= 2
    taken = {"kept": kept, "every": every, "inferences": inferences, "elapsed_ns": after - start}
    quiet = _undisturbed(spells)
    if patience is None or not _suffice(quiet, min_runs):
        return {**taken, "left_out": 0.0}
    samples = buffer[0, :kept][np.isin(buffer[1, :kept], list(quiet))].copy()
    buffer[0, : len(samples)] = samples
    quiet_ns = sum(elapsed for _, elapsed in quiet.values())
    return {
        "kept": len(samples),
        "every": every,
        "inferences": sum(count for count, _ in quiet.values()),
        "elapsed_ns": quiet_ns,
        "left_out": 1.0 - quiet_ns / taken["elapsed_ns"],
    }


def _undisturbed(spells):
    """Number → (inferences, ns) of each spell about as fast as the best."""
    means = [elapsed_ns / inferences for inferences, elapsed_ns in spells]
    limit = (1 + UNDISTURBED) * min(means, default=0.0)
    return {number: spells[number] for number, mean in enumerate(means) if mean <= limit}


def _suffice(quiet, min_runs, seconds=0.0):
    inferences = sum(count for count, _ in quiet.values())
    elapsed_ns = sum(elapsed for _, elapsed in quiet.values())
    return inferences >= min_runs and elapsed_ns >= seconds * 1e9


def cool_down(limit_seconds):
    """Idles until the processor stops getting cooler, for `limit_seconds` at most.

    That is when it lost no more than half a degree in 5 s; where no temperature can be read, the
    whole time passes. Returns the seconds.
    """
    start = time.perf_counter()
    last = temperature()
    while time.perf_counter() - start < limit_seconds:
        remaining = limit_seconds - (time.perf_counter() - start)
        time.sleep(max(0.0, min(COOLING_STEP_SECONDS, remaining)))
        now = temperature()
        if last is not None and now is not None and last - now <= COOLED_DEGREES:
            break
        last = now
    return time.perf_counter() - start
