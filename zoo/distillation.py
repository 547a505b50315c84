"""Distillation: a network learns what a trained one of the same shape, its teacher, answers.

BiT: Robustly Binarized Multi-distilled Transformer, arXiv 2205.13016, section 3.4: the student
starts from its teacher's weights, and each student is the next one's teacher.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from onebit.errors import UsageError
from onebit.keras import keras, lq, tf

HIDDEN_STATE = "hidden_state"
"""How the names of the layers end whose outputs are compared."""

OWN_WEIGHTS = ("scale", "calibrated")
"""What a student does not take over: the scale of an elastic quantizer means another thing with
another number of bits, and is set by the first batch."""


def start_from(student: keras.Model, teacher: keras.Model) -> None:
    """Copies the weights that layers of the same name share, but for elastic quantizers' scales.

    Raises:
        UsageError: A layer of the teacher is missing in the student, or has another shape.
    """
    # Under Larq's quantized scope variables would read as ±1 in place of the latent weights.
    with lq.context.quantized_scope(False):
        for theirs in teacher.layers:
            if not theirs.weights:
                continue
            try:
                mine = student.get_layer(theirs.name)
            except ValueError as error:
                raise UsageError(
                    f"the teacher has a layer {theirs.name}, the student none"
                ) from error
            known = _weights(mine)
            for name, weight in _weights(theirs).items():
                if name.rpartition(".")[2] in OWN_WEIGHTS or name not in known:
                    continue
                if known[name].shape != weight.shape:
                    raise UsageError(
                        f"layer {theirs.name} has the shape {weight.shape.as_list()} in the "
                        f"teacher, {known[name].shape.as_list()} in the student: give both the "
                        "same options (--set teacher.KEY=VALUE)"
                    )
                known[name].assign(np.asarray(weight))


def _weights(layer: keras.layers.Layer, prefix: str = "") -> dict[str, tf.Variable]:
    """The weights of a layer and its quantizers by attribute, as in `input_quantizer.threshold`.

    Variables' own names are no key: a model that was loaded has others.
    """
    found = {}
    for name, value in vars(layer).items():
        if isinstance(value, tf.Variable):
            found[prefix + name] = value
        elif isinstance(value, keras.layers.Layer):
            found |= _weights(value, f"{prefix}{name}.")
    return found


class Distiller(keras.Model):
    """A student that `fit` trains to answer as its teacher.

    L = −Σ_c softmax(t)_c·log softmax(z)_c + Σ_l mean (h_l − h'_l)²

    with the logits z and t of student and teacher, averaged over samples, and the outputs h and h'
    of the layers whose names end in `HIDDEN_STATE`. The history has both terms as `logits_loss` and
    `hidden_loss`; its `loss` is the one that `compile` was given, on the labels, which nothing is
    fitted to.

    BiT, arXiv 2205.13016, section 3.4, which has no loss on attention scores.

    Args:
        student: What is trained.
        teacher: What it learns from; is not changed.
    """

    def __init__(self, student: keras.Model, teacher: keras.Model):
        super().__init__(student.inputs, student.outputs, name=student.name)
        # As plain attributes, models would add their variables and layers to this one.
        answers, students = _answers(teacher), _answers(student)
        self._teach = lambda inputs: answers(inputs, training=False)
        self._answer = lambda inputs, training: students(inputs, training=training)
        self._parts = {key: keras.metrics.Mean(key) for key in ("logits_loss", "hidden_loss")}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Those of `compile` and the two parts of the loss; Keras resets them each epoch."""
        return [*super().metrics, *self._parts.values()]

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, Any]:
        """One update; called by Keras."""
        with tf.GradientTape() as tape:
            loss, figures = self._measure(data, training=True)
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        return figures

    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, Any]:
        """One batch of a validation; called by Keras."""
        return self._measure(data, training=False)[1]

    def _measure(
        self, data: tuple[tf.Tensor, tf.Tensor], training: bool
    ) -> tuple[tf.Tensor, dict[str, Any]]:
        """The loss of a batch, and the figures of all batches since the metrics were reset."""
        inputs, labels = data
        target, *target_states = self._teach(inputs)
        logits, *states = self._answer(inputs, training)
        parts = {
            "logits_loss": soft_cross_entropy(target, logits),
            "hidden_loss": hidden_loss(target_states, states),
        }
        for key, value in parts.items():
            self._parts[key].update_state(value)
        self.compute_loss(inputs, labels, logits)
        return tf.add_n(list(parts.values())), self.compute_metrics(inputs, labels, logits, None)


def _answers(model: keras.Model) -> keras.Model:
    """The model's logits, then its hidden states in order."""
    states = [layer.output for layer in model.layers if layer.name.endswith(HIDDEN_STATE)]
    return keras.Model(model.inputs, [*model.outputs, *states])


def soft_cross_entropy(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """−Σ_c softmax(target)_c·log softmax(logits)_c, averaged over samples `[N, classes]`."""
    return tf.reduce_mean(
        tf.nn.softmax_cross_entropy_with_logits(labels=tf.nn.softmax(target), logits=logits)
    )


def hidden_loss(targets: list[tf.Tensor], states: list[tf.Tensor]) -> tf.Tensor:
    """The sum over hidden states of their mean squared differences; 0 where there are none."""
    pairs = zip(targets, states, strict=True)
    parts = [tf.reduce_mean(tf.square(target - state)) for target, state in pairs]
    return tf.add_n(parts) if parts else tf.zeros([])
