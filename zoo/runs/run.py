"""The run folder: what training leaves behind and the other stages read.

RUN/config.json     the resolved recipe, builder options, seed, commit and versions
RUN/history.jsonl   one line per epoch
RUN/checkpoints/    the state to resume from
RUN/logs/           TensorBoard
RUN/model.keras     the final model in Keras' own format
RUN/preprocessing.npz   what its preprocessing was fitted with, where it was
RUN/latent_moments.npz  where weights were drawn: batch normalisation's moments for latent weights
RUN/samples.npz     `images` uint8 [N, H, W, C], or `tokens` int32 [N, S], and `labels` int64 [N]
                    of the test split
RUN/tokenizer.model  for texts: the SentencePiece model that makes token ids of them
RUN/teacher/        with a teacher: the run that this one was distilled from
RUN/assistant_1/    with assistants: that of the first, and so on
RUN/card.json       the model card; written last, so that a run with a card is a finished run
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from onebit import files
from onebit.dataclass_json import decode
from onebit.errors import OnebitError, first_line
from onebit.imports import import_installed, imports_of
from onebit.model_code import foreign_call, foreign_object
from zoo.datasets import Split
from zoo.datasets.preprocessing import Preprocessing, Preprocessor
from zoo.runs import cards

if TYPE_CHECKING:
    from onebit.keras import keras
    from zoo.datasets._tokens import Tokenizer

SCHEMA_VERSION = 1
FIX = "train again with --restart, or delete the folder"
"""The hint about a run with a damaged file."""

MAX_SAMPLES = 10_000
"""How many samples samples.npz holds at most."""

CONFIG = "config.json"
HISTORY = "history.jsonl"
CHECKPOINTS = "checkpoints"
LOGS = "logs"
MODEL = "model.keras"
SAMPLES = "samples.npz"
PREPROCESSING = "preprocessing.npz"
LATENT_MOMENTS = "latent_moments.npz"
TOKENIZER = "tokenizer.model"
TEACHER = "teacher"
ASSISTANT = "assistant"
PREVIOUS_STAGE = "start"
CARD = "card.json"


def is_stage(name: str) -> bool:
    """Whether a folder of that name in a run folder holds a training before the run's."""
    return bool(re.fullmatch(rf"{TEACHER}|{PREVIOUS_STAGE}|{ASSISTANT}_\d+", name))


RETIRED_NAMES = {
    "real_weights_accuracy": "latent_weights_accuracy",
    "from_teacher": "init_from_teacher",
}
"""Former name → present name of keys in cards, configurations and rows; files may have either."""


def with_current_names(value: Any) -> Any:
    """JSON content with the keys of `RETIRED_NAMES` renamed, at any depth.

    Cards and rows of version 0.1.0 have an accuracy of the real weights behind signs that were not
    drawn, too; nobody would test with those, and it is left out as today.
    """
    if isinstance(value, dict):
        named = {RETIRED_NAMES.get(k, k): with_current_names(v) for k, v in value.items()}
        if "real_weights_accuracy" in value and not _drew_weights(value):
            named["latent_weights_accuracy"] = None
        return named
    if isinstance(value, list):
        return [with_current_names(item) for item in value]
    return value


def _drew_weights(card: Mapping[str, Any]) -> bool:
    """Whether a card or row of version 0.1.0 is of a training with drawn weights.

    Such files name no moments for latent weights yet; the networks that draw have `stochastic`.
    """
    options = card.get("options")
    return isinstance(options, dict) and options.get("stochastic") is True


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        folder: Where it lies.
        model: The trained model; takes preprocessed images `[N, H, W, C]` or token ids `[N, S]`,
            gives logits `[N, classes]`.
        card: The content of card.json.
        samples: The raw labelled test split, at most 10,000 samples.
        history: One mapping per epoch.
        preprocessing: What the model's pixels go through first; None for token ids.
        tokenizer: What makes token ids of texts; None for images.
        latent_moments: Batch normalisation's moments with the latent weights, which a training with
            drawn weights is tested with beside their signs; None elsewhere.
    """

    folder: Path
    model: keras.Model
    card: Mapping[str, Any]
    samples: Split
    history: list[dict[str, Any]]
    preprocessing: Preprocessor | None
    tokenizer: Tokenizer | None = None
    latent_moments: Mapping[str, NDArray[np.float32]] | None = None

    def encode(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Token ids `[N, S]` of texts, by the tokenizer that the model was trained with.

        Raises:
            OnebitError: The model takes images.
        """
        if self.tokenizer is None:
            raise OnebitError(f"{self.folder} holds a model of images, which takes no texts")
        return self.tokenizer.encode(texts, self.card["input_shape"][0])


