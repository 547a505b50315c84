"""BiT's staged distillation on Debian's package descriptions, its float teacher, and no stages.

BiT: Robustly Binarized Multi-distilled Transformer, arXiv 2205.13016, section 3.4: float → one-bit
weights with two-bit activations → one bit each; every stage starts from the one before and learns
its logits and hidden states.

Differs from the paper: a network of 2 layers that was not pretrained; Adam's rate falls
exponentially from 1e-3 without warm-up, the same for scales and weights, without weight decay; the
model of the last epoch instead of the best on the validation split. Differs from the program: the
logits' loss is summed over classes, where its mean weighs 12 times less beside the hidden states
(`--set logits_weight=0.08333`); scales are set by each training's first batch, where those of the
2-bit stage are kept (`--set keep_scales=true`); attention probabilities have thresholds
(`--set probability_threshold=false`).

Nothing was tuned: the rate and the numbers of epochs are first guesses, shortened to what a busy
machine allowed. Measured on 2026-11-21 with seed 1, x86-64 with AVX-512, two cores that eight other
jobs used; accuracies are of the 3,729 test descriptions of the data set ac33f719…, whose largest
class has 20.8 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.recipes import Recipe, register_recipe


def _recipe(
    model: str, epochs: int, teacher: Recipe | None = None, options: Mapping[str, Any] | None = None
) -> Recipe:
    return Recipe(
        model=model,
        dataset="debian_sections",
        options=options or {},
        epochs=epochs,
        batch_size=64,
        loss="cross_entropy",
        teacher=teacher,
        preprocessing=None,
        smoke_options={"layers": 1, "units": 32},
    )


@register_recipe
def bert_tiny_debian_sections() -> Recipe:
    """The float baseline, which is the first teacher.

    Command: onebit zoo train bert_tiny_debian_sections -o runs/bert_tiny
    Duration: 11 min measured.
    Accuracy: 77.6 % measured.
    """
    return _recipe("bert_tiny", epochs=6)


@register_recipe
def binary_bert_tiny_2_bit_debian_sections() -> Recipe:
    """The stage between: weights of one bit, activations of two; its teacher included.

    Command: onebit zoo train binary_bert_tiny_2_bit_debian_sections -o runs/bert_2_bit
    Duration: 33 min measured.
    Accuracy: 74.8 % measured.
    """
    return _recipe(
        "binary_bert_tiny",
        epochs=5,
        teacher=bert_tiny_debian_sections(),
        options={"activation_bits": 2},
    )


@register_recipe
def binary_bert_tiny_debian_sections() -> Recipe:
    """The last stage: weights and activations of one bit; the stages before it included.

    Command: onebit zoo train binary_bert_tiny_debian_sections -o runs/bert
    Duration: 83 min measured, of which other jobs' timings stopped it for more than a half.
    Accuracy: 73.2 % measured.
    """
    return _recipe("binary_bert_tiny", epochs=5, teacher=binary_bert_tiny_2_bit_debian_sections())


@register_recipe
def binary_bert_tiny_direct_debian_sections() -> Recipe:
    """The same network without stages: from random weights, on the labels.

    Command: onebit zoo train binary_bert_tiny_direct_debian_sections -o runs/bert_direct
    Duration: not measured to the end.
    Accuracy: not measured; 77.3 % of the validation split after four of its ten epochs.
    """
    return _recipe("binary_bert_tiny", epochs=10)
