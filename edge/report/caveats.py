"""What a reader must know before believing the figures: read off the rows themselves."""

from collections.abc import Sequence

from edge.results.row import OK, SKIPPED, Row
from edge.results.tables import device_label, measured, models_of, setup_label, timed

ARM = ("aarch64", "arm64", "armv7l", "armv6l")
NOTICEABLE_CORES = 0.1
"""Of one core: what other processes took that a valid row should still mention."""


def caveats(rows: Sequence[Row], superseded: int = 0) -> list[str]:
    """Sentences that qualify the rows, the gravest first.

    Args:
        rows: What the report shows.
        superseded: How many older rows of the same cells it leaves out.
    """
    return [
        *host_notes(rows),
        *_about_setups(rows),
        *_about_runs(rows),
        *_about_models(rows),
        *_about_outputs(rows),
        *(
            [f"Older rows of the same cells that are left out: {superseded}; the latest counts."]
            if superseded
            else []
        ),
    ]


def host_notes(rows: Sequence[Row]) -> list[str]:
    """What qualifies figures by the machines that they come from."""
    # A device that was not reached told nothing, and there is nothing to doubt.
    hosts = list(dict.fromkeys(row.host for row in rows if row.host.architecture is not None))
    notes = []
    others = sorted({h.architecture for h in hosts if h.architecture not in ARM} - {None}, key=str)
    if others:
        notes.append(
            f"{' and '.join(map(str, others))} is not ARM. Larq Compute Engine's optimised kernels "
            "are written for 64-bit ARM; elsewhere it falls back to portable code. These latencies "
            "neither predict those of a Raspberry Pi or a phone nor their order: measure there."
        )
    emulated = sorted({device_label(row) for row in rows if row.host.emulated})
    if emulated:
        notes.insert(
            0,
            f"{', '.join(emulated)}: its rows tell whether files run and agree. Its times and "
            "memory are those of an emulator and say nothing of the real device: they are neither "
            "shown nor compared.",
        )
    mixed = any(len(row.host.clusters) > 1 and len(_kinds_used(row)) > 1 for row in timed(rows))
    if mixed:
        notes.append(
            "A host has big and little cores, and a measurement might use both: choose them with "
            "--affinity."
        )
    if any(host.user_space_bits == 32 for host in hosts):
        notes.append(
            "A host runs a 32-bit user space, for which Larq Compute Engine has no fast kernels."
        )
    if any(host.virtual_machine for host in hosts):
        notes.append(
            "A host is a virtual machine: other guests share its caches and memory bandwidth, and "
            "it cannot tell clock or temperature."
        )
    governors = {host.governor for host in hosts}
    if None in governors:
        notes.append("A host does not tell its frequency governor: the clock may have moved.")
    for governor in sorted(governors - {None, "performance"}, key=str):
        notes.append(f"The frequency governor was '{governor}', which moves the clock with load.")
    if len(hosts) > 1 and len({(h.device, h.cpu) for h in hosts}) > 1:
        notes.append("The rows come from several hosts; compare latencies only within one.")
    return notes


def _kinds_used(row: Row) -> list[int]:
    """Which of the host's kinds of cores the row might use, by their index."""
    groups = enumerate(row.host.clusters)
    return [index for index, group in groups if set(group.cpus) & set(row.setup.cpus)]


def _about_setups(rows: Sequence[Row]) -> list[str]:
    notes = []
    names = {row.setup.name for row in measured(rows)}
    lce_files = any(row.model.lce_ops for row in measured(rows))
    if lce_files and {"lce", "lce:indirect_bgemm"} <= names:
        notes.append(
            "“lce” runs binary convolutions with im2col and a binary GEMM, its default; "
            "“lce:indirect_bgemm” follows a table of pointers instead of copying patches. Which of "
            "them is faster depends on the machine, so compare a model with the better of both."
        )
    if names & {"lce", "lce:indirect_bgemm"} and "litert" in names:
        notes.append(
            "“litert” runs float layers with XNNPACK, “lce” without (“lce:xnnpack” does): a float "
            "model is best judged by “litert”, and a binary one against that."
        )
    real = timed(rows)
    if len({row.setup.threads for row in real}) > 1:
        notes.append("Rows differ in their number of threads; compare only equal ones.")
    if len({row.setup.affinity for row in real}) > 1:
        notes.append("Rows differ in the cores that they ran on; compare only equal ones.")
    crowded = [row for row in real if 0 < len(row.setup.cpus) < row.setup.threads]
    if crowded:
        which = ", ".join(f"{row.model.name} on {setup_label(row)}" for row in crowded)
        notes.append(f"More threads than cores: {which}.")
    return notes


