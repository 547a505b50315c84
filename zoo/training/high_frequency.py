"""High-frequency enhancement distillation, at all depths of a thinnable network.

BiFSMN: Binary Neural Network for Keyword Spotting, arXiv 2202.06483; its program,
https://github.com/htqin/BiFSMN, train_valid_test.py (train_epoch_distill).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from onebit.errors import UsageError
from onebit.keras import keras, tf
from zoo.layers.thinnable import path_outputs
from zoo.layers.transformer_layers import HIDDEN_STATE
from zoo.training.student import Student, replica_share


class HighFrequencyDistiller(Student):
    """A student that `fit` trains on labels and to have its teacher's high frequencies.

    L = Σ_p 2^−p·(Y_p + α·Σ_l D(h_pl, E(h'_l)))

    with the paths p = 0, 1, 2 of a thinnable student (one of others), the loss Y on the labels that
    `compile` was given, the outputs h and h' of student's and teacher's layers whose names end in
    `HIDDEN_STATE`, `enhanced` E and `energy_distance` D. A path has some of the layers only; its
    names for them may have `thinned` and a number in the middle. The history has Y_0 as `loss`,
    and the last sum of the deepest path as `hidden_loss`.

    Differs from the program: the teacher normalises with its averages, where its batch
    normalisation there is in training; standard deviations divide by n, not n − 1.

    Args:
        student: What is trained.
        teacher: What it learns from.
        weight: α.

    Raises:
        UsageError: A path has no such layers, or their outputs are not `[N, T, 1, C]`, or one has
            no counterpart of that shape in the teacher.
    """

    def __init__(self, student: keras.Model, teacher: keras.Model, weight: float):
        super().__init__(student, ["hidden_loss"])
        outputs = path_outputs(student)
        paths = [_states(student, output) for output in outputs]
        names = [[re.sub(r"_thinned_\d+", "", name) for name in states] for states in paths]
        known = _states(teacher, teacher.outputs[0])
        for path, theirs in zip(paths, names, strict=True):
            _require_comparable(student.name, path, theirs, known)
        # As plain attributes, models would add their variables and layers to this one.
        teach = keras.Model(teacher.inputs, known)
        states = [list(path.values()) for path in paths]
        learn = keras.Model(student.inputs, list(zip(outputs, states, strict=True)))
        self._teach = lambda inputs: teach(inputs, training=False)
        self._answer = lambda inputs, training: learn(inputs, training=training)
        self._names = names
        self._weight = weight

    def measure(
        self, data: tuple[tf.Tensor, tf.Tensor], training: bool
    ) -> tuple[tf.Tensor, dict[str, Any]]:
        """The loss of a batch, and the figures of all batches since the metrics were reset."""
        inputs, labels = data
        targets = {name: enhanced(state) for name, state in self._teach(inputs).items()}
        answers = self._answer(inputs, training)
        total, share = tf.zeros([]), replica_share()
        # The deepest path comes last: the figures are its own.
        for number, (logits, states) in reversed(list(enumerate(answers))):
            pairs = zip(states, self._names[number], strict=True)
            hidden = tf.add_n([energy_distance(state, targets[name]) for state, name in pairs])
            # Keras' own keeps what it computes for the history, and is a share already.
            on_labels = (
                share * self.loss(labels, logits)
                if number
                else self.compute_loss(inputs, labels, logits)
            )
            total += 2.0**-number * (on_labels + share * self._weight * hidden)
        self.parts["hidden_loss"].update_state(hidden)
        return total, self.compute_metrics(inputs, labels, logits, None)


def _states(model: keras.Model, output: tf.Tensor) -> dict[str, tf.Tensor]:
    """The hidden states that an output is computed from, by the names of their layers."""
    whole = keras.Model(model.inputs, output)
    layers = [layer for layer in whole.layers if layer.name.endswith(HIDDEN_STATE)]
    return {layer.name: layer.output for layer in layers}


def _require_comparable(
    name: str, states: Mapping[str, tf.Tensor], names: Sequence[str], known: Mapping[str, tf.Tensor]
) -> None:
    """Checks that the hidden states of a path can be compared with the teacher's.

    Args:
        name: The student's, for messages.
        states: Of the path, by the names of their layers.
        names: Of the teacher's layers that they are compared with, in the same order.
        known: The teacher's.

    Raises:
        UsageError: They cannot.
    """
    advice = "give --set frequency_weight=0"
    if not states:
        raise UsageError(
            f"frequency_weight compares the layers whose names end in {HIDDEN_STATE}, and {name} "
            f"has none; {advice}"
        )
    for (layer, state), other in zip(states.items(), names, strict=True):
        shape = state.shape.as_list()
        if len(shape) != 4 or shape[2] != 1 or None in shape[1:]:
            raise UsageError(
                f"frequency_weight compares maps of frames and channels [N, T, 1, C], and "
                f"{layer} of {name} has the shape {shape}; {advice}"
            )
        if other not in known:
            raise UsageError(
                f"the student has a layer {layer}, the teacher no {other} to compare it with: "
                "give both the same options (--set teacher.KEY=VALUE)"
            )
        if known[other].shape.as_list() != shape:
            raise UsageError(
                f"layer {other} has the shape {known[other].shape.as_list()} in the teacher, "
                f"{shape} in the student: give both the same options (--set teacher.KEY=VALUE)"
            )


def enhanced(state: tf.Tensor) -> tf.Tensor:
    """A hidden state whose high frequencies count as much as all of it: high(h)/σ + h/σ'.

    σ and σ' are the standard deviations of high(h) and h over the batch.

    Args:
        state: h `[N, T, 1, C]`.
    """
    high = high_frequencies(state)
    return high / tf.math.reduce_std(high) + state / tf.math.reduce_std(state)


def high_frequencies(state: tf.Tensor) -> tf.Tensor:
    """All of Haar's wavelet transform over time and channels but its low-pass part.

    One step of the transform keeps of each 2×2 values their mean as the low-pass part, so that the
    rest is the values minus that mean. Zeros fill up an odd number of frames or channels.

    Args:
        state: `[N, T, 1, C]`.
    """
    _, frames, _, channels = state.shape
    odd = [[0, 0], [0, frames % 2], [0, 0], [0, channels % 2]]
    image = tf.pad(state, odd)[:, :, 0, :, tf.newaxis]
    low = tf.nn.avg_pool2d(image, 2, 2, "VALID")
    low = tf.repeat(tf.repeat(low, 2, axis=1), 2, axis=2)
    return state - low[:, :frames, :channels, 0][:, :, tf.newaxis]


def energy_distance(state: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """‖h²/‖h²‖ − t²/‖t²‖‖, with the norms of the whole batch.

    Args:
        state: h, the student's.
        target: t, of the same shape.
    """
    return tf.norm(_normal(tf.square(state)) - _normal(tf.square(target)))


def _normal(values: tf.Tensor) -> tf.Tensor:
    return values / tf.norm(values)
