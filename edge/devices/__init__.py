"""Where models run. Each kind of device is one file with the interface `Device`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from edge.rows import Host


class RunnerError(Exception):
    """The runner gave no answer: it crashed, hung or printed something else. One line."""


class Device(Protocol):
    """A machine with a private temporary folder in which `edge/runner.py` can be run.

    Used as a context manager, so that it is cleaned up after a failure and on Ctrl-C too.
    """

    name: str

    def __enter__(self) -> "Device":
        """Makes the temporary folder."""
        ...

    def __exit__(self, *exception: object) -> None:
        """Calls `clean_up`."""
        ...

    def probe(self) -> Host:
        """Describes the machine."""
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

    def get(self, name: str) -> Path:
        """A local copy of the file `name` that the runner wrote to the temporary folder."""
        ...

    def clean_up(self) -> None:
        """Removes the temporary folder and what runs in it."""
        ...


__all__ = ["Device", "RunnerError"]
