"""Accuracies for charts and findings: those measured on a device, else those of the conversion."""

from collections.abc import Iterable
from dataclasses import dataclass

from edge.results.row import Model, Row
from edge.results.statistics import wilson_interval

ON_DEVICE, IN_FILE = "on the device", "in the file"


@dataclass(frozen=True)
class Accuracy:
    """A share of right answers.

    Attributes:
        value: A fraction of 1.
        samples: How many samples it is of; None where that is not known.
        where: `ON_DEVICE` or `IN_FILE`, which is where the file was converted.
    """

    value: float
    samples: int | None
    where: str

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% interval, fractions of 1; None where the number of samples is not known."""
        if not self.samples:
            return None
        return wilson_interval(self.value * self.samples, self.samples)


def accuracy_of_row(row: Row) -> Accuracy | None:
    """A row's own accuracy, else its file's."""
    evaluation = row.evaluation
    if evaluation is not None and evaluation.accuracy is not None:
        return Accuracy(evaluation.accuracy, evaluation.samples, ON_DEVICE)
    return accuracy_of_file(row.model)


def accuracy_of_file(model: Model) -> Accuracy | None:
    """The accuracy that the conversion measured."""
    known = model.verification
    if known is None or known.accuracy_file is None:
        return None
    return Accuracy(known.accuracy_file, known.samples, IN_FILE)


def accuracy_of_model(model: Model, rows: Iterable[Row]) -> Accuracy | None:
    """A file's accuracy of the conversion, else the one that most samples on a device gave."""
    own = (row for row in rows if row.model.sha256 == model.sha256)
    measured = [found for row in own if (found := accuracy_of_row(row)) is not None]
    best = max(measured, key=lambda accuracy: accuracy.samples or 0, default=None)
    return accuracy_of_file(model) or best


def axis_title(accuracies: Iterable[Accuracy]) -> str:
    """A chart's axis: where the accuracies were measured, if all are of one kind."""
    kinds = {accuracy.where for accuracy in accuracies}
    return f"accuracy {kinds.pop()}, %" if len(kinds) == 1 else "accuracy, %"
