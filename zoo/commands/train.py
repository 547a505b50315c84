"""`onebit zoo train`: a recipe into a run folder."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onebit.console import working
from onebit.errors import UsageError
from onebit.imports import import_option
from onebit.interrupts import EXIT_CODE
from zoo.commands.training_options import (
    data_option,
    settings_option,
    smoke_option,
    strategy_option,
    train_command,
)
from zoo.training.extension import WAYS

if TYPE_CHECKING:
    from zoo.recipes import Recipe
    from zoo.runs.run import Run


@click.command()
@import_option
@click.argument("recipe")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The run folder."
)
@settings_option("Change a setting of the recipe or an option of its model; may be repeated.")
@click.option("--seed", type=click.IntRange(min=0), help="In place of the recipe's seed.")
@smoke_option
@click.option("--restart", is_flag=True, help="Remove an earlier run in the folder first.")
@click.option(
    "--extend",
    type=click.Choice(WAYS),
    help="How the learning rate of a run goes on to more epochs than it was planned for: it keeps "
    "the rate at which its decay ends, or takes those of a decay over all epochs.",
)
@data_option
@strategy_option
def train(
    recipe: str,
    output: Path,
    settings: list[tuple[str, str]],
    seed: int | None,
    smoke: bool,
    restart: bool,
    extend: str | None,
    data: Path | None,
    strategy: str,
) -> None:
    """Train RECIPE into a run folder, or resume a training that was interrupted.

    A run in the folder that has fewer epochs, finished or not, goes on to more.

    \b
    Example:
      onebit zoo train binary_net_mlp_mnist_5k -o runs/bnn --set epochs=20
      onebit zoo train binary_net_mlp_mnist_5k -o runs/bnn --set epochs=30 --extend hold
    """
    from zoo.recipes import resolve_recipe
    from zoo.runs.run import load_card
    from zoo.training.run_folder import is_finished

    line = shlex.join(
        train_command(
            recipe,
            output,
            settings,
            seed=seed,
            smoke=smoke,
            data=data,
            strategy=strategy,
            extend=extend,
        )
    )
    if restart and extend:
        raise UsageError("--restart and --extend contradict each other")
    with working():
        resolved = resolve_recipe(recipe, dict(settings), seed=seed, smoke=smoke)
    if not restart and is_finished(output, resolved):
        card = load_card(output)
        click.echo(f"{output} is finished: {accuracy_line(card)}; --restart trains again")
        return
    run = _train(
        resolved, output, line, data=data, restart=restart, strategy=strategy, extend=extend
    )
    click.echo(f"{output}: {accuracy_line(run.card)}")


def _train(recipe: "Recipe", output: Path, line: str, **options: Any) -> "Run":
    """Trains, and says how to resume if it is interrupted.

    Args:
        recipe: What to train.
        output: The run folder.
        line: The command that resumes the training.
        options: Those of `zoo.train`.
    """
    with working():
        from zoo.training.distribution import WorkerLostError
        from zoo.training.loop import train as train_recipe

    try:
        return train_recipe(recipe, output, command=line, **options)
    except WorkerLostError as error:
        # TensorFlow's cluster cannot be joined again within a process.
        click.echo(f"{error}\nrestarting to wait for it", err=True)
        again = [argument for argument in sys.orig_argv[1:] if argument != "--restart"]
        os.execv(sys.executable, [sys.executable, *again])  # noqa: S606
    except KeyboardInterrupt:
        click.echo(f"interrupted; resume with: {line}", err=True)
        click.get_current_context().exit(EXIT_CODE)


def accuracy_line(card: Mapping[str, Any]) -> str:
    """The accuracy on a card as a sentence's end."""
    recorded = card["accuracy"]
    return f"{recorded['value']:.2%} of {recorded['samples']:,} {recorded['split']} images correct"
