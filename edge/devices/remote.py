"""The base of devices with Python: the agent, files sent once, the runner's answers."""

import hashlib
import json
import os
import re
import signal
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.devices import Completed, Offer, RunnerError, host_from_probe
from edge.devices.channel import GRACE_SECONDS, Channel, ConnectionLostError, last_line
from edge.devices.delegate_builds import delegate_for, target_of
from edge.devices.runner_archive import FILE as RUNNER_FILE
from edge.devices.runner_archive import runner_archive
from edge.results.row import Host
from onebit.delegate import Delegate

PROBE_SECONDS = 60
MAX_QUOTED = 200

PathLike = str | os.PathLike[str]

RUNTIME_PACKAGES = {
    "litert": ("ai-edge-litert", "tflite-runtime", "tensorflow"),
    "lce": ("larq-compute-engine",),
}
"""The runner's runtimes, and the packages of which each needs one."""

OLDEST_PYTHON = (3, 8)


def runtime_packages(machine: str, bits: int) -> tuple[str, ...]:
    """The packages that pip installs on a device of this architecture for the runner.

    Only tflite-runtime has wheels for 32-bit ARM; it was built against NumPy 1.
    """
    if target_of(machine, bits) == "armv7":
        return ("tflite-runtime==2.14.0", "numpy<2")
    return ("ai-edge-litert", "numpy")


