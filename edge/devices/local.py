"""This machine as a device: the same agent and runner, in processes of their own."""

import sys
from collections.abc import Sequence
from pathlib import Path

from edge.devices import RunnerError
from edge.devices.channel import BOOTSTRAP
from edge.devices.remote import AgentDevice, PathLike
from onebit.delegate import HINT, Delegate, find_delegate


class LocalDevice(AgentDevice):
    """Runs the runner here."""

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
            name: What rows call the device.
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
        """The file's absolute path: the runner reads it where it lies."""
        return str(Path(path).resolve())

    def get(self, name: str) -> Path:
        """The file where it lies.

        Raises:
            RunnerError: There is none.
        """
        path = Path(self.facts["folder"]) / Path(name).name
        if not path.is_file():
            raise RunnerError(f"the runner wrote no {name}")
        return path

    def delegate(self) -> Delegate:
        """The library that is installed or was built here.

        Raises:
            RunnerError: There is none.
        """
        delegate = find_delegate()
        if delegate is None:
            raise RunnerError("the delegate is not there", hint=HINT)
        return delegate