def _about_runs(rows: Sequence[Row]) -> list[str]:
    notes = []
    done = timed(rows)
    invalid = [row for row in done if row.status != OK]
    if invalid:
        notes.append(
            f"Disturbed: {len(invalid)} of {len(done)} measured rows. They are shown and marked "
            "“invalid”; the reasons stand below. Measure again on a quiet machine."
        )
    busy = [
        row.disturbance.other_cores
        for row in done
        if row.status == OK and row.disturbance and row.disturbance.other_cores is not None
    ]
    if busy and max(busy) > NOTICEABLE_CORES:
        notes.append(
            f"Other processes kept up to {max(busy):.1f} cores busy during the valid rows: too few "
            "to compete for a core, but they share caches and memory."
        )
    unsteady = [row for row in done if row.setup.warmup_steady is False]
    if unsteady:
        which = ", ".join(f"{row.model.name} on {setup_label(row)}" for row in unsteady)
        notes.append(f"The warm-up reached its limit before latencies were steady: {which}.")
    if any(row.memory is None or row.memory.above_baseline_bytes is None for row in done):
        notes.append("A host does not let a process reset its memory peak: memory is unknown.")
    thinned = max((row.summary.every for row in done if row.summary), default=1)
    if thinned > 1:
        notes.append(
            f"Of very many inferences only every {thinned}th or more were kept as samples: the "
            "fastest and the slowest may be missing."
        )
    return notes


def _about_models(rows: Sequence[Row]) -> list[str]:
    notes = []
    models = models_of(rows)
    wrong = [m.name for m in models if m.verification and m.verification.verdict == "mismatch"]
    if wrong:
        notes.append(
            f"{', '.join(wrong)}: when it was converted, the file disagreed with Keras, and by "
            "more than rounding explains."
        )
    unknown = [m.name for m in models if not m.verification or m.verification.accuracy_file is None]
    if unknown:
        notes.append(
            f"No accuracy is known of {', '.join(unknown)}: no conversion report with verified "
            "figures lay beside the file."
        )
    if len(unknown) < len(models):
        again = (
            "they were not measured again by these runs."
            if not any(row.evaluation for row in rows)
            else "those on the device are told apart from them."
        )
        notes.append(
            "Accuracies in the file were measured when it was converted, on the converting "
            f"machine; {again} Bars in the charts are 95% intervals that "
            "follow from the number of test samples: models within them are not told apart."
        )
    return notes


def _about_outputs(rows: Sequence[Row]) -> list[str]:
    notes = []
    for row in rows:
        agreement = row.parity.argmax_agreement if row.parity else None
        if agreement is not None and agreement < 1:
            notes.append(
                f"{row.model.name}: {setup_label(row)} and {row.parity and row.parity.reference} "
                f"chose the same class for {agreement:.0%} of the random inputs. Where a "
                "pre-activation of a binary layer is next to its threshold, rounding flips a bit."
            )
    apart = [
        f"{row.model.name} with {setup_label(row)} on {device_label(row)} for "
        f"{1 - row.evaluation.argmax_agreement:.2%}"
        for row in rows
        if row.evaluation and row.evaluation.argmax_agreement not in (None, 1.0)
    ]
    if apart:
        notes.append(
            f"Of the labelled samples, some got another class than on the host: {', '.join(apart)}."
        )
    skipped = [row for row in rows if row.status == SKIPPED]
    if skipped:
        notes.append(f"Skipped cells: {len(skipped)}, whose runtime lacks the file's ops.")
    return notes
