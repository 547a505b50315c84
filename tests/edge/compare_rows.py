"""Rows to compare: of chosen medians, and old and new ones measured in turn."""

import dataclasses

import numpy as np

from edge.bench import measurement

QUIET_SPREAD = 0.02
NOISE = (1.0, 1.4, 0.8, 1.2, 1.6)


def with_samples(row, median_ns, seed, spread=QUIET_SPREAD, count=200):
    """The row with other samples: lognormal ones around this median."""
    rng = np.random.default_rng(seed)
    samples = tuple(int(s) for s in median_ns * np.exp(spread * rng.standard_normal(count)))
    return dataclasses.replace(row, samples_ns=samples, summary=measurement.summarise(samples))


def in_turn(change, factor, status="ok"):
    """Rows of `old` and `new`, measured in turn on a machine whose speed changes."""
    reason = None if status == "ok" else "loud"
    rows = []
    for repetition, noise in enumerate(NOISE, start=1):
        for name, median in (("old", 500_000), ("new", 500_000 * factor)):
            rows.append(
                change(
                    median * noise, seed=len(rows), setup__repetition=repetition, model__name=name,
                    model__file=f"runs/{name}.tflite", model__sha256=name, status=status,
                    reason=reason,
                )
            )  # fmt: skip
    return rows
