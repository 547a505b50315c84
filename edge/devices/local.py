"""This machine as a device: the runner in a process of its own."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.devices import RunnerError, host_from_probe
from edge.rows import Host
from edge.runner_archive import write_runner

PROBE_SECONDS = 60
MAX_QUOTED = 200


class LocalDevice:
    """Runs the runner here, with this Python unless another command is given."""

    name = kind = "local"

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = None if command is None else list(command)
        self._folder: Path | None = None

    def __enter__(self) -> "LocalDevice":
        self._folder = Path(tempfile.mkdtemp(prefix="onebit-edge-"))
        if self._command is None:
            self._command = [sys.executable, str(write_runner(self._folder))]
        return self

    def __exit__(self, *exception: object) -> None:
        self.clean_up()

    def probe(self) -> Host:
        """Describes this machine; what the runner knows beyond `Host` is left out.

        Raises:
            RunnerError: The runner failed.
        """
        answer = self.run({"action": "probe"}, PROBE_SECONDS)
        if answer["status"] != "ok":
            raise RunnerError(answer.get("reason", "the probe failed"))
        return host_from_probe(self.name, self.kind, answer)

    def put(self, path: str | os.PathLike[str]) -> str:
        """The file's absolute path: the runner reads it where it lies."""
        return str(Path(path).resolve())

    def run(self, request: Mapping[str, Any], timeout_seconds: float) -> dict[str, Any]:
        """The runner's answer; paths in the request are relative to the temporary folder.

        Raises:
            RunnerError: It was killed by a signal, took longer than `timeout_seconds` or printed
                something other than one JSON document.
        """
        if self._command is None:
            raise RuntimeError("a LocalDevice is used outside its with block")
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self._folder,
            start_new_session=True,  # so that a time limit also ends what it started
        )
        try:
            stdout, stderr = process.communicate(json.dumps(request).encode(), timeout_seconds)
        except subprocess.TimeoutExpired:
            raise RunnerError(f"no result within the time limit of {timeout_seconds:g} s") from None
        finally:
            _end(process)
        return _answer(process.returncode, stdout, stderr)

    def get(self, name: str) -> Path:
        """The path of a file in the temporary folder."""
        if self._folder is None:
            raise RuntimeError("a LocalDevice is used outside its with block")
        return self._folder / name

    def clean_up(self) -> None:
        """Removes the temporary folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kills the process group, also when the harness itself is interrupted."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _answer(exit_code: int, stdout: bytes, stderr: bytes) -> dict[str, Any]:
    """The one JSON document on standard output.

    Raises:
        RunnerError: There is none, or the process died of a signal.
    """
    if exit_code < 0:
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = f"signal {-exit_code}"
        raise RunnerError(f"the runner was killed by {name}{_last_words(stderr)}")
    try:
        document = json.loads(stdout)
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("status") not in ("ok", "failed"):
        printed = stdout.decode(errors="replace").strip()[:MAX_QUOTED]
        raise RunnerError(
            f"the runner ended with code {exit_code} and printed {printed!r} instead of a result"
            + _last_words(stderr)
        )
    return document


def _last_words(stderr: bytes) -> str:
    """The last line of standard error, to follow a reason."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines()]
    last = next((line for line in reversed(lines) if line), "")
    return f": {last[:MAX_QUOTED]}" if last else ""
