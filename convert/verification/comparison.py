"""One runtime beside Keras: the differences of its bits and outputs, batch by batch.

Keras stands for whatever a file is compared with, such as the float file that it was made of.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.report import BitFlip, Comparison, Verdict
from convert.runtimes.litert import running_on_litert, usable_delegate
from convert.samples import Samples, class_output

MAX_REPORTED_FLIPS = 20


class BitProbe(Protocol):
    """Quantized numbers that are known on both sides, as `convert.verification.probes` has them.

    Attributes:
        name: The layer that they are the inputs of.
        tensors: The file's tensors that hold them, one for each use of the layer.
        recorded: The pre-activations of the last run, one `[n, …]` per use.
        compared: Whether the last run could be compared with the file.
    """

    tensors: list[int]
    recorded: list[NDArray[Any]]
    compared: bool

    @property
    def name(self) -> str:
        """The layer's name."""

    def expected_levels(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """The quantized numbers for pre-activations, in the form of `file_levels`."""

    def file_levels(self, stored: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The same in the file."""

    def count(self, levels: NDArray[Any]) -> None:
        """Keeps the extremes of the levels."""

    def distance(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """How far each pre-activation is from where its level changes."""


class Interpreter(Protocol):
    """Runs a file, as `LceInterpreter` does."""

    def run(
        self,
        samples: Sequence[NDArray[Any]],
        tick: Callable[[], None] | None = None,
    ) -> list[NDArray[np.generic]]:
        """The outputs for samples `[N, …]`, one array per input and output."""


@dataclass(frozen=True)
class Batch:
    """Samples with Keras' outputs for them.

    Attributes:
        start: The index of the first sample.
        inputs: One array per input, `[n, …]`, in the file's order.
        outputs: One array per output, `[n·k, …]`, in Keras' order.
        names: The names of the outputs.
        order: For each output of the file, the number of Keras' output that it is.
        filled: How many samples Keras was given; n, or more where it takes a fixed number.
    """

    start: int
    inputs: Sequence[NDArray[Any]]
    outputs: Sequence[NDArray[Any]]
    names: Sequence[str]
    order: Sequence[int]
    filled: int

    def rows(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values that Keras computed, one row for each of the n samples: `[n, k, …]`.

        A layer may see several rows for each sample, as those in TimeDistributed do.
        """
        rows = values.reshape(self.filled, -1, *values.shape[1:])
        return rows[: len(self.inputs[0])]


class RuntimeComparison:
    """A runtime beside Keras, over all samples.

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
        self._names: Sequence[str] = ()
        self._samples = 0
        self._keras: list[Sequence[NDArray[Any]]] = []
        self._file: list[list[NDArray[np.generic]]] = []
        self._flips: list[BitFlip] = []

    def compare(self, batch: Batch, probes: Sequence[BitProbe], roundings: float) -> None:
        """Runs a batch.

        Args:
            batch: The samples, and Keras' outputs.
            probes: The layers, which have recorded what Keras gave them for this batch.
            roundings: The difference that rounding explains, relative to the largest number.

        Raises:
            ConversionError: The runtime fails, or shapes or numbers of outputs differ.
        """
        computed = self._interpreter.run(batch.inputs, self._tick)
        outputs = [computed[batch.order.index(number)] for number in range(len(computed))]
        _check_shapes(batch.outputs, outputs)
        self._names = batch.names
        self._samples += len(batch.inputs[0])
        self._keras.append(batch.outputs)
        self._file.append(outputs)
        if self._bit_reader is not None:
            stored = self._bit_reader.run(batch.inputs)[len(outputs) :]
            self._flips += _first_differences(probes, stored, roundings, batch)

    def keras_outputs(self) -> list[NDArray[Any]]:
        """Keras' outputs for all samples, `[N·k, …]` each."""
        return _joined(self._keras)

    def result(
        self,
        roundings: float,
        labels: NDArray[np.integer] | None,
        split: str,
        probes: Sequence[BitProbe],
    ) -> dict[str, Any]:
        """The fields of `convert.report.Comparison`."""
        keras_outputs, file_outputs = _joined(self._keras), _joined(self._file)
        samples = self._samples
        flipped = np.zeros(samples, bool)
        flipped[[flip.sample for flip in self._flips]] = True
        unexplained = np.zeros(samples, bool)
        unexplained[[flip.sample for flip in self._flips if not flip.explained]] = True
        tolerances = [roundings * _magnitude(expected) for expected in keras_outputs]
        pairs = zip(keras_outputs, file_outputs, strict=True)
        differences = [_differences(expected, found, samples) for expected, found in pairs]
        # How many times more than rounding explains, of each output and sample.
        excess = np.array(
            [_ratio(each, most) for each, most in zip(differences, tolerances, strict=True)]
        )
        unexplained |= ~flipped & (excess.max(0) > 1)
        verdict: Verdict = "exact"
        if unexplained.any():
            verdict = "mismatch"
        elif flipped.any():
            verdict = "rounding flips"
        worst = np.unravel_index(np.where(flipped, -1, excess).argmax(), excess.shape)
        output, sample = map(int, worst)
        whole = bool(flipped.all())
        return {
            "samples": samples,
            "split": split,
            "verdict": verdict,
            "flipped_samples": int(flipped.sum()),
            "unexplained_samples": int(unexplained.sum()),
            "agreement": agreement(keras_outputs[0], file_outputs[0]),
            "accuracy_keras": accuracy(keras_outputs, labels),
            "accuracy_file": accuracy(file_outputs, labels),
            "max_abs_difference": None if whole else _finite(differences[output][sample]),
            "tolerance": tolerances[output],
            "compared_layers": [probe.name for probe in probes if probe.compared],
            "bit_flips": sorted(self._flips, key=_leeway)[:MAX_REPORTED_FLIPS],
            "worst_sample": None if whole else sample,
            "worst_output": None if whole else self._names[output],
        }


class DelegateComparison:
    """LiteRT with the delegate beside the reference, for as long as it works.

    Args:
        content: The file.
        bits_content: Its copy that outputs bits too, or None.
        stack: Ends the processes.
        wanted: Whether to compare at all.

    Attributes:
        label: The delegate and the runtime, or None.
        skipped: Why there is no comparison, or None.
    """

    def __init__(
        self, content: bytes, bits_content: bytes | None, stack: contextlib.ExitStack, wanted: bool
    ) -> None:
        self._comparison: RuntimeComparison | None = None
        self.label: str | None = None
        self.skipped: str | None = None
        if not wanted:
            self.skipped = "not asked for"
            return
        try:
            delegate, self.label = usable_delegate()
            interpreter = stack.enter_context(running_on_litert(content, delegate))
            bit_reader = None
            if bits_content is not None:
                bit_reader = stack.enter_context(running_on_litert(bits_content, delegate))
            self._comparison = RuntimeComparison(interpreter, bit_reader)
        except ConversionError as error:
            self.skipped = str(error)

    def compare(self, batch: Batch, probes: Sequence[BitProbe], roundings: float) -> None:
        """Runs a batch; the first failure ends the comparison."""
        if self._comparison is None:
            return
        try:
            self._comparison.compare(batch, probes, roundings)
        except ConversionError as error:
            self._comparison, self.skipped = None, str(error)

    def result(
        self, roundings: float, samples: Samples, probes: Sequence[BitProbe]
    ) -> Comparison | None:
        """The comparison; None where there is none."""
        if self._comparison is None:
            return None
        fields = self._comparison.result(roundings, samples.labels, samples.split, probes)
        return Comparison(**fields)


def _check_shapes(
    keras_outputs: Sequence[NDArray[Any]], file_outputs: list[NDArray[np.generic]]
) -> None:
    if [o.shape for o in keras_outputs] != [o.shape for o in file_outputs]:
        raise ConversionError(
            f"the file's outputs have the shapes {[o.shape for o in file_outputs]}, "
            f"Keras' {[o.shape for o in keras_outputs]}"
        )


def _joined(rows: Sequence[Sequence[Any]]) -> list[NDArray[Any]]:
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def _differences(expected: NDArray[Any], found: NDArray[Any], samples: int) -> NDArray[np.float64]:
    """The largest difference of each sample, `[N]`; infinite where only one side is finite.

    An output may have several rows for each sample; where it has not as many for each, the largest
    difference counts for all.
    """
    left, right = expected.astype(np.float64), found.astype(np.float64)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(left - right))
    difference = np.where(np.isnan(difference), np.inf, difference)
    if len(difference) % samples:
        return np.full(samples, difference.max())
    return _per_sample(difference.reshape(samples, -1))


def largest_finite(values: NDArray[Any]) -> float:
    """The largest magnitude among the finite numbers; 0 where there are none."""
    return float(np.abs(values[np.isfinite(values)].astype(np.float64)).max(initial=0.0))


def _magnitude(outputs: NDArray[Any]) -> float:
    """The number to which rounding of an output is relative: its largest.

    Of probabilities it is 1, since theirs is that of the numbers they are made from.
    """
    largest = largest_finite(outputs)
    return 1.0 if largest <= 1 and outputs.min() >= 0 else largest


def _ratio(differences: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Differences as multiples of the tolerance, where nothing is a multiple of nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(differences == 0, 0.0, differences / np.float64(tolerance))


def _first_differences(
    probes: Sequence[BitProbe],
    stored: Sequence[NDArray[np.generic]],
    roundings: float,
    batch: Batch,
) -> list[BitFlip]:
    """For each sample of a batch with a differing bit, the first layer that has one.

    The margin is the largest distance to the threshold among that layer's differing bits: every one
    of them has to be explained, and one that is not finite is not. A layer that Keras runs more or
    less often than the file has operators for it (one in a branch that the file shares) is not
    compared.
    """
    found: dict[int, BitFlip] = {}
    remaining = list(stored)
    for probe in probes:
        own, remaining = remaining[: len(probe.tensors)], remaining[len(probe.tensors) :]
        probe.compared = len(probe.recorded) == len(own) and not any(
            len(values) % batch.filled for values in probe.recorded
        )
        if not probe.compared:
            continue
        for recorded, in_file in zip(probe.recorded, own, strict=True):
            rows = batch.rows(recorded)
            values = rows.reshape(-1, *recorded.shape[1:])
            expected = probe.expected_levels(values)
            probe.count(expected)
            differs = expected != probe.file_levels(in_file, values.shape)
            differs = differs.reshape(rows.shape)
            samples = [
                i for i in np.flatnonzero(_per_sample(differs)) if batch.start + int(i) not in found
            ]
            if not samples:
                continue
            few = rows[samples]
            distance = probe.distance(few.reshape(-1, *few.shape[2:]))
            distance = np.where(np.isfinite(few), distance.reshape(few.shape), np.inf)
            margins = _per_sample(np.where(differs[samples], distance, -1))
            tolerance = roundings * largest_finite(values)
            for sample, margin in zip(samples, margins, strict=True):
                index = batch.start + int(sample)
                found[index] = BitFlip(index, probe.name, _finite(margin), tolerance)
    return [found[sample] for sample in sorted(found)]


def _per_sample(array: NDArray[Any]) -> NDArray[Any]:
    return array.reshape(len(array), -1).max(axis=1)


def agreement(left: NDArray[Any], right: NDArray[np.generic]) -> float | None:
    """The share of samples `[N, …, C]` with the same largest output; None for one output."""
    if left.ndim < 2 or left.shape[-1] == 1:
        return None
    return float(np.mean(left.argmax(-1) == right.argmax(-1)))


def accuracy(
    outputs: Sequence[NDArray[np.generic]], labels: NDArray[np.integer] | None
) -> float | None:
    """The share of samples whose class is the label; None without labels, or one output of classes.

    Args:
        outputs: All outputs of a model.
        labels: Class numbers `[N]`.
    """
    labelled = class_output([output.shape for output in outputs])
    if labels is None or labelled is None or outputs[labelled].shape[1] == 1:
        return None
    if len(outputs[labelled]) != len(labels):  # several rows for each sample
        return None
    return float(np.mean(outputs[labelled].argmax(-1) == labels))


def _leeway(flip: BitFlip) -> float:
    return -np.inf if flip.margin is None else flip.tolerance - flip.margin


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
