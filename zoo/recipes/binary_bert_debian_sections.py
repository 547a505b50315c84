"""BiT's staged distillation on Debian's package descriptions, its float teacher, and no stages.

BiT: Robustly Binarized Multi-distilled Transformer, arXiv 2205.13016, section 3.4: float → one-bit
weights with two-bit activations → one bit each; every stage starts from the one before and learns
its logits and hidden states. As in its program (https://github.com/facebookresearch/bit,
`scripts/run_glue.sh`, `kd_learner_glue.py`): every stage has the same rate, which rises in the
first tenth and falls linearly to 0, scales and thresholds have one of 1e-4, a loaded scale stays,
the logits' loss is the mean over classes, and the result is the best on the validation split.

Differs from the program: a network of 2 layers that was not pretrained, which takes a higher rate,
1e-3; no weight decay; the rate rises in the first of 5 or 10 epochs; the validation split is
measured after each epoch; attention probabilities have thresholds
(`--set probability_threshold=false`); two unsigned bits count from each text's minimum, not the
batch's.

Nothing was tuned: the rate and the numbers of epochs are first guesses. With and without the
2-bit stage, the one-bit network has seen the training split ten times after the float network.
Accuracies are of the data set's test split, about 3,700 descriptions, of which the largest class
has a fifth: `python -m benchmarks.binary_bert --table`; `--pairs` says what each stage changes.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from zoo.recipes import Recipe, register_recipe

CLASSES = 12


@register_recipe
def bert_tiny_debian_sections() -> Recipe:
    """The float baseline, which is the first teacher.

    Command: onebit zoo train bert_tiny_debian_sections -o runs/bert_tiny
    Duration: about 10 minutes on an x86-64 core (estimated).
    Accuracy: 78.3, 76.0, 80.9 % measured with seeds 1 to 3 (results/binary_bert.jsonl).
    """
    return _recipe("bert_tiny", epochs=6)


@register_recipe
def binary_bert_tiny_2_bit_debian_sections() -> Recipe:
    """The stage between: weights of one bit, activations of two; its teacher included.

    Command: onebit zoo train binary_bert_tiny_2_bit_debian_sections -o runs/bert_2_bit
    Duration: about half an hour on an x86-64 core (estimated).
    Accuracy: 74.9, 74.9, 74.9 % measured with seeds 1 to 3 (results/binary_bert.jsonl).
    """
    return _distilled(bert_tiny_debian_sections(), epochs=5, options={"activation_bits": 2})


@register_recipe
def binary_bert_tiny_debian_sections() -> Recipe:
    """The last stage: weights and activations of one bit; the stages before it included.

    Command: onebit zoo train binary_bert_tiny_debian_sections -o runs/bert
    Duration: about 50 minutes on an x86-64 core (estimated).
    Accuracy: 72.8, 72.5, 72.3 % measured with seeds 1 to 3 (results/binary_bert.jsonl).
    """
    teacher = binary_bert_tiny_2_bit_debian_sections()
    return dataclasses.replace(_distilled(teacher, epochs=5), keep_scales=True)


@register_recipe
def binary_bert_tiny_one_stage_debian_sections() -> Recipe:
    """Distilled from the float network at once, without the 2-bit stage; its teacher included.

    Command: onebit zoo train binary_bert_tiny_one_stage_debian_sections -o runs/bert_one_stage
    Duration: about 50 minutes on an x86-64 core (estimated).
    Accuracy: 71.9, 72.2, 72.0 % measured with seeds 1 to 3 (results/binary_bert.jsonl).
    """
    return _distilled(bert_tiny_debian_sections(), epochs=10)


@register_recipe
def binary_bert_tiny_direct_debian_sections() -> Recipe:
    """The same network without a teacher: from random weights, on the labels.

    Command: onebit zoo train binary_bert_tiny_direct_debian_sections -o runs/bert_direct
    Duration: about 40 minutes on an x86-64 core (estimated).
    Accuracy: not measured.
    """
    return _recipe("binary_bert_tiny", epochs=10, quantizer_learning_rate=1e-4)


def _distilled(teacher: Recipe, epochs: int, options: dict[str, int] | None = None) -> Recipe:
    return _recipe(
        "binary_bert_tiny",
        epochs,
        teacher=teacher,
        options=options or {},
        logits_weight=1 / CLASSES,
        quantizer_learning_rate=1e-4,
    )


def _recipe(model: str, epochs: int, **fields: Any) -> Recipe:
    return Recipe(
        model=model,
        dataset="debian_sections",
        epochs=epochs,
        batch_size=64,
        learning_rate=1e-3,
        final_learning_rate=0.0,
        schedule="linear",
        warmup_epochs=1,
        loss="cross_entropy",
        selection="best",
        preprocessing=None,
        smoke_options={"layers": 1, "units": 32},
        **fields,
    )
