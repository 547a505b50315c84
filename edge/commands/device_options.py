"""The options that name devices, which several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from edge.devices.fleet_file import FORMS


def device_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--device`, `--fleet` and `--tool` to a command."""
    for option in (
        click.option(
            "--tool",
            type=click.Path(path_type=Path),
            metavar="PROGRAM",
            help="Measure each --device with this program, benchmark_model or lce_benchmark_model, "
            "built for its processor, where there is no Python.",
        ),
        click.option(
            "--fleet",
            type=click.Path(path_type=Path),
            metavar="FLEET.toml",
            help="Also the devices that this file lists.",
        ),
        click.option(
            "--device",
            "addresses",
            multiple=True,
            metavar="DEVICE",
            help=f"{FORMS}; may be repeated. Default: local.",
        ),
    ):
        command = option(command)
    return command
