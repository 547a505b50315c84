"""The options that name devices, which several commands share."""

from dataclasses import dataclass
from pathlib import Path

import click

from edge.devices.fleet_file import FORMS, Entry, entries_of
from onebit.cli import options


@dataclass(frozen=True)
class DeviceChoice:
    """The devices that are asked for."""

    addresses: tuple[str, ...]
    fleet: Path | None
    tool: Path | None

    def entries(self) -> list[Entry]:
        """The devices; this machine when there are none.

        Raises:
            UsageError: An address or the fleet's file is malformed.
        """
        return entries_of(self.addresses, self.tool, self.fleet)


device_options = options(
    click.option(
        "--device",
        "addresses",
        multiple=True,
        metavar="DEVICE",
        help=f"{FORMS}; may be repeated. Default: local.",
    ),
    click.option(
        "--fleet",
        type=click.Path(path_type=Path),
        metavar="FLEET.toml",
        help="Also use the devices that this file lists.",
    ),
    click.option(
        "--tool",
        type=click.Path(path_type=Path),
        metavar="PROGRAM",
        help="Measure each --device with this program, benchmark_model or lce_benchmark_model, "
        "built for its processor; for devices without Python.",
    ),
)
"""`--device`, `--fleet` and `--tool`, which `DeviceChoice` takes."""