class AgentDevice:
    """A machine on which `edge/devices/agent.py` runs; subclasses say by which command.

    Where the connection is cut, the cell that ran fails and the next one connects again, once.
    """

    kind: str

    def __init__(self, name: str) -> None:
        self.name = name
        self._channel: Channel | None = None
        self._facts: dict[str, Any] | None = None
        self._sent: dict[str, str] = {}
        self._lost: str | None = None
        self._interrupted = threading.Event()
        self._received: tempfile.TemporaryDirectory[str] | None = None

    def agent_command(self) -> list[str]:
        """The command that runs the agent on the device."""
        raise NotImplementedError

    def explain(self, error: RunnerError) -> RunnerError:
        """The reason why the agent could not be started, with a hint where one is known."""
        return error

    def __enter__(self) -> "AgentDevice":
        try:
            self._connect()
        except BaseException:
            self.clean_up()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.clean_up()

    @property
    def facts(self) -> dict[str, Any]:
        """The agent's facts about the device."""
        if self._facts is None:
            raise RuntimeError(f"{self.name} is used outside its with block")
        return self._facts

    def offers(self) -> Offer:
        """The runtimes for which the device has a package; the delegate can be built for all."""
        installed = self.facts["runtimes"]
        runtimes = frozenset(
            runtime
            for runtime, packages in RUNTIME_PACKAGES.items()
            if any(package in installed for package in packages)
        )
        return Offer(runtimes, delegate=True)

    def delegate(self, build: bool = True) -> Delegate:
        """The delegate's library for this device, which `put` then takes there.

        Raises:
            OnebitError: There is none, and it may not or cannot be built.
        """
        facts = self.facts
        return delegate_for(facts["machine"], facts["bits"], facts["libc"], build)

    def probe(self) -> Host:
        """Describes the machine.

        Raises:
            RunnerError: The runner failed.
        """
        answer = self.run({"action": "probe"}, PROBE_SECONDS)
        if answer["status"] != "ok":
            raise RunnerError(answer.get("reason", "the probe failed"))
        return host_from_probe(self.name, self.kind, answer)

    def inspect(self) -> dict[str, Any]:
        """The answer of the runner's `inspect`.

        Raises:
            RunnerError: The runner failed.
        """
        answer = self.run({"action": "inspect"}, PROBE_SECONDS)
        if answer["status"] != "ok":
            raise RunnerError(answer.get("reason", "the inspection failed"))
        return answer

    def require(self) -> None:
        """Checks that Python is new enough, and that numpy and a runtime are there.

        Raises:
            RunnerError: Something is missing; the hint says how to install it.
        """
        facts = self.facts
        if tuple(int(part) for part in facts["python"].split(".")[:2]) < OLDEST_PYTHON:
            raise RunnerError(
                f"{self.name} has Python {facts['python']}", hint="the runner needs 3.8 or newer"
            )
        missing = [] if facts["numpy"] else ["numpy"]
        if not self.offers().runtimes:
            missing.append("runtime (ai-edge-litert or tflite-runtime)")
        if missing:
            raise RunnerError(
                f"{self.name} has no {' and no '.join(missing)}", hint=self.install_hint()
            )

    def install(self) -> None:
        """Checks that nothing is missing: only devices behind ssh get an environment.

        Raises:
            RunnerError: Something is missing.
        """
        self.require()

    def install_hint(self) -> str:
        """How the device gets what the runner needs."""
        packages = " ".join(runtime_packages(self.facts["machine"], self.facts["bits"]))
        return f"install it there with: {self.facts['executable']} -m pip install {packages}"

    def put(self, path: PathLike) -> str:
        """Sends a file, unless one with the same content was sent; returns its path there.

        Raises:
            RunnerError: It did not arrive; the disk may be full.
        """
        # The name is of our making, so that no character of the user's reaches the device.
        suffix = re.sub(r"[^.\w]", "", Path(path).suffix, flags=re.ASCII)
        return self._put_content(Path(path).read_bytes(), suffix, Path(path).name)

    def run(self, request: Mapping[str, Any], timeout_seconds: float) -> dict[str, Any]:
        """The runner's answer; paths in the request are relative to the temporary folder.

        Raises:
            RunnerError: It was killed by a signal, took longer than `timeout_seconds` or printed
                something other than one JSON document, or the connection was cut.
        """
        done = self.execute(self.runner_command(), timeout_seconds, json.dumps(request))
        return runner_answer(done)

    def runner_command(self) -> list[str]:
        """The command that runs the runner on the device."""
        archive = self._put_content(runner_archive(), ".pyz", RUNNER_FILE)
        return [self.facts["executable"], archive]

    def execute(self, command: Sequence[str], timeout_seconds: float, text: str = "") -> Completed:
        """Runs a command in the temporary folder, with `text` on its standard input.

        Raises:
            RunnerError: It took longer than `timeout_seconds`, or the connection was cut.
        """
        answer, output = self._call(
            {"op": "run", "argv": list(command), "input": text, "seconds": timeout_seconds},
            timeout_seconds=timeout_seconds + GRACE_SECONDS,
        )
        if answer.get("timeout"):
            raise RunnerError(f"no result within the time limit of {timeout_seconds:g} s")
        if answer.get("too_much"):
            raise RunnerError(f"{command[0]} printed without an end")
        return Completed(int(answer["code"]), output, str(answer.get("errors", "")))

    def get(self, name: str) -> Path:
        """A local copy of the file `name` that was written to the temporary folder.

        Raises:
            RunnerError: There is no such file, or the connection was cut.
        """
        _, content = self._call({"op": "get", "name": name})
        if self._received is None:
            self._received = tempfile.TemporaryDirectory(prefix="onebit-edge-")
        path = Path(self._received.name) / Path(name).name
        path.write_bytes(content)
        return path

    def reconnect(self) -> None:
        """Starts the agent again, for example with another Python.

        Raises:
            RunnerError: It cannot be started.
        """
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self._connect()

    def interrupt(self) -> None:
        """Has what runs raise, from another thread; the device is cleaned up by its own."""
        self._interrupted.set()
        channel = self._channel
        if channel is not None:
            channel.interrupt()

    def clean_up(self) -> None:
        """Hangs up: the agent kills what it started and removes its folder."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._received is not None:
            self._received.cleanup()
            self._received = None
        self._facts = None

    def _connect(self) -> None:
        channel = Channel(self.agent_command())
        self._channel, self._sent = channel, {}
        if self._interrupted.is_set():
            channel.interrupt()
        try:
            self._facts = channel.open()
        except RunnerError as error:
            channel.close()
            self._channel = None
            raise self.explain(error) from error

    def _call(
        self, request: Mapping[str, Any], payload: bytes = b"", timeout_seconds: float = 0.0
    ) -> tuple[dict[str, Any], bytes]:
        if self._facts is None:
            raise RuntimeError(f"{self.name} is used outside its with block")
        if self._lost is not None:
            raise ConnectionLostError(f"{self.name} was lost: {self._lost}")
        if self._channel is None:
            try:
                self._connect()
            except RunnerError as error:
                self._lost = str(error)
                raise
        assert self._channel is not None  # noqa: S101 - `_connect` sets it or raises
        try:
            return self._channel.call(request, payload, timeout_seconds)
        except ConnectionLostError:
            self._channel.close()
            self._channel = None
            raise

    def send(self, path: PathLike, name: str) -> str:
        """Sends a file under this name; returns its path there.

        Raises:
            RunnerError: It did not arrive; the disk may be full.
        """
        return self._send(Path(path).read_bytes(), name, Path(path).name)

    def _put_content(self, content: bytes, suffix: str, shown: str) -> str:
        digest = hashlib.sha256(content).hexdigest()
        if self._channel is None:
            self._sent = {}
        if digest not in self._sent:
            there = self._send(content, digest[:20] + suffix, shown)
            self._sent[digest] = there
        return self._sent[digest]

    def _send(self, content: bytes, name: str, shown: str) -> str:
        """Sends content as the file `name`; messages call it `shown`."""
        digest = hashlib.sha256(content).hexdigest()
        try:
            answer, _ = self._call({"op": "put", "name": name, "sha256": digest}, content)
        except ConnectionLostError:
            raise
        except RunnerError as error:
            raise RunnerError(f"cannot put {shown} on {self.name}: {error}") from error
        return str(answer["path"])


def runner_answer(done: Completed) -> dict[str, Any]:
    """The one JSON document that the runner printed.

    Raises:
        RunnerError: There is none, or the process died of a signal.
    """
    words = last_line(done.errors)
    after = f": {words}" if words else ""
    if done.code < 0:
        try:
            name = signal.Signals(-done.code).name
        except ValueError:
            name = f"signal {-done.code}"
        raise RunnerError(f"the runner was killed by {name}{after}")
    try:
        document = json.loads(done.output)
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("status") not in ("ok", "failed"):
        printed = done.output.decode(errors="replace").strip()[:MAX_QUOTED]
        raise RunnerError(
            f"the runner ended with code {done.code} and printed {printed!r} instead of a result"
            + after
        )
    return document
