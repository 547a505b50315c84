"""Which rows are repeated measurements of one benchmark cell."""

from dataclasses import dataclass

from edge.results.row import Row


@dataclass(frozen=True)
class CellKey:
    """The identity of a benchmark cell: rows with equal keys are repeated measurements of it.

    `file` is the SHA-256 of the model's file.
    """

    device: str
    file: str
    backend: str
    threads: int
    affinity: str | None
    mode: str | None

    @classmethod
    def of(cls, row: Row) -> "CellKey":
        """The cell that a row belongs to."""
        setup = row.setup
        return cls(
            row.host.device, row.model.sha256, setup.name, setup.threads, setup.affinity, setup.mode
        )

    @property
    def how(self) -> tuple[int, str | None, str | None]:
        """Threads, affinity and mode: latencies of different backends compare if these agree."""
        return self.threads, self.affinity, self.mode

    @property
    def label(self) -> str:
        """The backend and how it ran: `lce`, or `lce, 2 threads on big cores, single-stream`."""
        parts = [self.backend]
        if self.threads != 1:
            parts.append(f"{self.threads} threads")
        if self.affinity is not None:
            kind = self.affinity in ("big", "little")
            parts.append(f"{self.affinity} cores" if kind else f"cores {self.affinity}")
        if self.mode not in (None, "standard", "custom"):
            parts.append(str(self.mode))
        return ", ".join(parts)
