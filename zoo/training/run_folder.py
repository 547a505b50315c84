"""Opens a training's run folder: a new one, the same training's, or one with fewer epochs."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onebit import files, provenance
from onebit.dataclass_json import as_json
from onebit.errors import OnebitError, UsageError
from zoo.datasets import Dataset
from zoo.models import models
from zoo.recipes import Recipe, with_defaults
from zoo.runs.run import (
    CARD,
    CHECKPOINTS,
    CONFIG,
    HISTORY,
    LATENT_MOMENTS,
    LOGS,
    MODEL,
    PREPROCESSING,
    SAMPLES,
    SCHEMA_VERSION,
    TOKENIZER,
    holds_stages_only,
    is_run_folder,
    load_card,
    read_config,
    with_current_names,
)
from zoo.training.extension import EXTENSIONS, extension, is_longer


def open_run_folder(
    folder: Path,
    recipe: Recipe,
    options: Mapping[str, Any],
    dataset: Dataset,
    *,
    command: str | None,
    restart: bool,
    done: int = 0,
    extend: str | None = None,
) -> bool:
    """Makes `folder` this training's run folder, or checks that it is; whether it is a new one.

    A run with fewer epochs becomes this training, and is no longer finished.

    Args:
        folder: A run folder, an empty folder, one that holds the runs of earlier trainings only, or
            a path at which there is nothing.
        recipe: What is trained.
        options: Every option of its model, the defaults too.
        dataset: What the recipe trains on.
        command: The command line that resumes the training.
        restart: Remove the run that is there; other files stay.
        done: How many epochs the newest checkpoint has behind it.
        extend: How a run with fewer epochs goes on, one of `zoo.training.extension.WAYS`.

    Raises:
        UsageError: It holds another training, or something else; or a way to extend is needed, or
            given where there is nothing to extend or the run was extended in another.
        OnebitError: It cannot be written.
    """
    training = {
        "recipe": as_json(dataclasses.asdict(recipe)),
        "options": as_json(options),
        "dataset_sha256": dataset.sha256,
    }
    path = folder / CONFIG
    _sweep(folder)
    if path.is_file() and not restart:
        config = _stored_config(path, recipe)
        if _is_shorter(folder, config, training):
            _extend(folder, config, recipe, command=command, done=done, way=extend)
        elif extend:
            _require_extended(folder, config, extend)
        return False
    if extend and not restart:
        raise UsageError(f"{folder} holds no run to extend")
    if is_run_folder(folder):
        _remove_run(folder)
    elif folder.exists() and not holds_stages_only(folder):
        raise _not_a_run(folder)
    files.write_json(
        path,
        {
            "schema_version": SCHEMA_VERSION,
            **training,
            "command": command,
            "created": provenance.utc_now(),
            "commit": provenance.commit(),
            "versions": provenance.versions(["tensorflow", "tf-keras", "larq", "numpy"]),
        },
    )
    return True


def _not_a_run(folder: Path) -> UsageError:
    return UsageError(f"{folder} exists and is not a run folder; give a new or empty one")


def _stored_config(path: Path, recipe: Recipe) -> dict[str, Any]:
    """The configuration in a run folder in today's terms, with every option of the model.

    Raises:
        UsageError: It is damaged, or of another program.
    """
    if not is_run_folder(path.parent):
        raise _not_a_run(path.parent)
    config = _mapping(files.read_json(path))
    if not all(isinstance(config.get(key), dict) for key in ("recipe", "options")):
        raise UsageError(f"{path} is damaged; give another folder, or --restart to train again")
    # Options that the model has got since then had no other value.
    defaults = as_json(dict(models.get(recipe.model).options))
    return {**config, "options": defaults | config["options"]}


def _is_shorter(folder: Path, config: Mapping[str, Any], training: Mapping[str, Any]) -> bool:
    """Whether the run in a folder is this training with fewer epochs.

    Raises:
        UsageError: It differs in something else, which is named before the epochs.
    """
    epochs = config["recipe"].get("epochs")
    shorter = is_longer(config["recipe"], training["recipe"])
    difference = _difference(
        config, {**training, "recipe": {**training["recipe"], "epochs": epochs}}
    )
    if not shorter:
        difference = difference or _difference(config, training)
    if difference:
        raise UsageError(
            f"{folder} holds a run with {difference}; give another folder, or --restart to train "
            "again"
        )
    return shorter


def discard(folder: Path) -> None:
    """Takes back a new run folder, of a training that cannot begin."""
    _remove_run(folder)
    with contextlib.suppress(OSError):  # it holds other files
        folder.rmdir()


def _extend(
    folder: Path,
    config: Mapping[str, Any],
    recipe: Recipe,
    *,
    command: str | None,
    done: int,
    way: str | None,
) -> None:
    """Makes a run with fewer epochs one of `recipe`'s, which goes on after epoch `done`.

    Raises:
        UsageError: A way is needed, or given before the run has an epoch.
    """
    path = folder / CARD
    accuracy = load_card(folder)["accuracy"]["value"] if path.is_file() else None
    made = list(config.get(EXTENSIONS, []))
    # Before its first epoch is done, a training is just one with more epochs.
    if way and not done and accuracy is None:
        raise UsageError(
            f"{folder} holds no epoch to go on from; leave out --extend {way} to train all "
            f"{recipe.epochs} epochs"
        )
    if done or accuracy is not None:
        made.append(extension(folder, config, recipe, done=done, way=way, accuracy=accuracy))
    # The card goes first: with it and the new number of epochs the run would pass for finished.
    path.unlink(missing_ok=True)
    extended = {**config, "recipe": as_json(dataclasses.asdict(recipe)), "command": command}
    files.write_json(folder / CONFIG, extended | {EXTENSIONS: made})


def _require_extended(folder: Path, config: Mapping[str, Any], way: str) -> None:
    """Checks that a run which has the epochs that are asked for got them that way.

    Raises:
        UsageError: It did not.
    """
    made = config.get(EXTENSIONS)
    if not made:
        raise UsageError(
            f"{folder} holds a run of {config['recipe']['epochs']} epochs, which is not extended; "
            f"leave out --extend {way} to go on with it, or give more epochs"
        )
    before = made[-1]["learning_rates"]
    # None where nothing depends on the number of epochs, and so any way was taken.
    if before not in (None, way):
        raise UsageError(
            f"{folder} was extended to {config['recipe']['epochs']} epochs with --extend {before}, "
            f"not {way}; give --extend {before} to go on with it, or --restart to train again"
        )


def is_finished(folder: Path, recipe: Recipe) -> bool:
    """Whether `folder` holds the finished run of that recipe; needs neither data nor TensorFlow.

    Raises:
        OnebitError: The configuration is unreadable or damaged.
    """
    if not is_run_folder(folder) or not (folder / CARD).is_file():
        return False
    config = _mapping(read_config(folder))
    return config.get("recipe") == as_json(dataclasses.asdict(recipe))


def _mapping(value: Any) -> Mapping[str, Any]:
    """A configuration in today's terms: present names, and defaults of settings that are newer."""
    if not isinstance(value, dict):
        return {}
    config = with_current_names(value)
    return {**config, "recipe": with_defaults(config.get("recipe"))}


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first thing in which two trainings differ: "epochs 60, not 3"."""
    for key, value in now.items():
        old = before.get(key)
        if old == value:
            continue
        if isinstance(value, dict) and isinstance(old, dict):
            return _difference(old, value) or f"other {key}"
        return f"{key} {old}, not {value}"
    return None


def _sweep(folder: Path) -> None:
    """Removes what a killed process was about to write; the names are those of `onebit.files`."""
    for name in (CONFIG, HISTORY, MODEL, SAMPLES, PREPROCESSING, LATENT_MOMENTS, TOKENIZER, CARD):
        for leftover in folder.glob(f".{name}.*"):
            shutil.rmtree(leftover, ignore_errors=True)


def _remove_run(folder: Path) -> None:
    """Removes the files of a run, and nothing else.

    The card goes first, since it marks the run as finished, the configuration last, since without
    it what is left would be no run folder.

    Raises:
        OnebitError: A folder has the name of one of them; nothing was removed then.
    """
    names = (CARD, MODEL, SAMPLES, PREPROCESSING, LATENT_MOMENTS, TOKENIZER, HISTORY)
    for name in names:
        if (folder / name).is_dir():
            raise OnebitError(
                f"{folder / name} is a folder, not a file of the run", hint="move it away"
            )
    for name in names:
        (folder / name).unlink(missing_ok=True)
    for name in (CHECKPOINTS, LOGS):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / CONFIG).unlink()
