"""An Android device, or another that runs adbd, by the system's adb.

This file is for devices with Python, `edge/devices/adb_shell.py` for those without.
The exit code of `adb shell` is not looked at: it is 0 with half an output when adbd dies.
"""

import re
import shutil
import subprocess

from edge.devices import NO_PYTHON, RunnerError
from edge.devices.channel import ConnectionLostError
from edge.devices.remote import AgentDevice
from edge.devices.shell import python_script, shell_command
from onebit.errors import UsageError
from onebit.secrets import without_passwords

VENV = "/data/local/tmp/onebit-venv"
ADB_SECONDS = 30

HINTS = {
    "unauthorized": "unlock it and allow USB debugging for this computer",
    "offline": "plug it in again, or run `adb reconnect`",
    "no permissions": "your user may not open the USB device: see `adb devices -l`",
}


def adb(
    *arguments: str, timeout_seconds: float = ADB_SECONDS
) -> "subprocess.CompletedProcess[str]":
    """Runs adb, whose server is started first; ANDROID_ADB_SERVER_PORT and the like count.

    Raises:
        RunnerError: There is no adb, or it does not answer.
    """
    program = shutil.which("adb")
    if program is None:
        raise RunnerError(
            "there is no adb here", hint="install it, on Debian with: sudo apt install adb"
        )
    try:
        # The server outlives this call: it must neither hold our pipes nor hear our Ctrl-C.
        subprocess.run(
            [program, "start-server"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            timeout=timeout_seconds,
        )
        return subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            start_new_session=True,
            timeout=timeout_seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise RunnerError(f"adb did not answer within {timeout_seconds:g} s") from error


def parse_serial(address: str) -> str:
    """The serial number in `adb:SERIAL`.

    Raises:
        UsageError: There is none, or adb would take it for an option.
    """
    serial = address.removeprefix("adb:")
    if not re.fullmatch(r"[\w.:\[\]][\w.:\[\]%-]*", serial):
        raise UsageError(
            f"{without_passwords(address)!r} names no device",
            hint="write adb:SERIAL, with a serial number from `adb devices`",
        )
    return serial


def require_ready(serial: str, name: str) -> None:
    """Checks that adb can use the device.

    Raises:
        RunnerError: It cannot; the hint says what helps.
    """
    done = adb("-s", serial, "get-state")
    state = done.stdout.strip()
    if state == "device":
        return
    lines = done.stderr.strip().splitlines() or [state]
    words = lines[-1].removeprefix("error: ") or "unknown"
    # adb has no codes for its messages.
    hints = (hint for sign, hint in HINTS.items() if sign in words or sign in state)
    default = "is it plugged in, or connected with `adb connect HOST:PORT`?"
    raise RunnerError(f"cannot reach {name}: adb says {words!r}", hint=next(hints, default))


class AdbDevice(AgentDevice):
    """A device behind adb that has Python, numpy and a runtime."""

    kind = "adb"

    def __init__(self, address: str, name: str | None = None, python: str | None = None) -> None:
        """Checks the address; connects only when it is entered.

        Raises:
            UsageError: The address is malformed.
        """
        self.serial = parse_serial(address)
        super().__init__(name or self.serial)
        self._python = python

    def agent_command(self) -> list[str]:
        """`adb shell` without a terminal, which would change bytes.

        Raises:
            RunnerError: There is no adb, or the device is not ready.
        """
        require_ready(self.serial, self.name)
        script = shell_command(python_script(self._python, VENV))
        return ["adb", "-s", self.serial, "shell", "-T", "-e", "none", script]

    def explain(self, error: RunnerError) -> RunnerError:
        """The reason with a hint."""
        if error.reason == NO_PYTHON:
            return RunnerError(
                f"{self.name} has no {self._python or 'python3'}",
                hint="measure with TensorFlow Lite's own program instead: "
                "--tool PATH/TO/benchmark_model",
                reason=NO_PYTHON,
            )
        words = error.words if isinstance(error, ConnectionLostError) else error.message
        return type(error)(f"cannot reach {self.name}: {words}", hint=error.hint)
