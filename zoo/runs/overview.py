"""Run folders side by side: what was trained, how far it is, and its curves."""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from onebit.errors import OnebitError
from onebit.files import replacing
from onebit.interrupts import importing
from zoo.recipes import with_defaults
from zoo.runs import cards
from zoo.runs.run import (
    CARD,
    CONFIG,
    HISTORY,
    is_run_folder,
    is_stage,
    read_card,
    read_config,
    read_history,
    require_entries,
)

CURVES = ("val_accuracy", "accuracy")
"""The accuracies to draw: the first that all runs of a line have."""

FOLD = re.compile(r"(\bdataset=\w+_fold_)\d+\b")
"""Where a label names a part of a data set, of which each run tests another."""

PLOT_MARK = "Drawn by Onebit"
"""In the metadata of a plot's file, so that no other file is overwritten."""


@dataclasses.dataclass(frozen=True)
class Training:
    """A run folder, finished or not.

    Attributes:
        folder: Where it lies.
        recipe: The recipe's name.
        seed: Of its weights and order of images.
        epochs: How many are done.
        planned_epochs: How many there will be.
        accuracy: On the test split, a fraction; None before the end.
        latent_weights_accuracy: The same with the latent weights, where those are tested, too.
        extended_after: The epochs after which more were added to what was planned.
        changes: Settings in which it differs from the other runs of its recipe.
        history: One mapping for each epoch.
    """

    folder: Path
    recipe: str
    seed: int
    epochs: int
    planned_epochs: int
    accuracy: float | None
    latent_weights_accuracy: float | None
    extended_after: Sequence[int]
    changes: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]

    @property
    def label(self) -> str:
        """The recipe with its changes: `binary_net_mlp_mnist_5k epochs=10`."""
        return " ".join([self.recipe, *(f"{k}={v}" for k, v in self.changes.items())])


@dataclasses.dataclass(frozen=True)
class _Files:
    """The small files of a run folder; the card is empty before the end."""

    config: Mapping[str, Any]
    card: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> _Files:
        """Reads those of a folder.

        Raises:
            OnebitError: One is unreadable or damaged.
        """
        config, history = read_config(folder), read_history(folder)
        card = read_card(folder) if (folder / CARD).exists() else {}
        require_entries(cards.ListedConfig, config, folder / CONFIG)
        require_entries(cards.ListedCard, card, folder / CARD)
        for epoch in history:
            require_entries(cards.ListedEpoch, epoch, folder / HISTORY)
        return cls({**config, "recipe": with_defaults(config["recipe"])}, card, history)


def find_trainings(
    paths: Iterable[Path], on_damage: Callable[[OnebitError], None] | None = None
) -> list[Training]:
    """The run folders at or below the paths, sorted by recipe, settings and seed.

    Trainings before another one, such as its teacher's, lie in its folder and are left out.

    Args:
        paths: The folders.
        on_damage: Called with the error of each run that is left out because a file of it is
            damaged or unreadable; the first one is raised when None.

    Raises:
        OnebitError: There are no run folders, or one is damaged.
    """
    paths = list(paths)
    folders = sorted(
        {
            config.parent
            for path in paths
            for config in path.glob(f"**/{CONFIG}")
            if is_run_folder(config.parent) and not _before_another(config.parent, path)
        }
    )
    if not folders:
        raise OnebitError(
            f"no run folder in {', '.join(map(str, paths))}", hint="train with onebit zoo train"
        )
    read: dict[Path, _Files] = {}
    for folder in folders:
        try:
            read[folder] = _Files.read(folder)
        except OnebitError as error:
            if on_damage is None:
                raise
            on_damage(error)
    settings = {folder: _settings(run.config) for folder, run in read.items()}
    found = []
    for folder, run in read.items():
        recipe = run.config["recipe"]
        alike = [
            settings[f] for f, r in read.items() if r.config["recipe"]["name"] == recipe["name"]
        ]
        found.append(
            Training(
                folder,
                recipe["name"],
                recipe["seed"],
                len(run.history),
                recipe["epochs"],
                (run.card.get("accuracy") or {}).get("value"),
                run.card.get("latent_weights_accuracy"),
                [made["after_epoch"] for made in run.config.get("extensions", [])],
                {
                    key: value
                    for key, value in settings[folder].items()
                    if any(other.get(key) != value for other in alike)
                },
                run.history,
            )
        )
    return sorted(found, key=lambda run: (run.label, run.seed, str(run.folder)))


def _before_another(folder: Path, path: Path) -> bool:
    """Whether a folder at or below `path` is of a training before that of a run below it, too."""
    below = [folder, *folder.parents][: len(folder.relative_to(path).parts)]
    return any(is_stage(each.name) and is_run_folder(each.parent) for each in below)


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting and option but the seed, and where the run was extended, on one level."""
    own = {key: value for key, value in config["recipe"].items() if key not in ("seed", "name")}
    # Learning rates that jump or stay set a run apart from one as long from the beginning.
    made = [m for m in config.get("extensions", []) if m["learning_rates"]]
    ways = ",".join(f"{m['learning_rates']}@{m['after_epoch']}" for m in made)
    extended = {"extended": ways} if ways else {}
    # The data set decides these two.
    decided = ("input_shape", "classes")
    options = {k: v for k, v in config.get("options", {}).items() if k not in decided}
    return {**_flat(own), **options, **extended}


def _flat(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings of a recipe and, as `teacher.epochs`, of the trainings before it."""
    found: dict[str, Any] = {}
    for key, value in recipe.items():
        if key in ("options", "smoke_options") and not prefix:
            continue  # the configuration has every option
        nested = isinstance(value, dict)
        found |= _flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return found


