"""The harness's end of the pipe to `edge/devices/agent.py` on a device."""

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.devices import NO_PYTHON, InterruptedRunError, RunnerError, agent
from onebit.secrets import without_passwords

SOURCE = Path(agent.__file__).read_bytes()

# Reads exactly the agent's source from standard input, whose rest are the harness's frames. A
# login's current folder must not provide modules.
_STATEMENTS = """\
import os, sys
sys.path[:] = [entry for entry in sys.path if entry]
source = b''
while len(source) < {size}: source += os.read(0, {size} - len(source)) or os._exit(9)
exec(compile(source, 'agent', 'exec'), {{'__name__': '__main__'}})
"""
BOOTSTRAP = f"exec({_STATEMENTS.format(size=len(SOURCE))!r})"  # csh takes no line break in quotes
"""The argument of `-c` for the device's Python."""

NO_PYTHON_LINE = "onebit-no-python"
"""Printed in place of the agent's mark by a device that has no Python."""

CONNECT_SECONDS = 60
TRANSFER_SECONDS = 60
SLOWEST_BYTES_PER_SECOND = 50_000
CLOSE_SECONDS = 15
REFUSE_SECONDS = 2
GRACE_SECONDS = 20
BEAT_SECONDS = 30
MAX_GREETING_BYTES = 1 << 16
MAX_QUOTED = 200


