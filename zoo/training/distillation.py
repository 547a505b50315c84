"""Distillation: a network learns what a trained one of the same shape, its teacher, answers.

BiT: Robustly Binarized Multi-distilled Transformer, arXiv 2205.13016, section 3.4: the student
starts from its teacher's weights, and each student is the next one's teacher.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onebit.errors import UsageError
from onebit.keras import keras, lq, tf
from zoo.layers.elastic_quantizer import Elastic
from zoo.layers.thinnable import path_outputs
from zoo.layers.transformer_layers import HIDDEN_STATE
from zoo.recipes import Recipe
from zoo.training.high_frequency import HighFrequencyDistiller
from zoo.training.student import Student, replica_share

VOLUME = "_out"
"""How the names of the layers end whose attention is compared, in Real-to-Binary networks."""

OWN_WEIGHTS = ("scale", "calibrated")
"""Weights of an elastic quantizer that a student does not take over: the scale means
another thing with another number of bits, and is set by the first batch."""

KERAS_OWN = frozenset(vars(keras.layers.Layer()))
"""Attributes that every layer has; the lists among them hold its weights again."""


def make_trainer(
    model: keras.Model,
    teacher: keras.Model | None,
    recipe: Recipe,
    assistants: Sequence[keras.Model] = (),
) -> keras.Model:
    """The Keras model whose `fit` trains a model: around its layers, so that it has no optimizer.

    Args:
        model: What is trained.
        teacher: What it learns from, or None.
        recipe: Has the weights of the losses.
        assistants: What it learns from beside the teacher, one after the other.

    Raises:
        UsageError: The model is thinnable, which only `HighFrequencyDistiller` trains; or that
            finds no hidden states to compare.
    """
    if teacher is not None and recipe.frequency_weight:
        return HighFrequencyDistiller(model, teacher, recipe.frequency_weight)
    if len(path_outputs(model)) > 1:
        raise UsageError(
            f"{recipe.name}: a thinnable network learns from a teacher, with frequency_weight > 0"
        )
    if teacher is None:
        return keras.Model(model.inputs, model.outputs)
    return Distiller(
        model,
        teacher,
        assistants=assistants,
        label_weight=recipe.label_weight,
        logits_weight=recipe.logits_weight,
        attention_weight=recipe.attention_weight,
    )


def start_from(student: keras.Model, teacher: keras.Model, *, keep_scales: bool = False) -> None:
    """Copies the weights that layers of the same name share, but for elastic quantizers' scales.

    Args:
        student: What gets the weights.
        teacher: What has them.
        keep_scales: Copy the scales too, as BiT's program does: its check for a scale that has been
            set, `alpha.item() == 1.0`, lets a loaded one stand.

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
            known = _weights(mine, keep_scales)
            for name, weight in _weights(theirs, keep_scales).items():
                if name not in known:
                    continue
                if known[name].shape != weight.shape:
                    raise UsageError(
                        f"layer {theirs.name} has the shape {weight.shape.as_list()} in the "
                        f"teacher, {known[name].shape.as_list()} in the student: give both the "
                        "same options (--set teacher.KEY=VALUE)"
                    )
                known[name].assign(np.asarray(weight))


def _weights(
    layer: keras.layers.Layer, keep_scales: bool, prefix: str = ""
) -> dict[str, tf.Variable]:
    """The weights of a layer and its quantizers by attribute, as in `input_quantizer.threshold`.

    Those in a list have their place in it, as in `scales.0`. Variables' own names are not a key: a
    model that was loaded has others.

    Args:
        layer: What has them.
        keep_scales: Whether the scales of elastic quantizers are among them.
        prefix: What the keys begin with.
    """
    own = OWN_WEIGHTS if isinstance(layer, Elastic) and not keep_scales else ()
    found = {}
    for name, value in vars(layer).items():
        if name in KERAS_OWN:
            continue
        listed = isinstance(value, list | tuple)
        parts = {f"{name}.{place}": v for place, v in enumerate(value)} if listed else {name: value}
        for key, part in parts.items():
            if isinstance(part, tf.Variable) and name not in own:
                found[prefix + key] = part
            elif isinstance(part, keras.layers.Layer):
                found |= _weights(part, keep_scales, f"{prefix}{key}.")
    return found


