"""`onebit zoo runs`: run folders side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onebit.cli import emit, force_option, format_option
from onebit.console import say
from onebit.errors import OnebitError, UsageError
from onebit.files import require_own, require_writable

if TYPE_CHECKING:
    from zoo.runs.overview import Training


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER]...")
@click.option(
    "--mean", "means", is_flag=True, help="A line for all seeds and folds: mean, standard error."
)
@click.option("--history", is_flag=True, help="A line for each epoch of each run.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="CURVES.svg|png",
    help="Draw accuracies by epoch: the mean over seeds, and a band from the least to the most.",
)
@force_option
@format_option()
def runs(
    folders: tuple[Path, ...],
    means: bool,
    history: bool,
    plot: Path | None,
    force: bool,
    format_: str,
) -> None:
    """List the run folders at or below FOLDERs (default: runs), finished or not.

    A run's changes are the settings in which it differs from the other runs of its recipe. One with
    a damaged file is named on standard error, does not keep the others from being listed, and ends
    the command with 1.

    \b
    Example:
      onebit zoo runs
      onebit zoo runs runs/sweep --mean --format csv
      onebit zoo runs runs/a runs/b --plot curves.svg
    """
    from zoo.runs import overview

    if means and history:
        raise UsageError("--mean and --history contradict each other")
    if plot is not None and plot.suffix not in (".svg", ".png"):
        raise UsageError(f"the plot {plot} must end in .svg or .png")
    if plot is not None:
        require_writable(plot)
        require_own(plot, overview.is_plot, force)
    damaged: list[OnebitError] = []
    found = overview.find_trainings(folders or (Path("runs"),), damaged.append)
    if found and plot is not None:
        overview.draw_curves(found, plot)
        say(f"wrote {plot}")
    if history:
        emit(overview.history_lines(found), format_)
    else:
        print_runs(found, format_, means=means)
    for error in damaged:
        say(f"error: {error}")
    if damaged:
        click.get_current_context().exit(1)


def print_runs(found: Sequence[Training], format_: str, *, means: bool = False) -> None:
    """Prints a line for each run, or one for all seeds and folds of a recipe and its changes."""
    from zoo.runs import overview

    lines = overview.mean_lines(found) if means else overview.summary_lines(found)
    if format_ != "table":
        emit(lines, format_)
        return
    if not lines:
        return
    for line in lines:
        for key in ("val_accuracy", "accuracy", "latent_weights_accuracy", "standard_error"):
            if line.get(key) is not None:
                line[key] = f"{line[key]:.2%}"
        if not means:
            line["epochs"] = f"{line['epochs']} of {line.pop('planned_epochs')}"
    known = [key for key in lines[0] if any(line[key] is not None for line in lines)]
    emit(lines, format_, columns={key: RUN_COLUMNS[key] for key in known})


RUN_COLUMNS = {
    "run": "Run",
    "runs": "Runs",
    "recipe": "Recipe",
    "changes": "Changes",
    "seed": "Seed",
    "seeds": "Seeds",
    "folds": "Folds",
    "epochs": "Epochs",
    "extended_after": "Extended after",
    "val_accuracy": "Validation",
    "accuracy": "Test",
    "latent_weights_accuracy": "With latent weights",
    "standard_error": "Standard error",
}
