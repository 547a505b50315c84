"""Caveats that a reader must know before trusting the figures; they follow from the rows."""

from collections.abc import Sequence

from edge.report.accuracy import accuracy_of_file, accuracy_of_model
from edge.results.row import OK, SKIPPED, Row
from edge.results.tables import (
    backend_label,
    device_label,
    is_exact_count,
    measured,
    models_of,
    on_microcontroller,
    timed,
)

ARM = ("aarch64", "arm64", "armv7l", "armv6l")
NOTICEABLE_CORES = 0.1
"""Share of a core; if other processes took more, even valid rows mention it."""


def caveats(rows: Sequence[Row], superseded: int = 0) -> list[str]:
    """Sentences that qualify the rows, the most important first.

    Args:
        rows: The rows that the report shows.
        superseded: How many older rows of the same cells it leaves out.
    """
    return [
        *host_notes(rows),
        *_about_backends(rows),
        *_about_runs(rows),
        *_about_models(rows),
        *_about_outputs(rows),
        *([f"{superseded} older rows of the same cells are left out."] if superseded else []),
    ]


def host_notes(rows: Sequence[Row]) -> list[str]:
    """Caveats about the machines that the figures come from."""
    # Nothing is known about a device that was not reached, and there is nothing to doubt.
    hosts = list(dict.fromkeys(row.host for row in rows if row.host.architecture is not None))
    notes = []
    others = sorted({h.architecture for h in hosts if h.architecture not in ARM} - {None}, key=str)
    if others:
        notes.append(
            f"{' and '.join(map(str, others))} is not ARM. Larq Compute Engine's optimised kernels "
            "are written for 64-bit ARM; elsewhere it falls back to portable code. These latencies "
            "predict neither those of a Raspberry Pi or a phone nor their order: measure there."
        )
    counted = {device_label(row) for row in rows if is_exact_count(row)}
    if counted:
        notes.insert(
            0,
            f"{', '.join(sorted(counted))}: instructions, flash and RAM of an emulated board are "
            "exact. They are not times: how long an instruction takes is the real board's matter.",
        )
    elsewhere = (row for row in rows if row.host.emulated and not on_microcontroller(row))
    emulated = sorted({device_label(row) for row in elsewhere})
    if emulated:
        notes.insert(
            0,
            f"{', '.join(emulated)}: the rows show whether files run and agree. Times and memory "
            "are those of an emulator and say nothing about the real device: they are not shown.",
        )
    mixed = any(len(row.host.clusters) > 1 and len(_kinds_used(row)) > 1 for row in timed(rows))
    if mixed:
        notes.append(
            "A host has big and little cores, and a measurement may have used both: choose with "
            "--affinity."
        )
    if any(host.user_space_bits == 32 for host in hosts):
        notes.append(
            "A host runs a 32-bit user space, for which Larq Compute Engine has no fast kernels."
        )
    if any(host.virtual_machine for host in hosts):
        notes.append(
            "A host is a virtual machine: other guests share its caches and memory bandwidth, and "
            "its clock and temperature are unknown."
        )
    governors = {host.governor for host in hosts}
    if None in governors:
        notes.append("A host does not report its frequency governor: the clock may have changed.")
    for governor in sorted(governors - {None, "performance"}, key=str):
        notes.append(
            f"The frequency governor was '{governor}', which changes the clock with the load."
        )
    if len(hosts) > 1 and len({(h.device, h.cpu) for h in hosts}) > 1:
        notes.append("The rows come from several hosts: compare latencies only within one.")
    return notes


def _kinds_used(row: Row) -> list[int]:
    """The kinds of the host's cores that the row may have used, by their index."""
    groups = enumerate(row.host.clusters)
    return [index for index, group in groups if set(group.cpus) & set(row.setup.cpus)]


def _about_backends(rows: Sequence[Row]) -> list[str]:
    notes = []
    names = {row.setup.name for row in measured(rows)}
    lce_files = any(row.model.lce_ops for row in measured(rows))
    if lce_files and {"lce", "lce:indirect_bgemm"} <= names:
        notes.append(
            "“lce” runs binary convolutions with im2col and a binary GEMM, its default; "
            "“lce:indirect_bgemm” follows a table of pointers instead of copying patches. Which is "
            "faster depends on the machine, so compare a model on the better of the two."
        )
    if names & {"lce", "lce:indirect_bgemm"} and "litert" in names:
        notes.append(
            "“litert” runs float layers with XNNPACK, and “lce” without (“lce:xnnpack” with it): "
            "take a float model's latency on “litert” as the baseline of a binary one."
        )
    real = timed(rows)
    if len({row.setup.threads for row in real}) > 1:
        notes.append("Rows differ in their number of threads: compare only equal ones.")
    if len({row.setup.affinity for row in real}) > 1:
        notes.append("Rows differ in the cores that they ran on: compare only equal ones.")
    crowded = [row for row in real if 0 < len(row.setup.cpus) < row.setup.threads]
    if crowded:
        which = ", ".join(f"{row.model.name} on {backend_label(row)}" for row in crowded)
        notes.append(f"More threads than cores: {which}.")
    return notes