class Distiller(Student):
    """A student that `fit` trains to answer as its teacher.

    L = w_z·H(t, z) + Σ_l mean (h_l − h'_l)² + w_a·A + w_y·Y + R
    H(t, z) = −Σ_c softmax(t)_c·log softmax(z)_c

    with the logits z and t of student and teacher, H averaged over samples, the outputs h and h' of
    the layers whose names end in `HIDDEN_STATE`, and `attention_loss` A on those that end in
    `VOLUME`. Y is the loss that `compile` was given, on the labels. The student's regularisation
    losses R count whole, whatever w_y is. The history has Y + R as `loss`, and the other terms as
    `logits_loss`, `hidden_loss` and `attention_loss`.

    BiT, arXiv 2205.13016, section 3.4, has the first two terms; ReActNet, arXiv 2003.03488, the
    first one only (its distributional loss, but for the teacher's entropy, which is constant);
    Real-to-Binary, arXiv 2003.11535, all but the second. With assistants, as in BNext, arXiv
    2211.12933, `gap_aware_loss` takes the place of H.

    Args:
        student: What is trained.
        teacher: What it learns from; is not changed.
        assistants: Further teachers, of logits only; it learns from the first until `learn_from`
            names another.
        label_weight: w_y.
        logits_weight: w_z.
        attention_weight: w_a.
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model,
        *,
        assistants: Sequence[keras.Model] = (),
        label_weight: float = 0.0,
        logits_weight: float = 1.0,
        attention_weight: float = 0.0,
    ):
        parts = ["logits_loss", "hidden_loss", *(["attention_loss"] if attention_weight else [])]
        super().__init__(student, parts)
        # As plain attributes, models would add their variables and layers to this one.
        volumes = VOLUME if attention_weight else None
        answers, students = _answers(teacher, volumes), _answers(student, volumes)
        self._teach = lambda inputs: answers(inputs, False)
        self._answer = lambda inputs, training: students(inputs, training)
        self._assist = [functools.partial(assistant, training=False) for assistant in assistants]
        self._assistant = 0
        self._label_weight = label_weight
        self._weights_of = {"logits_loss": logits_weight, "attention_loss": attention_weight}

    def learn_from(self, assistant: int) -> None:
        """Learns from the assistant at that place, counted from 0, from the next `fit` on."""
        if assistant != self._assistant:
            self._assistant = assistant
            # Keras keeps what it has traced, with the former assistant in it.
            self.train_function = self.test_function = None

    def measure(
        self, data: tuple[tf.Tensor, tf.Tensor], training: bool
    ) -> tuple[tf.Tensor, dict[str, Any]]:
        """The loss of a batch, and the figures of all batches since the metrics were reset."""
        inputs, labels = data
        target, target_states, target_volumes = self._teach(inputs)
        logits, states, volumes = self._answer(inputs, training)
        parts = {
            "logits_loss": self._logits_loss(inputs, target, logits),
            "hidden_loss": hidden_loss(target_states, states),
        }
        if "attention_loss" in self.parts:
            parts["attention_loss"] = attention_loss(target_volumes, volumes)
        share = replica_share()
        # Keras' own loss is a share already, and has the regularisation in it.
        loss = self._label_weight * self.compute_loss(inputs, labels, logits)
        if self.losses:
            loss += share * (1.0 - self._label_weight) * tf.add_n(self.losses)
        for key, value in parts.items():
            self.parts[key].update_state(value)
            loss += share * self._weights_of.get(key, 1.0) * value
        return loss, self.compute_metrics(inputs, labels, logits, None)

    def _logits_loss(self, inputs: tf.Tensor, target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        if not self._assist:
            return soft_cross_entropy(target, logits)
        return gap_aware_loss([self._assist[self._assistant](inputs), target], logits)


Answer = Callable[..., tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor]]]


def _answers(model: keras.Model, volumes: str | None) -> Answer:
    """A model of the logits, the hidden states and the attention tensors, in order."""

    def outputs(ending: str | None) -> list[tf.Tensor]:
        return [layer.output for layer in model.layers if ending and layer.name.endswith(ending)]

    states = outputs(HIDDEN_STATE)
    whole = keras.Model(model.inputs, [model.outputs[0], *states, *outputs(volumes)])

    def answer(inputs: tf.Tensor, training: bool) -> Any:
        # A model of one output gives a tensor instead of a list.
        logits, *others = tf.nest.flatten(whole(inputs, training=training))
        return logits, others[: len(states)], others[len(states) :]

    return answer


def soft_cross_entropy(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """−Σ_c softmax(target)_c·log softmax(logits)_c, averaged over samples `[N, classes]`."""
    return tf.reduce_mean(_soft_cross_entropies(target, logits))


def _soft_cross_entropies(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Those of each sample, `[N]`."""
    return tf.nn.softmax_cross_entropy_with_logits(labels=tf.nn.softmax(target), logits=logits)


