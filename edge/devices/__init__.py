"""Where models run. Each kind of device is one file; the protocols below are what they offer."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edge.results.row import Cluster, Host
from onebit.delegate import Delegate
from onebit.errors import OnebitError

NO_PYTHON = "no-python"
"""The reason code of a device that has no Python, or not the one that was asked for."""


class RunnerError(OnebitError):
    """The device or the runner on it gave no answer: it crashed, hung, or was cut off. One line."""


class InterruptedRunError(RunnerError):
    """`ProgramDevice.interrupt` was called."""


@dataclass(frozen=True)
class Completed:
    """A command that ended: exit code (-9 for signal 9), output, end of the error output."""

    code: int
    output: bytes
    errors: str


@dataclass(frozen=True)
class Offer:
    """Backends that a device can run: its runtimes, and whether it can have the delegate."""

    runtimes: frozenset[str]
    delegate: bool


class ProgramDevice(Protocol):
    """A machine with a private temporary folder, to which files are sent and where commands run.

    Used as a context manager, so that it is cleaned up after a failure and on Ctrl-C too. `name` is
    what rows call it, without an address; `kind` is local, ssh or adb.
    """

    name: str
    kind: str

    def __enter__(self) -> "ProgramDevice":
        """Connects, and makes the temporary folder.

        Raises:
            RunnerError: The device cannot be reached.
        """
        ...

    def __exit__(self, *exception: object) -> None:
        """Calls `clean_up`."""
        ...

    def probe(self) -> Host:
        """Describes the machine."""
        ...

    def inspect(self) -> dict[str, Any]:
        """Facts for `edge doctor` beyond the host (`edge/runner/inspection.py`)."""
        ...

    def delegate(self, build: bool = True) -> Delegate:
        """The delegate's library for this machine, still on the host.

        Args:
            build: Whether it may be built now where there is none.

        Raises:
            OnebitError: There is none.
        """
        ...

    def put(self, path: str | os.PathLike[str]) -> str:
        """Makes a local file available; returns its path there."""
        ...

    def execute(self, command: Sequence[str], timeout_seconds: float, text: str = "") -> Completed:
        """Runs a command in the temporary folder."""
        ...

    def interrupt(self) -> None:
        """Ends what runs, from another thread."""
        ...

    def clean_up(self) -> None:
        """Removes the temporary folder and what runs in it."""
        ...


class PythonDevice(ProgramDevice, Protocol):
    """A device with Python, on which the runner (`edge/runner/`) works too."""

    def __enter__(self) -> "PythonDevice":
        """As in `ProgramDevice`."""
        ...

    def require(self) -> None:
        """Checks that the runner can work there.

        Raises:
            RunnerError: Something is missing; the hint says how to install it.
        """
        ...

    def install(self) -> None:
        """Installs what the runner lacks there.

        Raises:
            RunnerError: Something is missing that cannot be installed.
        """
        ...

    def offers(self) -> Offer:
        """The runtimes that are there, by the names of `edge.bench.backends`."""
        ...

    def run(self, request: Mapping[str, Any], timeout_seconds: float) -> dict[str, Any]:
        """The runner's answer to `request`, which may be that it failed.

        Raises:
            RunnerError: There is no such answer.
        """
        ...

    def get(self, name: str) -> Path:
        """A local copy of the file `name` that the runner wrote to the temporary folder."""
        ...


def host_from_probe(name: str, kind: str, answer: Mapping[str, Any]) -> Host:
    """The host that a runner's `probe` describes."""
    names = {field.name for field in dataclasses.fields(Host)} - {"device", "kind"}
    known = {key: value for key, value in answer.items() if key in names}
    known["isa"] = tuple(known.get("isa", ()))
    known["clusters"] = tuple(
        Cluster(**(group | {"cpus": tuple(group["cpus"])})) for group in known.get("clusters", ())
    )
    return Host(device=name, kind=kind, **known)


__all__ = [
    "NO_PYTHON",
    "Completed",
    "InterruptedRunError",
    "Offer",
    "ProgramDevice",
    "PythonDevice",
    "RunnerError",
    "host_from_probe",
]
