"""Options of the commands that train, and the command line of one training."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from onebit.imports import arguments

Command = TypeVar("Command", bound=Callable[..., Any])


def read_settings(
    context: click.Context, option: click.Parameter, pairs: tuple[str, ...]
) -> list[tuple[str, str]]:
    """`key=value` texts in parts, in their order."""
    for pair in pairs:
        key, separator, _ = pair.partition("=")
        if not separator or not key:
            raise click.BadParameter(f"{pair!r} is not of the form key=value")
    return [(key, value) for key, _, value in (pair.partition("=") for pair in pairs)]


def settings_option(help_: str, metavar: str = "KEY=VALUE") -> Callable[[Command], Command]:
    """The repeatable option `--set`, as pairs in `settings`."""
    return click.option(
        "--set", "settings", multiple=True, metavar=metavar, callback=read_settings, help=help_
    )


def train_command(
    recipe: str,
    output: Path,
    settings: Iterable[tuple[str, str]],
    *,
    seed: int | None,
    smoke: bool,
    data: Path | None,
    strategy: str,
    extend: str | None = None,
) -> list[str]:
    """The command line that begins, resumes or extends a training."""
    command = ["onebit", "zoo", "train", recipe, "-o", str(output)]
    for key, value in settings:
        command += ["--set", f"{key}={value}"]
    command += ["--seed", str(seed)] if seed is not None else []
    command += ["--smoke"] if smoke else []
    command += ["--extend", extend] if extend is not None else []
    command += arguments()
    command += ["--data", str(data)] if data is not None else []
    return command + (["--strategy", strategy] if strategy != "auto" else [])


smoke_option = click.option("--smoke", is_flag=True, help="Train a small model on a few images.")
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The folder of data sets.  [default: $ONEBIT_DATA or ~/.onebit/data]",
)
strategy_option = click.option(
    "--strategy",
    type=click.Choice(["auto", "mirrored", "multi-worker"]),
    default="auto",
    show_default=True,
    help="All devices of this machine, or the workers that TF_CONFIG lists.",
)
