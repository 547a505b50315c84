"""`edge devices` and `edge doctor`: devices that can be measured on, and checks of them."""

import dataclasses
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from edge.boards.catalogue import PREFIX as MCU
from edge.boards.catalogue import find_board
from edge.boards.doctor import examine_board, examine_boards, examine_serial_board
from edge.boards.serial_board import PREFIX as SERIAL
from edge.boards.serial_board import parse_serial_board
from edge.commands.device_options import DeviceChoice, device_options
from edge.devices import NO_PYTHON, RunnerError
from edge.devices.adb import adb
from edge.devices.doctor import ERROR, WARNING, Check, examine, examine_software
from edge.devices.fleet_file import LOCAL, Entry, entries_of
from edge.emulation.fleet import BOARDS, FLEET_HEAD, emulated, fleet_text
from onebit.cli import emit, format_option, grouped
from onebit.console import say, stderr_console
from onebit.errors import OnebitError, UsageError
from onebit.files import require_writable, write_text
from onebit.interrupts import as_by_ctrl_c

DEVICE_COLUMNS = {
    "device": "device",
    "address": "address",
    "state": "state",
    "processor": "processor",
    "runtimes": "runtimes",
}
DOCTOR_COLUMNS = {"check": "check", "state": "state", "result": "result", "fix": "fix"}
REACHABLE, UNREACHABLE = "reachable", "not reachable"
POLL_SECONDS = 0.2


@click.command()
@device_options
@click.option(
    "--emulate",
    "emulate",
    multiple=True,
    type=click.Choice(list(BOARDS)),
    help="Bring an emulated board up instead, until Ctrl-C, and write a file with which commands "
    "in other terminals reach it; repeatable. Its times say nothing about a real device.",
)
@click.option(
    "--bare", is_flag=True, help="With --emulate: without runtimes, to try `bench --install`."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FLEET.toml",
    help="With --emulate: the file to write.  [default: emulated.toml]",
)
@format_option()
@grouped("choice", DeviceChoice)
def devices(
    choice: DeviceChoice,
    emulate: tuple[str, ...],
    bare: bool,
    output: Path | None,
    format_: str,
) -> None:
    """List the devices that can be measured on: this machine, adb's, and those asked for.

    Exits with 1 if one that was asked for cannot be reached.

    \b
    Example:
      onebit edge devices --device ssh://pi@raspberrypi --fleet fleet.toml
      onebit edge devices --emulate pi --emulate phone
    """
    if emulate:
        if choice != DeviceChoice((), None, None):
            raise UsageError("--emulate goes without --device, --fleet and --tool")
        _emulate(list(dict.fromkeys(emulate)), bare, output or Path("emulated.toml"))
        return
    if bare or output is not None:
        raise UsageError(f"{'--bare' if bare else '--output'} needs --emulate")
    asked = choice.entries()
    entries = list({entry.name: entry for entry in [Entry(LOCAL, LOCAL), *asked]}.values())
    known = {entry.address for entry in entries}
    entries += [entry for entry in _attached() if entry.address not in known]
    records = _look_at_all(entries)
    emit(records, format_, columns=DEVICE_COLUMNS)
    if format_ == "table":
        for record in records:
            if record["reason"] is not None:
                click.echo(f"{record['device']}: {record['reason']}")
    wanted = {entry.name for entry in asked}
    missing = [
        record["device"]
        for record in records
        if record["state"] != REACHABLE and record["device"] in wanted
    ]
    if missing:
        raise OnebitError(f"cannot reach {', '.join(missing)}")


def _emulate(names: Sequence[str], bare: bool, output: Path) -> None:
    """Keeps emulated boards up until Ctrl-C, or until the process is asked to end."""
    if output.exists() and not output.read_text(errors="replace").startswith(FLEET_HEAD):
        raise OnebitError(
            f"{output} exists, and --emulate did not write it", hint="give another path after -o"
        )
    require_writable(output)
    with (
        as_by_ctrl_c(signal.SIGTERM),  # which ends what runs in the background
        stderr_console.status("starting") as status,
        emulated(names, not bare, status.update) as boards,
    ):
        write_text(output, fleet_text(names))
        status.stop()
        for name in names:
            say(f"{name} is up: {BOARDS[name].summary}, emulated, so that its times mean nothing")
        say(f"{output} has its address; in another terminal, for example:")
        say(f"  onebit edge devices --fleet {output}")
        install = " --install" if bare else ""
        say(f"  onebit edge bench MODEL.tflite --mode quick --fleet {output}{install}")
        say("Ctrl-C ends it")
        try:
            while all(board.is_up for board in boards):
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            return
        ended = [name for name, board in zip(names, boards, strict=True) if not board.is_up]
        raise OnebitError(f"{', '.join(ended)} ended by itself")