def _about_runs(rows: Sequence[Row]) -> list[str]:
    notes = []
    done = timed(rows)
    invalid = [row for row in done if row.status != OK]
    if invalid:
        notes.append(
            f"Disturbed: {len(invalid)} of {len(done)} measured rows. They are shown and marked "
            "“invalid”, with the reasons below. Measure again on a quiet machine."
        )
    busy = [
        row.disturbance.other_cores
        for row in done
        if row.status == OK and row.disturbance and row.disturbance.other_cores is not None
    ]
    if busy and max(busy) > NOTICEABLE_CORES:
        notes.append(
            f"Other processes kept up to {max(busy):.1f} cores busy during the valid rows: too few "
            "to compete for a core, but caches and memory are shared."
        )
    shares = [row.disturbance.left_out or 0.0 for row in done if row.disturbance]
    if shares and max(shares) > 0:
        notes.append(
            f"Up to {max(shares):.0%} of a row's time was left out: on a virtual machine "
            "everything is slower while another guest uses the same physical core. The figures "
            "are those of the undisturbed time."
        )
    unsteady = [row for row in done if row.setup.warmup_steady is False]
    if unsteady:
        which = ", ".join(f"{row.model.name} on {backend_label(row)}" for row in unsteady)
        notes.append(f"The warm-up reached its limit before latencies were steady: {which}.")
    if any(row.memory is None or row.memory.above_baseline_bytes is None for row in done):
        notes.append("A host does not let a process reset its memory peak: memory is unknown.")
    thinned = max((row.summary.every for row in done if row.summary), default=1)
    if thinned > 1:
        notes.append(
            f"Of very many inferences, as few as one in {thinned} became samples: the fastest and "
            "the slowest may be missing."
        )
    return notes


def _about_models(rows: Sequence[Row]) -> list[str]:
    notes = []
    models = models_of(rows)
    wrong = [m.name for m in models if m.verification and m.verification.verdict == "mismatch"]
    if wrong:
        notes.append(
            f"{', '.join(wrong)}: at its conversion, the file disagreed with Keras by more than "
            "rounding explains."
        )
    unknown = [m.name for m in models if accuracy_of_model(m, rows) is None]
    if unknown:
        notes.append(
            f"The accuracy of {', '.join(unknown)} is unknown: no conversion report with an "
            "accuracy was beside the file. Measure it with `edge bench --data`."
        )
    if any(accuracy_of_file(model) for model in models):
        again = (
            "these runs did not measure them again."
            if not any(row.evaluation for row in rows)
            else "those on the device are listed separately."
        )
        notes.append(
            "Accuracies in the file were measured when it was converted, on the converting "
            f"machine; {again} Bars in the charts are 95% intervals that follow from the number of "
            "test samples: differences within them may be chance."
        )
    return notes


def _about_outputs(rows: Sequence[Row]) -> list[str]:
    notes = []
    for row in rows:
        agreement = row.parity.argmax_agreement if row.parity else None
        if agreement is not None and agreement < 1:
            notes.append(
                f"{row.model.name}: {backend_label(row)} and {row.parity and row.parity.reference} "
                f"chose the same class for {agreement:.0%} of the random inputs. Rounding flips a "
                "bit where a pre-activation of a binary layer is next to its threshold."
            )
    apart = [
        f"{row.model.name} with {backend_label(row)} on {device_label(row)} for "
        f"{1 - row.evaluation.argmax_agreement:.2%}"
        for row in rows
        if row.evaluation and row.evaluation.argmax_agreement not in (None, 1.0)
    ]
    if apart:
        notes.append(
            f"Some labelled samples got another class than on the host: {', '.join(apart)}."
        )
    skipped = [row for row in rows if row.status == SKIPPED]
    if skipped:
        notes.append(f"Skipped cells: {len(skipped)}; their runtime lacks the file's ops.")
    return notes
