"""The runner's answer as a result row."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from edge.bench import measurement
from edge.results.row import INVALID, OK, ColdStart, Energy, Memory, OpTime, Parity, Profile, Row


def measured_row(answer: Mapping[str, Any], row: Row) -> Row:
    """`row` with the figures of a `bench` answer, marked invalid where they cannot be trusted.

    Raises:
        KeyError, TypeError, ValueError: The answer is incomplete.
    """
    samples = tuple(answer["samples_ns"])
    disturbed = measurement.disturbance(answer["before"], answer["after"], answer["left_out"])
    reason = measurement.why_invalid(samples, disturbed, row.setup.threads, row.host)
    return dataclasses.replace(
        row,
        setup=dataclasses.replace(
            row.setup,
            runtime_version=answer["runtime_version"],
            cpus=tuple(answer["cpus"] or ()),
            warmup_runs=answer["warmup_runs"],
            warmup_steady=answer["warmup_steady"],
        ),
        status=INVALID if reason else OK,
        reason=reason,
        cold_start=ColdStart(
            answer["import_ns"],
            answer["load_ns"],
            answer["first_inference_ns"],
            answer["prepare_ns"],
        ),
        samples_ns=samples,
        summary=measurement.summarise(
            samples,
            inferences=answer["inferences"],
            every=answer["every"],
            elapsed_ns=answer["elapsed_ns"],
        ),
        memory=_memory(answer),
        parity=Parity(output_sha256=answer["output_sha256"], inputs=answer["parity_inputs"]),
        disturbance=disturbed,
        energy=_energy(answer["energy"]),
        profile=_profile(answer["profile"]),
    )


def marked_invalid(row: Row, reason: str) -> Row:
    """A measured row that is invalid for a further reason."""
    reasons = f"{row.reason}; {reason}" if row.reason else reason
    return dataclasses.replace(row, status=INVALID, reason=reasons)


def _memory(answer: Mapping[str, Any]) -> Memory:
    baseline, peak = answer["baseline_bytes"], answer["peak_bytes"]
    known = baseline is not None and peak is not None
    delegate = answer["delegate_memory"] or {}
    return Memory(
        baseline_bytes=baseline,
        peak_bytes=peak,
        above_baseline_bytes=peak - baseline if known else None,
        refused=answer["memory_refused"],
        delegate_arena_bytes=delegate.get("arena_bytes"),
        delegate_constant_bytes=delegate.get("constant_bytes"),
    )


def _energy(answer: Mapping[str, Any] | None) -> Energy | None:
    if answer is None:
        return None
    return Energy(joules_per_inference=answer["joules"] / answer["inferences"], **answer)


def _profile(answer: Mapping[str, Any] | None) -> Profile | None:
    if answer is None:
        return None
    return Profile(answer["runs"], answer["total_ns"], tuple(OpTime(**op) for op in answer["ops"]))