def _attached() -> list[Entry]:
    """The devices that adb knows; none without adb."""
    try:
        lines = adb("devices").stdout.splitlines()[1:]
    except RunnerError as error:
        say(f"note: {error}")
        return []
    serials = [line.split()[0] for line in lines if line.strip()]
    return [Entry(serial, f"adb:{serial}") for serial in serials]


def _look_at_all(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """A record of each device, in order; Ctrl-C ends the looks, which run in parallel."""
    looks = [_Look(entry) for entry in entries]
    try:
        for look in looks:
            look.thread.start()
        while any(look.thread.is_alive() for look in looks):
            for look in looks:
                look.thread.join(POLL_SECONDS)
    except KeyboardInterrupt:
        for look in looks:
            look.device.interrupt()
        for look in looks:
            look.thread.join()
        raise
    return [look.record for look in looks]


class _Look:
    """A look at one device in a thread; `record` is complete when it ends."""

    def __init__(self, entry: Entry) -> None:
        self._python = entry.python_device() if entry.tool is None else None
        self.device = self._python or entry.program_device()
        self.record: dict[str, Any] = dict.fromkeys([*DEVICE_COLUMNS, "reason"])
        self.record |= {"device": entry.name, "address": entry.address, "state": UNREACHABLE}
        self.thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        try:
            with self.device:
                self.record["state"] = REACHABLE
                if self._python is not None:
                    self._python.require()
                    runtimes = sorted(self._python.offers().runtimes)
                    self.record["runtimes"] = ", ".join(runtimes) or None
                self.record["processor"] = self.device.probe().cpu
        except OnebitError as error:
            self.record["reason"] = str(error)
            if error.reason == NO_PYTHON:
                self.record["state"] = REACHABLE


@click.command()
@click.argument("address", metavar="DEVICE")
@click.option(
    "--fleet", type=click.Path(path_type=Path), metavar="FLEET.toml",
    help="DEVICE may be a name in this file.",
)  # fmt: skip
@format_option()
def doctor(address: str, fleet: Path | None, format_: str) -> None:
    """Check a device for what would make measurements invalid, and say how to fix it.

    It changes nothing there and builds nothing. Exits with 1 if a check fails. `mcu:` lists what
    each emulated microcontroller needs; `serial:` asks a real one.

    \b
    Example:
      onebit edge doctor ssh://pi@raspberrypi
      onebit edge doctor mcu:
      onebit edge doctor mcu:mps2-an500
      onebit edge doctor serial:/dev/ttyACM0
    """
    if address == MCU:
        name, checks = "these boards", list(examine_boards())
    elif address.startswith(MCU):
        name, checks = address, list(examine_board(find_board(address)))
    elif address.startswith(SERIAL):
        name, checks = address, list(examine_serial_board(parse_serial_board(address)))
    else:
        named = {entry.name: entry for entry in entries_of((), None, fleet)} if fleet else {}
        (entry,) = [named[address]] if address in named else entries_of((address,), None, None)
        name, checks = entry.name, _examined(entry)
    emit([dataclasses.asdict(check) for check in checks], format_, columns=DOCTOR_COLUMNS)
    errors = [check.check for check in checks if check.state == ERROR]
    if errors:
        raise OnebitError(f"measurements on {name} would be invalid: {', '.join(errors)}")


def _examined(entry: Entry) -> list[Check]:
    """All checks of a device; on Android without Python, those that its shell can answer."""
    if entry.tool is None:
        try:
            with entry.python_device() as device:
                return [*examine_software(device), *examine(device)]
        except RunnerError as error:
            if error.reason != NO_PYTHON or not entry.address.startswith("adb:"):
                raise
            software = [Check("runtime", WARNING, error.message, error.hint)]
    else:
        software = []
    with entry.program_device() as shell:
        return [*software, *examine(shell)]
