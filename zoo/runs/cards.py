"""The entries of cards, configurations and histories that are read back, and their types.

Files of older versions lack some that are written today; those have defaults here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Accuracy:
    """A card's entry about the test."""

    value: float
    split: str
    samples: int


@dataclass(frozen=True)
class DatasetEntry:
    """A card's entry about the data set."""

    name: str
    sha256: str


@dataclass(frozen=True)
class ModelCard:
    """The card of a model, with a run or exported."""

    name: str
    options: dict[str, Any]
    input_shape: list[int]
    classes: list[Any]
    dataset: DatasetEntry
    accuracy: Accuracy
    preprocessing: dict[str, Any] | None


@dataclass(frozen=True)
class RunCard(ModelCard):
    """The card of a finished run."""

    model_sha256: str
    samples_sha256: str


@dataclass(frozen=True)
class ExportedCard(ModelCard):
    """The card beside exported weights."""

    weights_sha256: str


@dataclass(frozen=True)
class ListedAccuracy:
    """The entry of an accuracy that a list of runs needs."""

    value: float


@dataclass(frozen=True)
class ListedCard:
    """The entries of a card, of any version, that a list of runs needs."""

    accuracy: ListedAccuracy | None = None
    latent_weights_accuracy: float | None = None


@dataclass(frozen=True)
class ListedRecipe:
    """The entries of a recipe that a list of runs needs."""

    name: str
    seed: int
    epochs: int
    assistants: list[dict[str, Any]] = dataclasses.field(default_factory=list)


@dataclass(frozen=True)
class ListedExtension:
    """The entries of an extension that a list of runs needs."""

    after_epoch: int
    learning_rates: str | None


@dataclass(frozen=True)
class ListedConfig:
    """The entries of a configuration that a list of runs needs."""

    recipe: ListedRecipe
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    extensions: list[ListedExtension] = dataclasses.field(default_factory=list)


@dataclass(frozen=True)
class ListedEpoch:
    """The entries of an epoch that a list of runs needs."""

    epoch: int
    accuracy: float | None = None
    val_accuracy: float | None = None
