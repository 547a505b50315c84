"""The devices that are asked for: addresses on the command line, or a `fleet.toml`.

[[device]]
name = "pi4"                      # its name in rows; the host or serial number when absent
address = "ssh://pi@raspberrypi"  # or adb:SERIAL, or local
threads = [1, 4]                  # instead of --threads
affinity = "big"                  # instead of --affinity
python = "/opt/python/bin/python3"
options = ["ProxyJump=gate"]      # ssh: settings of its config; with a tool: further flags

[[device]]
address = "adb:R58M12ABCDE"
tool = "android_aarch64_benchmark_model"  # a local path, beside this file if it is relative

Unknown keys are refused, and so are passwords: ssh uses your keys.
"""

import dataclasses
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from edge.devices import ProgramDevice, PythonDevice
from edge.devices.adb import AdbDevice, parse_serial
from edge.devices.adb_shell import AdbShellDevice
from edge.devices.local import LocalDevice
from edge.devices.ssh import SshDevice, SshTarget
from edge.runner.cores import AFFINITY, MAX_THREADS
from onebit.errors import UsageError, near_matches, unreadable
from onebit.secrets import holds_password, without_passwords

if sys.version_info >= (3, 11):
    import tomllib
else:  # the same library, which Python has taken over since
    import tomli as tomllib

LOCAL = "local"
FORMS = "local, ssh://user@host:port or adb:SERIAL"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One device that is asked for.

    Attributes:
        name: Its name in rows; unique.
        address: `local`, `ssh://user@host:port` or `adb:SERIAL`.
        threads: Numbers of threads; the command's when empty.
        affinity: `big`, `little`, or cores such as `0,2`; the command's when None.
        tool: A local program to measure with in place of the runner, such as `benchmark_model`.
        python: The device's Python.
        options: Of ssh, or flags of the tool.
    """

    name: str
    address: str
    threads: tuple[int, ...] = ()
    affinity: str | None = None
    tool: Path | None = None
    python: str | None = None
    options: tuple[str, ...] = ()

    def python_device(self) -> PythonDevice:
        """The device with its Python, not connected yet.

        Raises:
            UsageError: The address or an option is malformed.
        """
        options = self.options if self.tool is None else ()
        if self.address == LOCAL or self.address.startswith("adb:"):
            if options:
                kind = self.address.partition(":")[0]
                raise UsageError(f"{self.name} has options, but {kind} takes none without a tool")
            if self.address == LOCAL:
                return LocalDevice(python=self.python, name=self.name)
            return AdbDevice(self.address, self.name, self.python)
        return SshDevice(self.address, self.name, self.python, options)

    def program_device(self) -> ProgramDevice:
        """The device as a place for programs, not connected yet; adb's needs no Python then.

        Raises:
            UsageError: The address is malformed.
        """
        if self.address.startswith("adb:"):
            return AdbShellDevice(self.address, self.name)
        return self.python_device()

    def device(self) -> ProgramDevice:
        """`program_device` where a tool measures, else `python_device`."""
        return self.python_device() if self.tool is None else self.program_device()


def parse_address(address: str) -> str:
    """The name that an address gives its device.

    Raises:
        UsageError: It is of no known form, or holds what ssh or adb would take for an option.
    """
    if address == LOCAL:
        return LOCAL
    if address.startswith("ssh://"):
        return SshTarget.parse(address).host
    if address.startswith("adb:"):
        return parse_serial(address)
    if address.startswith(("mcu:", "serial:")):
        raise UsageError(
            f"{address} is a microcontroller, which takes exported networks only",
            hint="see `onebit edge bench --help`",
        )
    raise UsageError(f"{without_passwords(address)!r} is not a device", hint=f"write {FORMS}")


def entries_of(addresses: Sequence[str], tool: Path | None, fleet: Path | None) -> list[Entry]:
    """The devices of the command line and of a fleet's file; this machine when there are none.

    Args:
        addresses: Each `--device`.
        tool: `--tool`, for the devices of the command line.
        fleet: A TOML file.

    Raises:
        UsageError: An address or the file is malformed, or two devices have one name.
    """
    entries = [Entry(parse_address(a), a, tool=tool) for a in addresses]
    names = [entry.name for entry in entries]
    # Two ports of one host, or two users: the whole address distinguishes them.
    entries = [
        dataclasses.replace(e, name=e.address.removeprefix("ssh://"))
        if names.count(e.name) > 1
        else e
        for e in entries
    ]
    if fleet is not None:
        entries += read_fleet(fleet)
    elif not entries:
        entries = [Entry(LOCAL, LOCAL, tool=tool)]
    seen: set[str] = set()
    for entry in entries:
        if entry.name in seen:
            if addresses.count(entry.address) > 1:
                raise UsageError(f"--device {entry.address} is given twice")
            raise UsageError(
                f"two devices are called {entry.name!r}", hint="name each in a fleet file"
            )
        seen.add(entry.name)
        entry.device()
        if entry.tool is not None and not entry.tool.is_file():
            raise UsageError(f"the tool {entry.tool} does not exist")
    return entries


def read_fleet(path: Path) -> list[Entry]:
    """The devices of a `fleet.toml`.

    Raises:
        UsageError: The file is missing or malformed; the message names the device and the key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(unreadable(path, error)) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a text in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    _known(str(path), content, ["device"])
    tables = content.get("device")
    if not isinstance(tables, list) or not tables:
        raise UsageError(f"{path} has no [[device]]")
    return [_entry(path, number, table) for number, table in enumerate(tables, start=1)]


def _entry(path: Path, number: int, table: Any) -> Entry:
    where = f"{path}, device {number}"
    if not isinstance(table, dict):
        raise UsageError(f"{where} is not a table", hint="write [[device]]")
    _known(where, table, [field.name for field in dataclasses.fields(Entry)])

    def text(key: str) -> str | None:
        value = table.get(key)
        if value is not None and (not isinstance(value, str) or not value):
            raise UsageError(f"{where}: {key} must be a non-empty string")
        return value

    address = text("address")
    if address is None:
        raise UsageError(f"{where} has no address", hint=f"write {FORMS}")
    threads = table.get("threads", [])
    threads = threads if isinstance(threads, list) else [threads]
    if any(type(count) is not int or not 1 <= count <= MAX_THREADS for count in threads):
        raise UsageError(f"{where}: threads must be whole numbers from 1 to {MAX_THREADS}")
    affinity = text("affinity")
    if affinity is not None and not re.fullmatch(AFFINITY, affinity):
        raise UsageError(f"{where}: affinity {affinity!r} must be big, little or cores such as 0,2")
    options = table.get("options", [])
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise UsageError(f"{where}: options must be a list of strings")
    tool = text("tool")
    if any(holds_password(str(value)) for value in (table.get("name"), *options)):
        raise UsageError(f"{where} holds a password", hint="let ssh use a key instead")
    return Entry(
        name=text("name") or parse_address(address),
        address=address,
        threads=tuple(threads),
        affinity=affinity,
        tool=None if tool is None else path.parent / tool,
        python=text("python"),
        options=tuple(options),
    )


def _known(where: str, table: Iterable[str], names: Sequence[str]) -> None:
    for key in table:
        if key not in names:
            raise UsageError(f"{where}: unknown key {key!r}", hint=near_matches(key, names))
