"""How often a model is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zoo.datasets import Split
from zoo.datasets.preprocessing import Preprocessor
from zoo.runs.run import Run

if TYPE_CHECKING:
    from onebit.keras import keras
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
            where inputs are binary too, or nothing is.
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
        latent_weights_accuracy=latent_weights_accuracy(run.model, run.samples, run.preprocessing),
    )


def accuracy(
    model: keras.Model, split: Split | RecordSplit, preprocessing: Preprocessor | None
) -> float:
    """The fraction of the split's samples whose largest logit is their label's."""
    right = 0
    for images, labels in split.batches(BATCH_SIZE).as_numpy_iterator():
        inputs = images if preprocessing is None else preprocessing(images)
        right += int(np.sum(np.argmax(model(inputs, training=False), axis=-1) == labels))
    return right / len(split)


def latent_weights_accuracy(
    model: keras.Model, split: Split | RecordSplit, preprocessing: Preprocessor | None
) -> float | None:
    """The accuracy with real weights, which is how BinaryConnect's stochastic form is tested.

    BinaryConnect, arXiv 1511.00363, section 2.5, method 2: the latent weights are the expectation
    of the drawn ones. Only networks with binary weights and real inputs have such a form.

    Returns:
        The fraction of images classified right; None for networks of other kinds.
    """
    layers = [layer for layer in model.submodules if getattr(layer, "kernel_quantizer", None)]
    if not layers or any(getattr(layer, "input_quantizer", None) for layer in layers):
        return None
    kernels = [layer.kernel for layer in layers]
    quantizers = [kernel.quantizer for kernel in kernels]
    try:
        for kernel in kernels:
            kernel.quantizer = None
        return accuracy(model, split, preprocessing)
    finally:
        for kernel, quantizer in zip(kernels, quantizers, strict=True):
            kernel.quantizer = quantizer
