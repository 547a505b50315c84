"""How often a model is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zoo.datasets import Split
from zoo.datasets.preprocessing import Preprocessor
from zoo.runs.run import Run
from zoo.training.batch_norm import Moments, estimate_moments, latent_weights, with_moments
from zoo.training.selection import LATENT_ACCURACY

if TYPE_CHECKING:
    from onebit.keras import keras, tf
    from zoo.datasets._tfrecords import RecordSplit

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
        latent_weights_accuracy: Measured now with the latent weights in place of their signs; None
            where the training did not draw weights.
    """

    accuracy: float
    samples: int
    card_accuracy: float
    card_samples: int
    latent_weights_accuracy: float | None

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
        latent_weights_accuracy=None
        if run.latent_moments is None
        else latent_weights_accuracy(run.model, run.samples, run.preprocessing, run.latent_moments),
    )


def accuracy(
    model: keras.Model, split: Split | RecordSplit, preprocessing: Preprocessor | None
) -> float:
    """The fraction of the split's samples whose largest logit is their label's."""
    return int(classified_right(model, split, preprocessing).sum()) / len(split)


def classified_right(
    model: keras.Model, split: Split | RecordSplit, preprocessing: Preprocessor | None
) -> NDArray[np.bool_]:
    """Whether the largest logit of each of the split's samples is their label's, `[N]`."""
    found = []
    for images, labels in split.batches(BATCH_SIZE).as_numpy_iterator():
        inputs = images if preprocessing is None else preprocessing(images)
        found.append(np.argmax(model(inputs, training=False), axis=-1) == labels)
    return np.concatenate(found)


def latent_weights_accuracy(
    model: keras.Model,
    split: Split | RecordSplit,
    preprocessing: Preprocessor | None,
    moments: Mapping[str, NDArray[np.float32]],
) -> float:
    """The accuracy with latent weights, which is how BinaryConnect's stochastic form is tested.

    BinaryConnect, arXiv 1511.00363, section 2.5, method 2: the latent weights are the expectation
    of the drawn ones.

    Args:
        model: A network with drawn weights.
        split: What it is tested on.
        preprocessing: What its images go through.
        moments: Batch normalisation's, estimated with the latent weights (`estimate_moments`).

    Returns:
        The fraction of images classified right.
    """
    with latent_weights(model), with_moments(model, moments):
        return accuracy(model, split, preprocessing)


def validation_figures(
    trainer: keras.Model,
    batches: tf.data.Dataset,
    validation: Split | RecordSplit,
    preprocessing: Preprocessor | None,
    inputs: Callable[[], Iterable[NDArray[Any]]],
    *,
    latent: bool,
) -> dict[str, list[float]]:
    """Figures of the validation split with the moments of the tested network, as `fit` names them.

    Args:
        trainer: The compiled model; its weights are the tested ones.
        batches: The split, preprocessed.
        validation: The split.
        preprocessing: What its images go through.
        inputs: Gives the training inputs that moments are estimated on.
        latent: Measure the accuracy of the latent weights too.
    """
    with with_moments(trainer, estimate_moments(trainer, inputs())):
        tested = trainer.evaluate(batches, return_dict=True, verbose=0)
    figures = {f"val_{key}": [value] for key, value in tested.items()}
    if latent:
        figures[LATENT_ACCURACY] = [latent_figures(trainer, validation, preprocessing, inputs())[1]]
    return figures


def latent_figures(
    model: keras.Model,
    split: Split | RecordSplit,
    preprocessing: Preprocessor | None,
    inputs: Iterable[NDArray[Any]],
) -> tuple[Moments, float]:
    """Batch normalisation's moments with latent weights, and the split's accuracy with both.

    Args:
        model: A network with drawn weights.
        split: What it is tested on.
        preprocessing: What its images go through.
        inputs: The training inputs that moments are estimated on.
    """
    with latent_weights(model):
        moments = estimate_moments(model, inputs)
    return moments, latent_weights_accuracy(model, split, preprocessing, moments)
