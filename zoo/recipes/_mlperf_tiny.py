"""Settings that recipes of MLPerf Tiny's networks share."""

from onebit.audio import MFCC
from zoo.datasets.preprocessing import Preprocessing
from zoo.recipes import Recipe

MFCC_VALUES = Preprocessing(MFCC.step, MFCC.low)
"""Bytes → MFCCs, which the reference takes as they are."""


def resnet8(
    model: str, dataset: str, *, epochs: int, batch_size: int, learning_rate: float, decay: float
) -> Recipe:
    """ResNet-8, binary or float; the rate ends at `decay` times its beginning."""
    return Recipe(
        model=model,
        dataset=dataset,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        final_learning_rate=learning_rate * decay,
        loss="cross_entropy",
        smoke_options={"width": 4},
    )


def ds_cnn(
    model: str, dataset: str, *, epochs: int, batch_size: int, learning_rate: float
) -> Recipe:
    """DS-CNN, binary or float, whose dropout makes moving averages those of another network."""
    return Recipe(
        model=model,
        dataset=dataset,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        final_learning_rate=learning_rate * 1e-2,
        loss="cross_entropy",
        preprocessing=MFCC_VALUES,
        estimate_moments=True,
        smoke_options={"width": 16},
    )
