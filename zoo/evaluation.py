"""How often a model is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zoo.datasets import Split
from zoo.preprocessing import Preprocessing
from zoo.run import Run

if TYPE_CHECKING:
    from onebit.keras import keras
    from zoo.datasets.records import RecordSplit

BATCH_SIZE = 500
ROUNDING_TOLERANCE = 0.005
"""Another processor sums in another order: where a pre-activation is within rounding of a sign's
threshold a bit flips, and with it perhaps the sample. The bound is a judgement, not a measurement:
on the processor that trained the model the accuracies are equal."""


@dataclass(frozen=True)
class Evaluation:
    """A run's accuracy, measured again.

    Attributes:
        accuracy: Measured now, on the run's own samples.
        samples: How many those are.
        card_accuracy: What the model card says.
        card_samples: How many it was measured on.
    """

    accuracy: float
    samples: int
    card_accuracy: float
    card_samples: int

    @property
    def agrees(self) -> bool:
        """Whether both are the same but for rounding.

        With fewer samples than the card's the figures need not agree; then this says nothing.
        """
        if self.samples < self.card_samples:
            return True
        return abs(self.accuracy - self.card_accuracy) <= ROUNDING_TOLERANCE


def evaluate(run: Run) -> Evaluation:
    """The accuracy of a run's model on the test images that lie beside it."""
    recorded = run.card["accuracy"]
    return Evaluation(
        accuracy=accuracy(run.model, run.samples, run.preprocessing),
        samples=len(run.samples),
        card_accuracy=recorded["value"],
        card_samples=recorded["samples"],
    )


def accuracy(model: keras.Model, split: Split | RecordSplit, preprocessing: Preprocessing) -> float:
    """The fraction of the split's images whose largest logit is their label's."""
    right = 0
    for images, labels in split.batches(BATCH_SIZE).as_numpy_iterator():
        logits = model(preprocessing(images), training=False)
        right += int(np.sum(np.argmax(logits, axis=-1) == labels))
    return right / len(split)
