"""BiFSMN and its float teacher on keywords spoken by a synthesiser.

BiFSMN: Binary Neural Network for Keyword Spotting, arXiv 2202.06483: high-frequency enhancement
distillation of a thinnable network, with the program's weights of the losses, 0.01 of the hidden
states' and 1, 1/2 and 1/4 of the depths', https://github.com/htqin/BiFSMN.

Differs from the program: other data (`zoo.datasets.spoken_keywords`), whose noise and shifts are
the same in each epoch; Adam in place of SGD, and an exponential decay of the teacher's rate in
place of a cosine; 60 epochs (30 of the teacher) with batches of 32 instead of 300 with batches of
96; no weight decay; the last epoch's model instead of the best; the teacher's moments of batch
normalisation are estimated again before a test (`zoo.training.batch_norm`), since it has dropout.

Nothing was tuned: rates and epochs are first guesses.
"""

from __future__ import annotations

from typing import Any

from onebit.audio import LOG_MEL
from zoo.datasets.preprocessing import Preprocessing
from zoo.recipes import Recipe, register_recipe

DECIBELS = Preprocessing(LOG_MEL.step, LOG_MEL.low)
"""Bytes → decibels, which the program takes as they are."""


def _recipe(model: str, **settings: Any) -> Recipe:
    return Recipe(
        model=model,
        dataset="spoken_keywords_synthetic_log_mel",
        batch_size=32,
        loss="cross_entropy",
        preprocessing=DECIBELS,
        smoke_options={"width": 16, "filters": 4, "blocks": 4},
        **settings,
    )


@register_recipe
def dfsmn_spoken_keywords_synthetic_log_mel() -> Recipe:
    """The float baseline, which is the teacher.

    Command: onebit zoo train dfsmn_spoken_keywords_synthetic_log_mel -o runs/dfsmn
    Duration: 3 minutes of one x86-64 core with AMX measured.
    Accuracy: 74.6 % measured with seed 1 and compute=bfloat16 (results/accuracies.jsonl).
    """
    return _recipe("dfsmn", epochs=30, learning_rate=1e-3, estimate_moments=True)


@register_recipe
def bifsmn_spoken_keywords_synthetic_log_mel() -> Recipe:
    """BiFSMN at three depths, 8, 4 and 2 blocks, taught by the float network, which trains first.

    Command: onebit zoo train bifsmn_spoken_keywords_synthetic_log_mel -o runs/bifsmn
    Duration: 20 minutes of one x86-64 core with AMX measured, its teacher included.
    Accuracy: 74.4 % with 8 blocks, 75.6 % with 4 and 72.6 % with 2 measured with seed 1,
        compute=bfloat16 and a teacher of float32 (results/accuracies.jsonl).
    """
    return _recipe(
        "bifsmn",
        options={"thinnable": True},
        epochs=60,
        learning_rate=1e-3,
        final_learning_rate=0.0,
        schedule="cosine",
        teacher=dfsmn_spoken_keywords_synthetic_log_mel(),
        frequency_weight=0.01,
    )
