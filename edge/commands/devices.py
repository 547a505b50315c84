"""`edge devices` and `edge doctor`: what can be measured on, and what would spoil it."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from edge.commands.device_options import device_options
from edge.devices import RunnerError
from edge.devices.adb import TOOL_HINT, adb
from edge.devices.adb_shell import AdbShellDevice
from edge.devices.doctor import SPOILS, examine
from edge.devices.fleet_file import LOCAL, Entry, entries_of
from onebit.cli import emit, format_option, say
from onebit.errors import OnebitError

DEVICE_COLUMNS = {
    "device": "device",
    "address": "address",
    "state": "state",
    "processor": "processor",
    "runtimes": "runtimes",
    "reason": "reason",
}
DOCTOR_COLUMNS = {"check": "check", "state": "state", "found": "found", "mend": "how to mend it"}


@click.command()
@device_options
@format_option()
def devices(
    addresses: tuple[str, ...], fleet: Path | None, tool: Path | None, format_: str
) -> None:
    """Lists what can be measured on: this machine, adb's devices, and those that are asked for.

    Exits with 1 if one that was asked for cannot be reached.

    \b
    Example:
      python -m edge devices --device ssh://pi@raspberrypi --fleet fleet.toml
    """
    asked = entries_of(addresses, tool, fleet)
    entries = list({entry.name: entry for entry in [Entry(LOCAL, LOCAL), *asked]}.values())
    known = {entry.address for entry in entries}
    entries += [entry for entry in _attached() if entry.address not in known]
    with ThreadPoolExecutor(max_workers=len(entries)) as pool:
        records = list(pool.map(_look, entries))
    emit(records, format_, columns=DEVICE_COLUMNS)
    wanted = {entry.name for entry in asked}
    if any(record["state"] != "reachable" and record["device"] in wanted for record in records):
        raise SystemExit(1)


def _attached() -> list[Entry]:
    """The devices that adb knows; none without adb."""
    try:
        lines = adb("devices").stdout.splitlines()[1:]
    except RunnerError as error:
        say(f"note: {error}")
        return []
    serials = [line.split()[0] for line in lines if line.strip()]
    return [Entry(serial, f"adb:{serial}") for serial in serials]


def _look(entry: Entry) -> dict[str, Any]:
    record: dict[str, Any] = dict.fromkeys(DEVICE_COLUMNS)
    record |= {"device": entry.name, "address": entry.address, "state": "not reachable"}
    try:
        with entry.device() as device:
            record["state"] = "reachable"
            if entry.tool is None:
                device.require()
            record["runtimes"] = ", ".join(sorted(device.offers())) or None
            record["processor"] = device.probe().cpu
    except OnebitError as error:
        record["reason"] = str(error)
        if record["state"] != "reachable" and TOOL_HINT in str(error):
            record["state"] = "reachable"
    return record


@click.command()
@click.argument("address", metavar="DEVICE")
@click.option(
    "--fleet", type=click.Path(path_type=Path), metavar="FLEET.toml",
    help="DEVICE may be a name in this file.",
)  # fmt: skip
@format_option()
def doctor(address: str, fleet: Path | None, format_: str) -> None:
    """Says what would spoil a measurement on a device, and how to mend it.

    Exits with 1 if something would.

    \b
    Example:
      python -m edge doctor ssh://pi@raspberrypi
    """
    named = {entry.name: entry for entry in entries_of((), None, fleet)} if fleet else {}
    (entry,) = [named[address]] if address in named else entries_of((address,), None, None)
    try:
        with entry.device() as device:
            findings = list(examine(device))
    except RunnerError as error:
        if not entry.address.startswith("adb:") or TOOL_HINT not in str(error):
            raise
        with AdbShellDevice(entry.address, entry.name) as shell:
            findings = list(examine(shell))
    records = [dataclasses.asdict(finding) for finding in findings]
    emit(records, format_, columns=DOCTOR_COLUMNS)
    if any(finding.state == SPOILS for finding in findings):
        raise SystemExit(1)
