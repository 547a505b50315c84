"""Samples and layers that cannot show a difference, so that a verdict says less than it seems."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.keras_model.input_ranges import normalises_first
from convert.samples import Samples, class_output
from convert.verification.probes import LevelProbe, Probe, StepProbe
from onebit.keras import keras

_BYTES_MAX = 255
_BYTE_LIKE = 32
"""Whole numbers up to less than this may be anything, such as counts."""
_CERTAINTY = 1000
"""A warning needs odds of so much against chance."""


def warnings_of(
    model: keras.Model,
    samples: Samples,
    outputs: Sequence[NDArray[Any]],
    probes: Sequence[Probe],
    accuracy: float | None,
) -> list[str]:
    """Warnings about samples, Keras' outputs for them, and the inputs of binary layers.

    Args:
        model: The model.
        samples: The samples, checked.
        outputs: Keras' outputs, `[N, …]` each, in Keras' order.
        probes: The binary layers, which have counted their inputs.
        accuracy: Keras' accuracy; None where it is not known.
    """
    found = _about_inputs(model, samples)
    found += _about_outputs(outputs, len(samples))
    labelled = class_output([output.shape for output in outputs])
    if accuracy is not None and labelled is not None:
        found += _about_accuracy(accuracy, len(samples), outputs[labelled].shape[-1])
    elif samples.labels is not None:
        found.append("the labels are not used: there is not one output [N, classes] to compare")
    found += [_constant_input(probe) for probe in probes if probe.is_constant]
    return found


def _about_inputs(model: keras.Model, samples: Samples) -> list[str]:
    found = []
    arrays = samples.arrays
    for array in arrays:
        if array.min() == array.max():
            found.append(f"every number of an input is {array.flat[0]:g}: it shows little")
        elif len(array) > 1 and all((a == a[:1]).all() for a in arrays):
            found.append(f"the {len(array)} samples are all the same: they show little")
            break
    for array in arrays:
        byte_like = array.min() >= 0 and _BYTE_LIKE <= array.max() <= _BYTES_MAX
        whole = array.dtype.kind == "f" and bool((array == np.round(array)).all())
        if byte_like and whole and not normalises_first(model):
            found.append(
                f"the inputs are whole numbers from {array.min():g} to {array.max():g}, as "
                "unprocessed images are: preprocess them as in training"
            )
    return found


def _about_outputs(outputs: Sequence[NDArray[Any]], count: int) -> list[str]:
    if count > 1 and all((output == output[:1]).all() for output in outputs):
        return [f"Keras' outputs are the same for all {count} samples: they cannot show an error"]
    labelled = class_output([output.shape for output in outputs])
    if labelled is not None and (size := outputs[labelled].shape[1]) > 1:
        classes = outputs[labelled].argmax(-1)
        if (classes == classes[0]).all() and size ** (count - 1) >= _CERTAINTY:
            return [f"Keras predicts class {classes[0]} for all {count} samples"]
    return []


def _about_accuracy(accuracy: float, count: int, classes: int) -> list[str]:
    """A warning for an accuracy no better than guessing: less than two deviations above 1/C."""
    chance = 1 / classes
    if accuracy > chance + 2 * math.sqrt(chance * (1 - chance) / count):
        return []
    return [
        f"Keras' accuracy of {accuracy:.1%} is that of guessing among {classes} classes: are the "
        "inputs preprocessed as in training, and the labels theirs?"
    ]


def _constant_input(probe: Probe) -> str:
    name = probe.layer.name
    if isinstance(probe, StepProbe | LevelProbe):
        return f"the quantized inputs of {name} are one number in all samples"
    if probe.highest == 1:
        return f"the inputs of {name} never change sign: they are -1 in all samples"
    return (
        f"the inputs of {name} never change sign: they are +1 in all samples, as behind a ReLU; "
        "a sign needs numbers on both sides of its threshold"
    )
