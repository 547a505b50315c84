"""Warm-up, samples and cool-down."""

import time

import numpy as np

from .conditions import temperature

WARMUP_WINDOW_RUNS = 10
WARMUP_WINDOW_SECONDS = 0.05
STEADY_TOLERANCE = 0.05
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


def take_samples(run, inputs, buffer, min_runs, min_seconds):
    """Times inferences until there were `min_runs` and `min_seconds` have passed.

    When the buffer is full, every other sample is dropped and from then on only every second,
    fourth, … inference is kept: a systematic sample, evenly spread over the whole time, so that a
    minute of a small model fits a row. Forgetting happens between inferences, not within.

    Args:
        run: Runs the model.
        inputs: What it is given.
        buffer: int64 `[n]`, n even; its beginning is filled with latencies in ns.
        min_runs: Inferences.
        min_seconds: Since the first of them began.

    Returns:
        `{"kept", "every", "inferences", "elapsed_ns"}`: how many samples are in the buffer, of
        which inference each is (every `every`-th), how many there were and how long they took.
    """
    clock = time.perf_counter_ns
    start, kept, every, inferences = clock(), 0, 1, 0
    while True:
        before = clock()
        run(inputs)
        after = clock()
        if inferences % every == 0:
            buffer[kept] = after - before
            kept += 1
        inferences += 1
        if inferences >= min_runs and after - start >= min_seconds * 1e9:
            break
        if kept == len(buffer):
            kept //= 2
            buffer[:kept] = buffer[::2].copy()
            every *= 2
    return {"kept": kept, "every": every, "inferences": inferences, "elapsed_ns": after - start}


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