def gap_aware_loss(targets: Sequence[tf.Tensor], logits: tf.Tensor) -> tf.Tensor:
    """The mean over teachers of their cross-entropies, the more a teacher's the further it is.

    L = 1/K·Σ_k (mean_n α_nk)·(mean_n H_nk), α_n = softmax over k of H_nk, to which no gradient goes

    H_nk = −Σ_c softmax(t_k)_c·log softmax(z)_c: how far the student is from teacher k on sample n.

    BNext, arXiv 2211.12933 (diversified consecutive knowledge distillation); as in the authors'
    program, which averages H and α over the batch before it multiplies them: `"Instance"`, the
    grain of α that it asks for, is not the `"instance"` that would keep the samples apart.

    Args:
        targets: The logits of each of K teachers, `[N, classes]`.
        logits: z, the student's, of the same shape.
    """
    gaps = tf.stack([_soft_cross_entropies(target, logits) for target in targets], axis=-1)
    weights = tf.stop_gradient(tf.reduce_mean(tf.nn.softmax(gaps), axis=0))
    return tf.reduce_mean(weights * tf.reduce_mean(gaps, axis=0))


def hidden_loss(targets: list[tf.Tensor], states: list[tf.Tensor]) -> tf.Tensor:
    """The sum over hidden states of their mean squared differences; 0 where there are none."""
    pairs = zip(targets, states, strict=True)
    parts = [tf.reduce_mean(tf.square(target - state)) for target, state in pairs]
    return tf.add_n(parts) if parts else tf.zeros([])


def attention_loss(targets: list[tf.Tensor], volumes: list[tf.Tensor]) -> tf.Tensor:
    """How differently two networks weigh an image's places, averaged over layers and samples.

    A = mean over layers and places of (q − q')², q = Σ_c a_c² / max over places of Σ_c a_c²

    Training Binary Neural Networks with Real-to-Binary Convolutions, arXiv 2003.11535, section 4.2,
    in the form of larq-zoo, which divides by the largest place instead of the norm.

    Args:
        targets: The teacher's activations, `[N, H, W, C]` each.
        volumes: The student's, of the same heights and widths.
    """

    def places(volume: tf.Tensor) -> tf.Tensor:
        weight = tf.reduce_sum(tf.square(volume), axis=-1)
        return weight / tf.reduce_max(weight, axis=(1, 2), keepdims=True)

    pairs = zip(targets, volumes, strict=True)
    parts = [tf.reduce_mean(tf.square(places(t) - places(v))) for t, v in pairs]
    return tf.add_n(parts) / len(parts)
