"""Keras against the file: tells rounding flips from errors.

A binary network has a threshold at every activation. Where a pre-activation is within rounding of
its threshold, Keras and the file may take different signs, and everything behind differs visibly:
that is rounding, not an error. So the binary inputs of every layer are compared bit by bit, and for
each sample with a difference the *first* layer that differs is looked at: all before it is equal,
so its pre-activation differs by rounding alone, and must be that close to the threshold.

**How much rounding explains.** A sum of K float32 products, in whatever order, is off by at most
λ·√K·u·Σ|x·w|, u = 2^-24, but for a probability of about 2K·exp(−λ²/2) if rounding errors are
independent (Higham and Mary, "A New Approach to Probabilistic Rounding Error Analysis", SIAM J.
Sci. Comput. 41, 2019), and Σ|x·w| ≤ √K·‖x·w‖ (Cauchy–Schwarz). Over many samples the largest |sum|
is at least their root mean square, which is ‖x·w‖ for uncorrelated signs. Both sides round, so with
λ = 6:

    tolerance = 2·6·K·2^-24·(largest magnitude), added up over the layers of the network.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.flatbuffer import Graph
from convert.lce import LceInterpreter
from convert.matching import layers_by_filter
from convert.report import Flip, Verdict, Verification
from convert.sign_pairs import sign_taps
from convert.taps import (
    Tap,
    distance_to_threshold,
    in_file_order,
    listening,
    taps,
    with_outputs,
)
from onebit.keras import keras, tf

MAX_FLIPS = 20
_BATCH = 64


def verify(
    model: keras.Model,
    content: bytes,
    inputs: Sequence[NDArray[np.float32]],
    labels: NDArray[np.integer] | None = None,
    split: str = "given",
    tick: Callable[[], None] | None = None,
) -> Verification:
    """Compares a file with the Keras model that it was made from.

    Args:
        model: The original Keras model, before any rewrite.
        content: The `.tflite` file.
        inputs: One array per input, `[N, …]`, as the model takes them.
        labels: Class indices `[N]`, for the accuracies.
        split: What the samples are called in the report.
        tick: Called after every sample that the file has run.

    Raises:
        ConversionError: LCE's interpreter refuses the file, or shapes or numbers of outputs differ.
    """
    kernel = "indirect_bgemm"
    tapped = taps(model, content)
    tapped += sign_taps(model, content, inputs, tapped, kernel)
    tapped = in_file_order(Graph.from_bytes(content), tapped)
    interpreter = LceInterpreter(content, kernel)
    # The file itself gives the outputs; its bits come from a copy that also outputs those.
    bit_reader = LceInterpreter(with_outputs(content, tapped), kernel) if tapped else None
    steps = _rounding_steps(model)
    keras_rows, file_rows, flips = [], [], []
    for start in range(0, len(inputs[0]), _BATCH):
        batch = [array[start : start + _BATCH] for array in inputs]
        with listening(tapped):
            keras_rows.append(_run_keras(model, batch))
        file_rows.append(interpreter.run(batch, tick))
        _check_shapes(keras_rows[-1], file_rows[-1])
        if bit_reader is not None:
            words = bit_reader.run(batch)[len(file_rows[-1]) :]
            flips += _first_differences(tapped, words, steps, start)
    keras_outputs, file_outputs = _joined(keras_rows), _joined(file_rows)

    samples = len(inputs[0])
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
    return Verification(
        samples=samples,
        split=split,
        verdict=verdict,
        flipped_samples=int(flipped.sum()),
        unexplained_samples=int(unexplained.sum()),
        agreement=_agreement(keras_outputs[0], file_outputs[0]),
        accuracy_keras=_accuracy(keras_outputs[0], labels),
        accuracy_file=_accuracy(file_outputs[0], labels),
        max_abs_difference=_finite(difference[~flipped].max()) if not flipped.all() else None,
        tolerance=tolerance,
        compared_layers=[tap.layer.name for tap in tapped if tap.compared],
        flips=sorted(flips, key=lambda flip: flip.tolerance - flip.margin)[:MAX_FLIPS],
        kernel=kernel,
    )


def _run_keras(
    model: keras.Model, batch: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    """The model's outputs for a batch, `[n, …]` each, computed eagerly."""
    tensors = [tf.constant(array) for array in batch]
    outputs = model(tensors if len(tensors) > 1 else tensors[0], training=False)
    return [np.asarray(output) for output in tf.nest.flatten(outputs)]


def _check_shapes(
    keras_outputs: list[NDArray[np.float32]], file_outputs: list[NDArray[np.generic]]
) -> None:
    if [o.shape for o in keras_outputs] != [o.shape for o in file_outputs]:
        raise ConversionError(
            f"the file's outputs have the shapes {[o.shape for o in file_outputs]}, "
            f"Keras' {[o.shape for o in keras_outputs]}"
        )


def _joined(rows: list[list[Any]]) -> list[NDArray[Any]]:
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def _rounding_steps(model: keras.Model) -> float:
    """What rounding explains, relative to the largest magnitude: 2·6·2^-24·ΣK over the layers."""
    fan_ins = [
        int(np.prod(layer.kernel.shape[:-1]))
        for layer in layers_by_filter(model).values()
        if hasattr(layer, "kernel")
    ]
    return 12 * 2.0**-24 * max(sum(fan_ins), 1)


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


def _agreement(left: NDArray[np.float32], right: NDArray[np.generic]) -> float | None:
    if left.shape[-1] == 1:
        return None
    return float(np.mean(left.argmax(-1) == right.argmax(-1)))


def _accuracy(outputs: NDArray[np.generic], labels: NDArray[np.integer] | None) -> float | None:
    if labels is None or outputs.ndim != 2 or outputs.shape[1] == 1:
        return None
    return float(np.mean(outputs.argmax(-1) == labels))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
