"""This machine as a device: the same agent and runner, in separate processes."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.devices import Offer, RunnerError, agent
from edge.devices.channel import BOOTSTRAP
from edge.devices.remote import RUNTIME_PACKAGES, AgentDevice, PathLike
from onebit.delegate import HINT, Delegate, find_delegate


def local_offer() -> Offer:
    """The backends of this Python, without starting a process."""
    runtimes = frozenset(
        runtime
        for runtime, packages in RUNTIME_PACKAGES.items()
        if any(agent.version(package, agent.RUNTIMES[package]) for package in packages)
    )
    return Offer(runtimes, delegate=find_delegate() is not None)


class LocalDevice(AgentDevice):
    """This machine."""

    kind = "local"

    def __init__(
        self,
        command: Sequence[str] | None = None,
        name: str = "local",
        python: str | None = None,
    ) -> None:
        """Nothing starts before the device is entered.

        Args:
            command: Runs in place of the runner.
            name: The device's name in rows.
            python: Another Python than this one.
        """
        super().__init__(name)
        self._python = python or sys.executable
        self._command = None if command is None else list(command)

    def agent_command(self) -> list[str]:
        """This Python, with the agent."""
        return [self._python, "-c", BOOTSTRAP]

    def runner_command(self) -> list[str]:
        """The given command, or the runner."""
        return super().runner_command() if self._command is None else self._command

    def put(self, path: PathLike) -> str:
        """The file's absolute path: the runner reads it in place."""
        return str(Path(path).resolve())

    def get(self, name: str) -> Path:
        """The file's path in the temporary folder.

        Raises:
            RunnerError: There is none.
        """
        path = Path(self.facts["folder"]) / Path(name).name
        if not path.is_file():
            raise RunnerError(f"the runner wrote no {name}")
        return path

    def offers(self) -> Offer:
        """The runtimes for which this Python has a package, and the delegate if it is there."""
        return dataclasses.replace(super().offers(), delegate=find_delegate() is not None)

    def delegate(self, build: bool = True) -> Delegate:
        """The library that is installed or was built here; it is never built now.

        Raises:
            RunnerError: There is none.
        """
        delegate = find_delegate()
        if delegate is None:
            raise RunnerError("the delegate is not there", hint=HINT)
        return delegate