def summary_lines(trainings: Sequence[Training]) -> list[dict[str, Any]]:
    """One record for each run."""
    return [
        {
            "run": str(run.folder),
            "recipe": run.recipe,
            "changes": " ".join(f"{key}={value}" for key, value in run.changes.items()) or None,
            "seed": run.seed,
            "epochs": run.epochs,
            "planned_epochs": run.planned_epochs,
            "extended_after": ",".join(map(str, run.extended_after)) or None,
            "val_accuracy": next(
                (line["val_accuracy"] for line in reversed(run.history) if "val_accuracy" in line),
                None,
            ),
            "accuracy": run.accuracy,
            "latent_weights_accuracy": run.latent_weights_accuracy,
        }
        for run in trainings
    ]


def mean_lines(trainings: Sequence[Training]) -> list[dict[str, Any]]:
    """One record for all seeds and folds of a recipe and its changes.

    The accuracy is the mean, the standard error that of the mean; None for a single run. Folds are
    data sets that differ in the number at the end, as `mnist_5k_fold_2` has it; their runs share
    training images, so that the error is a little too small.
    """
    lines = []
    for label, runs in _by_label(trainings, folds_together=True).items():
        finished = [run for run in runs if run.accuracy is not None]
        values = [run.accuracy for run in finished if run.accuracy is not None]
        folds = {found[0] for run in finished if (found := FOLD.search(run.label))}
        lines.append(
            {
                "runs": label,
                "seeds": len({run.seed for run in finished}),
                "folds": len(folds) or None,
                "accuracy": statistics.mean(values) if values else None,
                "standard_error": (
                    statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
                ),
            }
        )
    return lines


def history_lines(trainings: Sequence[Training]) -> list[dict[str, Any]]:
    """One record for each epoch of each run; all have the same keys."""
    keys = dict.fromkeys(key for run in trainings for epoch in run.history for key in epoch)
    return [
        {"run": str(run.folder), "recipe": run.recipe, "seed": run.seed}
        | {key: epoch.get(key) for key in keys}
        for run in trainings
        for epoch in run.history
    ]


def draw_curves(trainings: Sequence[Training], path: Path) -> None:
    """Draws accuracies by epoch: a line for the mean over seeds, a band from least to most.

    Args:
        trainings: Runs with an epoch or more.
        path: An .svg or .png file.

    Raises:
        OnebitError: No run has an epoch with an accuracy.
    """
    with importing():
        from matplotlib import figure
    drawn = figure.Figure(figsize=(8, 4.5), layout="constrained")
    axes = drawn.add_subplot()
    for label, runs in _by_label([run for run in trainings if run.history]).items():
        epochs = list(zip(*(run.history for run in runs), strict=False))
        # A recipe may validate every few epochs only.
        measured = {
            key: [lines for lines in epochs if all(line.get(key) is not None for line in lines)]
            for key in CURVES
        }
        key = next((key for key in CURVES if measured[key]), None)
        if key is None:
            continue
        epochs = measured[key]
        curves = [[100 * line[key] for line in lines] for lines in zip(*epochs, strict=True)]
        steps = [lines[0]["epoch"] for lines in epochs]
        seeds = f"{len(runs)} seed{'s' if len(runs) > 1 else ''}"
        which = "validation" if key == "val_accuracy" else "training"
        axes.plot(
            steps, [statistics.mean(at) for at in zip(*curves, strict=True)],
            label=f"{label}, {which}, {seeds}",
        )  # fmt: skip
        low, high = ([pick(at) for at in zip(*curves, strict=True)] for pick in (min, max))
        axes.fill_between(steps, low, high, alpha=0.2)
    if not axes.lines:
        raise OnebitError("no run has an epoch to draw")
    axes.set(xlabel="epoch", ylabel="accuracy, %")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    key = "Software" if path.suffix == ".png" else "Creator"
    with replacing(path) as temporary:
        drawn.savefig(temporary, format=path.suffix[1:], metadata={key: PLOT_MARK})


def is_plot(path: Path) -> bool:
    """Whether `draw_curves` has drawn a file."""
    return PLOT_MARK.encode() in path.read_bytes()


def _by_label(
    trainings: Sequence[Training], *, folds_together: bool = False
) -> dict[str, list[Training]]:
    """The runs by label, in which a star may take the place of a fold's number."""
    groups: dict[str, list[Training]] = {}
    for run in trainings:
        label = FOLD.sub(r"\1*", run.label) if folds_together else run.label
        groups.setdefault(label, []).append(run)
    return groups
