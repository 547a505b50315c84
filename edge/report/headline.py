"""The headline: models side by side, each with its float baseline."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge.results import units
from edge.results.cell_key import CellKey
from edge.results.row import SKIPPED, Model, Row
from edge.results.tables import backend_label, host_label, models_of

HEADLINE_COLUMNS = {
    "model": "model",
    "setup": "backend",
    "accuracy_keras": "accuracy in Keras",
    "accuracy_file": "accuracy in the file",
    "accuracy_device": "accuracy on the device",
    "size": "size",
    "compression": "vs float32 weights",
    "compression_baseline": "vs float baseline",
    "p50": "p50",
    "p90": "p90",
    "memory": "memory",
    "status": "status",
}
OPTIONAL = ("accuracy_keras", "compression_baseline", "compression", "memory", "p90")
"""Columns that a narrow table leaves out, the last ones first."""

SAME_MACS = 0.02
"""Two models of one shape may differ by this much, such as one batch normalisation."""


@dataclass(frozen=True)
class HeadlineLine:
    """The main figures of a model on a backend.

    `accuracy_device` was measured on the device itself. An emulated device has no times and memory.
    `compression` is the size of the weights as float32 over the file's size; `compression_baseline`
    the size of the float baseline's file over the file's size, None where no baseline was measured.
    """

    model: str
    host: str
    setup: str
    threads: int
    status: str
    accuracy_keras: float | None
    accuracy_file: float | None
    accuracy_device: float | None
    size_bytes: int
    compression: float | None
    float_baseline: str | None
    compression_baseline: float | None
    p50_ns: float | None
    p90_ns: float | None
    memory_bytes: int | None
    emulated: bool = False
    affinity: str | None = None
    mode: str | None = None

    @property
    def how(self) -> tuple[int, str | None, str | None]:
        """Threads, affinity and mode, as in `CellKey.how`."""
        return self.threads, self.affinity, self.mode

    def cells(self) -> dict[str, str | None]:
        """The line's cells for `HEADLINE_COLUMNS`, None where there is no figure."""
        texts = {
            "model": self.model,
            "host": self.host,
            "setup": self.setup,
            "accuracy_keras": units.percent(self.accuracy_keras),
            "accuracy_file": units.percent(self.accuracy_file),
            "accuracy_device": units.percent(self.accuracy_device),
            "size": units.size(self.size_bytes),
            "compression": units.ratio(self.compression),
            "compression_baseline": units.ratio(self.compression_baseline),
            "p50": units.milliseconds(self.p50_ns),
            "p90": units.milliseconds(self.p90_ns),
            "memory": units.size(self.memory_bytes),
            "status": self.status,
        }
        return {key: None if text == units.NONE else text for key, text in texts.items()}


def headline_columns(lines: Iterable[HeadlineLine]) -> dict[str, str]:
    """`HEADLINE_COLUMNS`; the host where there are several or it is emulated."""
    lines = list(lines)
    named = len({line.host for line in lines}) > 1 or any(line.emulated for line in lines)
    columns = ({"host": "host"} if named else {}) | HEADLINE_COLUMNS
    if not any(line.accuracy_device is not None for line in lines):
        del columns["accuracy_device"]
    return columns


def headline(rows: Sequence[Row]) -> list[HeadlineLine]:
    """One line for each of the rows, skipped ones left out."""
    models = models_of(rows)
    lines = []
    for row in rows:
        if row.status == SKIPPED:
            continue
        model, verification = row.model, row.model.verification
        summary = None if row.host.emulated else row.summary
        memory = None if row.host.emulated else row.memory
        aggregates = None if row.host.emulated else row.aggregates
        baseline = float_baseline(model, models)
        threads, affinity, mode = CellKey.of(row).how
        lines.append(
            HeadlineLine(
                model=model.name,
                host=host_label(row),
                setup=backend_label(row),
                threads=threads,
                status=row.status,
                accuracy_keras=verification.accuracy_keras if verification else None,
                accuracy_file=verification.accuracy_file if verification else None,
                accuracy_device=row.evaluation.accuracy if row.evaluation else None,
                size_bytes=model.size_bytes,
                compression=model.float32_bytes and model.float32_bytes / model.size_bytes,
                float_baseline=baseline.name if baseline else None,
                compression_baseline=baseline.size_bytes / model.size_bytes if baseline else None,
                p50_ns=summary.p50_ns if summary else aggregates.p50_ns if aggregates else None,
                p90_ns=summary.p90_ns if summary else None,
                memory_bytes=memory.above_baseline_bytes if memory else None,
                emulated=bool(row.host.emulated),
                affinity=affinity,
                mode=mode,
            )
        )
    return lines


def float_baseline(model: Model, others: Iterable[Model]) -> Model | None:
    """The float model of the same shape.

    Its name has the word `float`, and its other words all occur in the model's name in their order:
    `float_mlp` is the baseline of `binary_net_mlp` and of `binary_connect_mlp`. Where both
    conversion reports count the multiplications, their totals agree within `SAME_MACS`. The longest
    such name wins.
    """
    words = _words(model)
    if "float" in words:
        return None
    baselines = []
    for other in others:
        rest = _words(other)
        if "float" not in rest:
            continue
        rest.remove("float")
        remaining = iter(words)
        named_alike = bool(rest) and all(word in remaining for word in rest)
        if named_alike and _same_macs(model, other):
            baselines.append(other)
    return max(baselines, key=lambda baseline: len(baseline.name), default=None)


def _words(model: Model) -> list[str]:
    """The words of a name, without the file that `distinctly_named` puts behind it."""
    return model.name.partition(" (")[0].split("_")


def _same_macs(model: Model, other: Model) -> bool:
    totals = [
        (m.binary_macs or 0)
        + (m.binary_weight_macs or 0)
        + (m.int8_macs or 0)
        + (m.float_macs or 0)
        for m in (model, other)
    ]
    return min(totals) == 0 or max(totals) <= min(totals) * (1 + SAME_MACS)