class ConnectionLostError(RunnerError):
    """The device cannot be reached, or no longer; one line.

    Attributes:
        words: The last words of the command that connected, such as ssh's; else the message.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        reason: str | None = None,
        words: str | None = None,
    ):
        super().__init__(message, hint=hint, reason=reason)
        self.words = words or message


class _HungUpError(Exception):
    """The command closed its end of a pipe."""


class Channel:
    """A command such as `ssh HOST python3 -c BOOTSTRAP`, and the agent's frames through its pipes.

    Every wait has a limit. `interrupt` may be called from another thread.
    """

    def __init__(self, command: Sequence[str]) -> None:
        """Starts the command.

        Raises:
            ConnectionLostError: There is no such command.
        """
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._woken, self._wake = os.pipe()
        self._sending = threading.Lock()
        self._closed = threading.Event()
        self._pending = b""
        self._greeting: bytes | None = b""  # text in front of the agent's; None once it speaks
        try:
            # In a separate session, so that Ctrl-C in the terminal leaves it to `close`.
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,
            )
        except OSError as error:
            self._release()
            raise ConnectionLostError(f"cannot run {command[0]}: {error.strerror}") from error
        assert self._process.stdin is not None  # noqa: S101 - they are pipes
        assert self._process.stdout is not None  # noqa: S101
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._input, False)

    def open(self, timeout_seconds: float = CONNECT_SECONDS) -> dict[str, Any]:
        """Sends the agent and returns the facts that it reports about the device.

        Raises:
            ConnectionLostError: The agent did not answer; it carries the command's last words.
            RunnerError: The device has no place for a temporary folder.
        """
        deadline = time.monotonic() + timeout_seconds
        mark, greeting = agent.MARK.encode(), b""
        with self._speaking():
            self._write(SOURCE, deadline)
            while True:
                line = self._line(deadline)
                if line.strip() == mark:
                    self._greeting = None
                    break
                self._greeting = greeting = greeting + line + b"\n"
                if len(greeting) > MAX_GREETING_BYTES:
                    raise ConnectionLostError(f"it prints {_quoted(greeting)} without an end")
            answer, _ = self._answer(deadline)
        threading.Thread(target=self._beat, daemon=True).start()
        return answer

    def call(
        self, request: Mapping[str, Any], payload: bytes = b"", timeout_seconds: float = 0.0
    ) -> tuple[dict[str, Any], bytes]:
        """The agent's answer to a request, and the bytes that came with it.

        Args:
            request: What the agent's docstring lists.
            payload: The bytes that follow the request.
            timeout_seconds: For the operation itself; the transfer has its own on top.

        Raises:
            RunnerError: The operation failed, or nothing was answered.
        """
        limit = timeout_seconds + TRANSFER_SECONDS + len(payload) / SLOWEST_BYTES_PER_SECOND
        deadline = time.monotonic() + limit
        frame = json.dumps({**request, "size": len(payload)}).encode() + b"\n" + payload
        with self._speaking():
            with self._sending:
                self._write(frame, deadline)
            return self._answer(deadline)

    def interrupt(self) -> None:
        """Has the call that waits, and later ones, raise `InterruptedRunError`."""
        with contextlib.suppress(OSError):
            os.write(self._wake, b"x")

    def close(self) -> str:
        """Hangs up and waits until the agent has cleaned up.

        Returns:
            The last line that the command wrote to standard error.
        """
        if not self._closed.is_set():
            self._closed.set()
            with self._sending, contextlib.suppress(OSError):
                if self._process.stdin is not None:
                    self._process.stdin.close()
            limit = CLOSE_SECONDS if self._greeting is None else REFUSE_SECONDS
            deadline = time.monotonic() + limit
            with contextlib.suppress(OSError):
                while (left := deadline - time.monotonic()) > 0:
                    ready, _, _ = select.select([self._output], [], [], left)
                    block = os.read(self._output, 1 << 16) if ready else None
                    if block == b"":
                        break
                    if self._greeting is not None and len(self._greeting) < MAX_QUOTED:
                        self._greeting += block or b""
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(max(0.1, min(5.0, deadline - time.monotonic())))
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._words = self._last_words()
            self._release()
        return self._words

    @contextlib.contextmanager
    def _speaking(self) -> Iterator[None]:
        """Closes the channel when it breaks or is no longer in step."""
        if self._closed.is_set():
            raise ConnectionLostError("the connection has ended")
        try:
            yield
        except _HungUpError as error:
            words = self.close()
            if NO_PYTHON_LINE.encode() in (self._greeting or b"").split():
                raise ConnectionLostError("there is no Python", reason=NO_PYTHON) from error
            if self._greeting and not words:
                printed = f"the connection ended after it printed {_quoted(self._greeting)}"
                raise ConnectionLostError(printed) from error
            ended = "the connection ended" + (f": {words}" if words else "")
            raise ConnectionLostError(ended, words=words) from error
        except ConnectionLostError:
            self.close()
            raise

    def _release(self) -> None:
        self._errors.close()
        os.close(self._woken)
        os.close(self._wake)
        self._wake = self._woken = -1

    def _beat(self) -> None:
        """Shows the agent every now and then that the harness is there."""
        while not self._closed.wait(BEAT_SECONDS):
            with self._sending, contextlib.suppress(_HungUpError, RunnerError):
                if not self._closed.is_set():
                    self._write(b'{"op": "beat"}\n', time.monotonic() + BEAT_SECONDS)

    def _write(self, content: bytes, deadline: float) -> None:
        view = memoryview(content)
        while view:
            self._wait([], [self._input], deadline)
            try:
                view = view[os.write(self._input, view[: 1 << 16]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise _HungUpError from error

    def _read(self, deadline: float) -> None:
        self._wait([self._output], [], deadline)
        block = os.read(self._output, 1 << 20)
        if not block:
            raise _HungUpError
        self._pending += block

    def _wait(self, readable: list[int], writable: list[int], deadline: float) -> None:
        ready = select.select(
            [self._woken, *readable], writable, [], max(0.0, deadline - time.monotonic())
        )
        if self._woken in ready[0]:
            raise InterruptedRunError("interrupted")
        if not ready[0] and not ready[1]:
            raise ConnectionLostError("it does not answer any more")

    def _line(self, deadline: float) -> bytes:
        while b"\n" not in self._pending:
            if len(self._pending) > MAX_GREETING_BYTES:
                raise ConnectionLostError(f"it prints {_quoted(self._pending)} without an end")
            self._read(deadline)
        line, self._pending = self._pending.split(b"\n", 1)
        return line

    def _answer(self, deadline: float) -> tuple[dict[str, Any], bytes]:
        line = self._line(deadline)
        try:
            answer = json.loads(line)
            size = int(answer["size"])
        except (ValueError, KeyError, TypeError) as error:
            raise ConnectionLostError(f"it answered {_quoted(line)}") from error
        deadline += size / SLOWEST_BYTES_PER_SECOND
        chunks, missing = [], size
        while missing > 0:
            if not self._pending:
                self._read(deadline)
            chunk, self._pending = self._pending[:missing], self._pending[missing:]
            chunks.append(chunk)
            missing -= len(chunk)
        if "error" in answer:
            raise RunnerError(str(answer["error"]))
        return answer, b"".join(chunks)

    def _last_words(self) -> str:
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 4000))
        return last_line(self._errors.read().decode("utf-8", "replace"))


def last_line(text: str) -> str:
    """The last line of a text that is not empty, shortened and without passwords."""
    lines = [line.strip() for line in text.splitlines()]
    return without_passwords(next((line for line in reversed(lines) if line), ""))[:MAX_QUOTED]


def _quoted(content: bytes) -> str:
    text = without_passwords(content.decode("utf-8", "replace").strip())
    return repr(text[:MAX_QUOTED])
