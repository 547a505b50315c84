"""What a reader must know before believing the figures: read off the rows themselves."""

from collections.abc import Sequence

from edge.rows import OK, SKIPPED, Row
from edge.tables import measured, models_of, setup_label

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
        *_about_hosts(rows),
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


def _about_hosts(rows: Sequence[Row]) -> list[str]:
    hosts = list(dict.fromkeys(row.host for row in rows))
    notes = []
    others = sorted({h.architecture for h in hosts if h.architecture not in ARM} - {None}, key=str)
    if others:
        notes.append(
            f"{' and '.join(map(str, others))} is not ARM. Larq Compute Engine's optimised kernels "
            "are written for 64-bit ARM; elsewhere it falls back to portable code. These latencies "
            "neither predict those of a Raspberry Pi or a phone nor their order: measure there."
        )
    if any(host.emulated for host in hosts):
        notes.append("A host is emulated: its latencies say nothing of the real device.")
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
    if len({row.setup.threads for row in measured(rows)}) > 1:
        notes.append("Rows differ in their number of threads; compare only equal ones.")
    return notes


def _about_runs(rows: Sequence[Row]) -> list[str]:
    notes = []
    done = measured(rows)
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
        notes.append(
            "Accuracies were measured when the files were converted, on the converting machine; "
            "they were not measured again by these runs. Bars in the charts are 95% intervals that "
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
    skipped = [row for row in rows if row.status == SKIPPED]
    if skipped:
        notes.append(f"Skipped cells: {len(skipped)}, whose runtime lacks the file's ops.")
    return notes
