"""Where models run. Each kind of device is one file with the interface `Device`."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edge.results.row import Cluster, Host
from onebit.delegate import Delegate
from onebit.errors import OnebitError


class RunnerError(OnebitError):
    """The device or the runner on it gave no answer: it crashed, hung, or was cut off. One line."""


class InterruptedRunError(RunnerError):
    """`Device.interrupt` was called."""


@dataclass(frozen=True)
class Completed:
    """A command that ended: exit code (-9 for signal 9), output, end of the error output."""

    code: int
    output: bytes
    errors: str


class Device(Protocol):
    """A machine with a private temporary folder in which the runner (`edge/runner/`) can be run.

    Used as a context manager, so that it is cleaned up after a failure and on Ctrl-C too. `name` is
    what rows call it, without an address; `kind` is local, ssh or adb.
    """

    name: str
    kind: str

    def __enter__(self) -> "Device":
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

    def require(self) -> None:
        """Checks that the runner can work there.

        Raises:
            RunnerError: Something is missing; the message says how to install it.
        """
        ...

    def offers(self) -> frozenset[str]:
        """The runtimes that are there, by the names of `edge.bench.backends`."""
        ...

    def delegate(self) -> Delegate:
        """The delegate's library for this machine, still on the host."""
        ...

    def inspect(self) -> dict[str, Any]:
        """What `edge doctor` wants to know beyond the host (`edge/runner/inspection.py`)."""
        ...

    def put(self, path: str | os.PathLike[str]) -> str:
        """Makes a local file available; returns its path there."""
        ...

    def run(self, request: Mapping[str, Any], timeout_seconds: float) -> dict[str, Any]:
        """The runner's answer to `request`, which may be that it failed.

        Raises:
            RunnerError: There is no such answer.
        """
        ...

    def execute(self, command: Sequence[str], timeout_seconds: float, text: str = "") -> Completed:
        """Runs a command in the temporary folder."""
        ...

    def get(self, name: str) -> Path:
        """A local copy of the file `name` that the runner wrote to the temporary folder."""
        ...

    def interrupt(self) -> None:
        """Ends what runs, from another thread."""
        ...

    def clean_up(self) -> None:
        """Removes the temporary folder and what runs in it."""
        ...


def host_from_probe(name: str, kind: str, answer: Mapping[str, Any]) -> Host:
    """The host that a runner's `probe` describes; what it tells beyond `Host` is left out."""
    names = {field.name for field in dataclasses.fields(Host)} - {"device", "kind"}
    known = {key: value for key, value in answer.items() if key in names}
    known["isa"] = tuple(known.get("isa", ()))
    known["clusters"] = tuple(
        Cluster(**(group | {"cpus": tuple(group["cpus"])})) for group in known.get("clusters", ())
    )
    return Host(device=name, kind=kind, **known)


__all__ = ["Completed", "Device", "InterruptedRunError", "RunnerError", "host_from_probe"]
