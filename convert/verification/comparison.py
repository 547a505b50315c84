"""One runtime beside Keras: what its bits and outputs differ in, batch by batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.report import Flip, Verdict
from convert.verification.probes import Tap, distance_to_threshold

MAX_FLIPS = 20


class Interpreter(Protocol):
    """What runs a file, such as `LceInterpreter`."""

    def run(
        self,
        samples: Sequence[NDArray[np.float32]],
        tick: Callable[[], None] | None = None,
    ) -> list[NDArray[np.generic]]:
        """The outputs for samples `[N, …]`, one array per input and output."""


@dataclass(frozen=True)
class Batch:
    """Samples with what Keras makes of them.

    Attributes:
        start: The index of the first sample.
        inputs: One array per input, `[n, …]`.
        outputs: One array per output, `[n, …]`.
    """

    start: int
    inputs: Sequence[NDArray[np.float32]]
    outputs: Sequence[NDArray[np.float32]]


class Side:
    """What a runtime makes of the samples that Keras has seen.

    Args:
        interpreter: Runs the file itself, whose outputs count.
        bit_reader: Runs a copy that also outputs the packed inputs of its layers; None where there
            are none to compare.
        tick: Called after every sample.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        bit_reader: Interpreter | None,
        tick: Callable[[], None] | None = None,
    ) -> None:
        self._interpreter, self._bit_reader, self._tick = interpreter, bit_reader, tick
        self._keras: list[Sequence[NDArray[np.float32]]] = []
        self._file: list[list[NDArray[np.generic]]] = []
        self._flips: list[Flip] = []

    def compare(self, batch: Batch, tapped: Sequence[Tap], steps: float) -> None:
        """Runs a batch.

        Args:
            batch: The samples, and Keras' outputs.
            tapped: The layers, which have noted what Keras gave them for this batch.
            steps: What rounding explains, relative to the largest magnitude.

        Raises:
            ConversionError: The runtime fails, or shapes or numbers of outputs differ.
        """
        outputs = self._interpreter.run(batch.inputs, self._tick)
        _check_shapes(batch.outputs, outputs)
        self._keras.append(batch.outputs)
        self._file.append(outputs)
        if self._bit_reader is not None:
            words = self._bit_reader.run(batch.inputs)[len(outputs) :]
            self._flips += _first_differences(tapped, words, steps, batch.start)

    def result(
        self,
        steps: float,
        labels: NDArray[np.integer] | None,
        split: str,
        tapped: Sequence[Tap],
    ) -> dict[str, Any]:
        """The fields of `convert.report.Comparison`."""
        keras_outputs, file_outputs, flips = _joined(self._keras), _joined(self._file), self._flips
        samples = len(keras_outputs[0])
        flipped = np.zeros(samples, bool)
        flipped[[flip.sample for flip in flips]] = True
        unexplained = np.zeros(samples, bool)
        unexplained[[flip.sample for flip in flips if not flip.margin <= flip.tolerance]] = True
        difference = np.max(
            [
                _per_sample(np.abs(k - f.astype(np.float32)))
                for k, f in zip(keras_outputs, file_outputs, strict=True)
            ],
            0,
        )
        tolerance = steps * max(float(np.abs(o).max()) for o in keras_outputs)
        # NaN is no smaller than the tolerance, hence the negation.
        unexplained |= ~flipped & ~(difference <= tolerance)
        verdict: Verdict = "exact"
        if unexplained.any():
            verdict = "mismatch"
        elif flipped.any():
            verdict = "rounding flips"
        return {
            "samples": samples,
            "split": split,
            "verdict": verdict,
            "flipped_samples": int(flipped.sum()),
            "unexplained_samples": int(unexplained.sum()),
            "agreement": agreement(keras_outputs[0], file_outputs[0]),
            "accuracy_keras": accuracy(keras_outputs[0], labels),
            "accuracy_file": accuracy(file_outputs[0], labels),
            "max_abs_difference": None if flipped.all() else _finite(difference[~flipped].max()),
            "tolerance": tolerance,
            "compared_layers": [tap.layer.name for tap in tapped if tap.compared],
            "flips": sorted(flips, key=lambda flip: flip.tolerance - flip.margin)[:MAX_FLIPS],
        }


def _check_shapes(
    keras_outputs: Sequence[NDArray[np.float32]], file_outputs: list[NDArray[np.generic]]
) -> None:
    if [o.shape for o in keras_outputs] != [o.shape for o in file_outputs]:
        raise ConversionError(
            f"the file's outputs have the shapes {[o.shape for o in file_outputs]}, "
            f"Keras' {[o.shape for o in keras_outputs]}"
        )


def _joined(rows: Sequence[Sequence[Any]]) -> list[NDArray[Any]]:
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def _first_differences(
    tapped: Sequence[Tap], words: Sequence[NDArray[np.generic]], steps: float, start: int
) -> list[Flip]:
    """For each sample of a batch with a differing bit, the first layer that has one.

    The margin is the largest distance to the threshold among that layer's differing bits: every one
    of them has to be explained. A layer that Keras runs more or less often than the file has
    operators for it (one in a branch that the file shares) is not compared.
    """
    found: dict[int, Flip] = {}
    remaining = list(words)
    for tap in tapped:
        packed, remaining = remaining[: len(tap.tensors)], remaining[len(tap.tensors) :]
        tap.compared = len(tap.seen) == len(packed)
        if not tap.compared:
            continue
        for values, in_file in zip(tap.seen, packed, strict=True):
            differs = tap.keras_levels(values) != tap.file_levels(in_file, values.shape)
            samples = [
                i for i in np.flatnonzero(_per_sample(differs)) if start + int(i) not in found
            ]
            if not samples:
                continue
            distance = distance_to_threshold(tap.quantize, values[samples])
            margins = _per_sample(np.where(differs[samples], distance, -1))
            tolerance = steps * float(np.abs(values).max())
            for sample, margin in zip(samples, margins, strict=True):
                index = start + int(sample)
                found[index] = Flip(index, tap.layer.name, float(margin), tolerance)
    return [found[sample] for sample in sorted(found)]


def _per_sample(array: NDArray[Any]) -> NDArray[Any]:
    return array.reshape(len(array), -1).max(axis=1)


def agreement(left: NDArray[np.float32], right: NDArray[np.generic]) -> float | None:
    """The share of samples `[N, …, C]` with the same largest output; None for one output."""
    if left.shape[-1] == 1:
        return None
    return float(np.mean(left.argmax(-1) == right.argmax(-1)))


def accuracy(outputs: NDArray[np.generic], labels: NDArray[np.integer] | None) -> float | None:
    """The share of outputs `[N, classes]` whose largest is the label; None without labels."""
    if labels is None or outputs.ndim != 2 or outputs.shape[1] == 1:
        return None
    return float(np.mean(outputs.argmax(-1) == labels))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