def preprocessed(split: Split, preprocessor: Preprocessor | None) -> NDArray[Any]:
    """A model's input: pixels preprocessed, token ids (whose preprocessing is None) unchanged."""
    return split.images if preprocessor is None else preprocessor(split.images)


def load_run(folder: str | Path) -> Run:
    """The finished run in `folder`, its files checked against the card.

    Raises:
        OnebitError: The folder is missing or no run, training has not finished, or a file is
            damaged or of another run.
    """
    folder = Path(folder)
    card = load_card(folder)
    model = load_model(folder / MODEL, card["model_sha256"])
    samples = load_samples(folder / SAMPLES, card["samples_sha256"])
    return Run(
        folder,
        model,
        card,
        samples,
        read_history(folder),
        load_preprocessor(folder, card),
        load_tokenizer(folder, card),
        _load_moments(folder, card),
    )


def load_card(folder: str | Path) -> dict[str, Any]:
    """The card of the finished run in `folder`.

    Raises:
        OnebitError: As for `load_run`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise OnebitError(f"{folder} {problem}", hint="train a run folder with onebit zoo train")
    if not (folder / CARD).is_file():
        if (folder / CONFIG).is_file():
            command = read_config(folder).get("command")
            hint = f"resume with: {command}" if command else "call zoo.train again to resume"
            raise OnebitError(f"{folder}: training has not finished", hint=hint)
        raise OnebitError(f"{folder} is not a run folder: it has neither {CARD} nor {CONFIG}")
    card = read_card(folder)
    version = card.get("schema_version")
    if version != SCHEMA_VERSION:
        raise OnebitError(
            f"{folder / CARD} has schema version {version}; this Onebit reads {SCHEMA_VERSION}"
        )
    require_entries(cards.RunCard, card, folder / CARD)
    return card


def read_card(folder: Path) -> dict[str, Any]:
    """The content of card.json, of any version, with present names.

    Raises:
        OnebitError: It is missing, unreadable or damaged.
    """
    return _read_mapping(folder / CARD)


def read_config(folder: Path) -> dict[str, Any]:
    """The content of config.json, with present names.

    Raises:
        OnebitError: It is missing, unreadable or damaged.
    """
    return _read_mapping(folder / CONFIG)


def _read_mapping(path: Path) -> dict[str, Any]:
    with _naming_the_fix():
        content = with_current_names(files.read_json(path))
    if not isinstance(content, dict):
        raise damaged(path)
    return content


def is_run_folder(folder: Path) -> bool:
    """Whether training made a folder, even if files in it are damaged since.

    Other programs have a config.json too: one that is neither ours nor empty needs another file of
    a run beside it.
    """
    path = folder / CONFIG
    if not path.is_file():
        return False
    try:
        config = files.read_json(path)
    except OnebitError:
        left = (CARD, HISTORY, CHECKPOINTS)
        return files.is_empty(path) or any((folder / name).exists() for name in left)
    return not isinstance(config, dict) or not config or "recipe" in config


def holds_stages_only(folder: Path) -> bool:
    """Whether a folder is empty but for run folders of trainings before its own."""
    return folder.is_dir() and all(
        is_stage(each.name) and each.is_dir() and (is_run_folder(each) or holds_stages_only(each))
        for each in folder.iterdir()
    )


def damaged(path: Path, problem: object = None) -> OnebitError:
    """The error for a file of a run that holds something else than training wrote."""
    more = "" if problem is None else f": {problem}"
    return OnebitError(f"{path} is damaged{more}", hint=FIX, reason=files.DAMAGED)


def require_entries(kind: type, content: Any, path: Path) -> None:
    """Checks that the JSON content of a file has the entries of a dataclass of `zoo.runs.cards`.

    Raises:
        OnebitError: One is missing or of another type; the message names it.
    """
    try:
        decode(kind, content, path.stem)
    except ValueError as error:
        raise damaged(path, error) from error


@contextlib.contextmanager
def _naming_the_fix() -> Iterator[None]:
    """Has errors about damaged files of a run say how to get rid of them."""
    try:
        yield
    except OnebitError as error:
        if error.reason != files.DAMAGED:
            raise
        raise OnebitError(error.message, hint=FIX, reason=error.reason) from error


def load_model(path: Path, sha256: str) -> keras.Model:
    """The Keras model in a `.keras` file, which must have that hash.

    A file that carries or names Python code instead of layers is refused.

    Raises:
        OnebitError: The file is missing, damaged or of another run, or cannot be loaded.
    """
    _check_hash(path, sha256)
    from onebit.keras import keras

    import_installed()
    try:
        with zipfile.ZipFile(path) as archive:
            description = json.loads(archive.read("config.json"))
        foreign = foreign_call(description) or foreign_object(
            description, lambda name: keras.utils.get_registered_object(name) is not None
        )
        if foreign is not None:
            raise TypeError(f"it uses {foreign}, which is unknown here")
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever the file's content makes it stumble over
        raise OnebitError(
            f"{path} cannot be loaded: {first_line(error).rstrip('.')}",
            hint=_missing_import(path.parent),
        ) from error


def _missing_import(folder: Path) -> str | None:
    """The hint for a run whose training had files of the user that were not imported."""
    command = read_config(folder).get("command") if (folder / CONFIG).is_file() else None
    imports = imports_of(command)
    if not imports:
        return None
    named = " ".join(f"--import {shlex.quote(file)}" for file in imports)
    return f"pass {named}, as its training did"


def load_samples(path: Path, sha256: str) -> Split:
    """The labelled images of samples.npz, which must have that hash.

    Raises:
        OnebitError: The file is missing, damaged or of another run.
    """
    _check_hash(path, sha256)
    with np.load(path, allow_pickle=False) as arrays:
        return Split(arrays["tokens" if "tokens" in arrays else "images"], arrays["labels"])


def load_preprocessor(folder: Path, card: Mapping[str, Any]) -> Preprocessor | None:
    """The preprocessing of the run with that card; None for token ids.

    Raises:
        OnebitError: What was fitted is missing, damaged or of another run, or the card is damaged.
    """
    if card["preprocessing"] is None:
        return None
    try:
        preprocessing = Preprocessing(**card["preprocessing"])
    except (TypeError, ValueError) as error:
        raise damaged(folder / CARD, f"card.preprocessing: {first_line(error)}") from error
    if not preprocessing.whitening:
        return Preprocessor(preprocessing, {})
    _check_hash(folder / PREPROCESSING, card.get("preprocessing_sha256"))
    with np.load(folder / PREPROCESSING, allow_pickle=False) as arrays:
        return Preprocessor(preprocessing, dict(arrays))


def load_tokenizer(folder: Path, card: Mapping[str, Any]) -> Tokenizer | None:
    """The tokenizer of the run with that card; None for images.

    Raises:
        OnebitError: It is missing, damaged or of another run.
    """
    if card.get("tokenizer_sha256") is None:
        return None
    _check_hash(folder / TOKENIZER, card["tokenizer_sha256"])
    from zoo.datasets._tokens import Tokenizer

    return Tokenizer((folder / TOKENIZER).read_bytes())


def _load_moments(
    folder: Path, card: Mapping[str, Any]
) -> Mapping[str, NDArray[np.float32]] | None:
    if card.get("latent_moments_sha256") is None:
        return None
    _check_hash(folder / LATENT_MOMENTS, card["latent_moments_sha256"])
    with np.load(folder / LATENT_MOMENTS, allow_pickle=False) as arrays:
        return dict(arrays)


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The epochs in history.jsonl, in order; none when the file is absent.

    Raises:
        OnebitError: It is unreadable or damaged.
    """
    with _naming_the_fix():
        history = files.read_json_lines(folder / HISTORY)
    if not all(isinstance(epoch, dict) for epoch in history):
        raise damaged(folder / HISTORY)
    return history


def _check_hash(path: Path, sha256: str | None) -> None:
    if path.is_dir():
        raise OnebitError(
            f"{path} is a folder, not a file of the run",
            hint="move it away and train again with --restart",
        )
    if not path.is_file():
        raise OnebitError(f"{path} is missing; train again with --restart")
    if files.sha256(path) != sha256:
        raise OnebitError(
            f"{path} is not the file that {CARD} describes; train again with --restart"
        )
