"""`onebit zoo sweep`: a grid of trainings, one run folder each."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onebit.cli import format_option
from onebit.console import say, working
from onebit.errors import OnebitError, UsageError
from onebit.files import require_writable
from onebit.imports import import_option
from onebit.interrupts import EXIT_CODE, held_back
from onebit.processes import worker_command
from zoo.commands.runs import print_runs
from zoo.commands.training_options import (
    data_option,
    settings_option,
    smoke_option,
    strategy_option,
    train_command,
)

if TYPE_CHECKING:
    from zoo.recipes import Recipe

GRACE_S = 30
"""How long a training may take to end after Ctrl-C."""


@dataclass(frozen=True)
class Cell:
    """One training of a sweep.

    Attributes:
        folder: Its run folder.
        recipe: What is trained there.
        command: The command line that does it.
    """

    folder: Path
    recipe: Recipe
    command: list[str]

    @property
    def finished(self) -> bool:
        """Whether the folder holds the finished run; what is damaged fails when it is trained."""
        from zoo.training.run_folder import is_finished

        try:
            return is_finished(self.folder, self.recipe)
        except OnebitError:
            return False


@click.command()
@import_option
@click.argument("recipe")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The folder of the runs."
)
@settings_option(
    "Values of a setting; those of several settings are combined. Repeat the option for values "
    "that are lists themselves.",
    "KEY=VALUE[,VALUE]...",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many seeds each combination is trained with, from the recipe's upwards.",
)
@smoke_option
@click.option("--dry-run", is_flag=True, help="Print the commands of what is left to train.")
@data_option
@strategy_option
@format_option()
def sweep(
    recipe: str,
    output: Path,
    settings: list[tuple[str, str]],
    seeds: int,
    smoke: bool,
    dry_run: bool,
    data: Path | None,
    strategy: str,
    format_: str,
) -> None:
    """Train RECIPE with every combination of settings and seeds, a run folder each.

    Runs go one after the other, each in a separate process. One that fails does not stop the
    others. The same command goes on where an earlier one was interrupted, and skips what is
    finished.

    \b
    Example:
      onebit zoo sweep binary_net_mlp_mnist_5k --set lr=1e-3,3e-3 --set units=256,512 --seeds 3
        -o runs/sweep
    """
    from zoo.runs.overview import find_trainings
    from zoo.runs.run import CONFIG

    with working():
        cells = plan(recipe, output, settings, seeds, smoke=smoke, data=data, strategy=strategy)
    if (output / CONFIG).exists():
        raise UsageError(f"{output} is a run folder; give the sweep another folder")
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file; give the sweep a folder")
    left = [cell for cell in cells if not cell.finished]
    if dry_run:
        for cell in left:
            click.echo(shlex.join(cell.command))
        say(f"{len(left)} of {len(cells)} runs are left to train")
        return
    require_writable(output)
    failed = []
    for cell in left:
        say(f"[{cells.index(cell) + 1}/{len(cells)}] {cell.folder}")
        if not _train(cell):
            failed.append(cell)
    begun = [cell.folder for cell in cells if (cell.folder / CONFIG).exists()]
    damaged: list[OnebitError] = []
    if begun:
        print_runs(find_trainings(begun, damaged.append), format_)
    for error in damaged:
        say(f"error: {error}")
    if failed:
        raise OnebitError(
            f"{len(failed)} of {len(cells)} runs failed, as said above: "
            f"{', '.join(cell.folder.name for cell in failed)}",
            hint="the same command tries them again",
        )
    if damaged:
        click.get_current_context().exit(1)


def plan(
    recipe: str,
    output: Path,
    settings: Sequence[tuple[str, str]],
    seeds: int,
    *,
    smoke: bool = False,
    data: Path | None = None,
    strategy: str = "auto",
) -> list[Cell]:
    """The trainings of a sweep: settings vary in their order, seeds fastest.

    Args:
        recipe: Name of the recipe.
        output: The folder in which the run folders lie.
        settings: Keys and values, which commas separate.
        seeds: How many seeds, from the recipe's upwards.
        smoke: Shrink the runs.
        data: The folder of data sets.
        strategy: Which devices train.

    Raises:
        UsageError: A setting is unknown, or a combination of values is not a valid recipe.
    """
    from zoo.recipes import recipes, resolve_recipe, setting

    base = recipes.get(recipe)()
    values: dict[str, list[str]] = {}
    for key, text in settings:
        is_list = typing.get_origin(setting(base, key)[0]) is tuple
        values.setdefault(key, []).extend([text] if is_list else text.split(","))
    if "seed" in values and seeds > 1:
        raise UsageError("--seeds and --set seed= contradict each other")
    cells = []
    for combination in itertools.product(*values.values()):
        chosen = dict(zip(values, combination, strict=True))
        for seed in range(base.seed, base.seed + seeds):
            own = None if "seed" in chosen else seed
            resolved = resolve_recipe(recipe, chosen, seed=own, smoke=smoke)
            folder = output / _name(resolved, chosen)
            command = train_command(
                recipe,
                folder,
                chosen.items(),
                seed=own,
                smoke=smoke,
                data=data,
                strategy=strategy,
            )
            cells.append(Cell(folder, resolved, command))
    folders = [cell.folder for cell in cells]
    for folder in folders:
        if folders.count(folder) > 1:
            raise UsageError(f"two runs of the sweep would be {folder}: a value is there twice")
    return cells


def _name(recipe: Recipe, chosen: typing.Iterable[str]) -> str:
    """The name of a run folder: `learning_rate=0.001_units=256_seed=1`."""
    from zoo.recipes import ALIASES, setting

    parts = []
    for key in [*(key for key in chosen if key != "seed"), "seed"]:
        value = setting(recipe, key)[1]
        text = "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
        parts.append(f"{ALIASES.get(key, key)}={text}")
    return re.sub(r"[^\w.=+-]", "-", "_".join(parts))


def _train(cell: Cell) -> bool:
    """Trains a cell in a separate process; whether that went well.

    Raises:
        KeyboardInterrupt: Ctrl-C, after the process has ended.
    """
    process = None
    try:
        with held_back():
            # Its standard output would come between the lines of the sweep's result.
            process = subprocess.Popen(worker_command(*cell.command), stdout=2)
        code = process.wait()
    except KeyboardInterrupt:
        if process is not None:
            _end(process)
        raise
    if code == EXIT_CODE:
        raise KeyboardInterrupt
    return code == 0


def _end(process: subprocess.Popen[bytes]) -> None:
    """Waits for a process that a terminal has interrupted too, and ends it if it was not."""
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()
