"""A board with a genuine adbd, and adb servers that reach it."""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from edge.emulation.board import Board, BoardError
from edge.emulation.compiling import c_compiler, compile_library
from edge.emulation.foreign import install
from edge.emulation.ports import HOST, free_port, listens
from edge.emulation.userland import UnavailableError

CPU = "cortex-a76"
SHIM = Path(__file__).with_name("loopback_only.c")
WRAPPER = """\
#!/bin/sh
HOME={home} TMPDIR={home} ANDROID_ADB_SERVER_PORT={port} exec {program} "$@"
"""
PR_SET_PDEATHSIG = 1
START_SECONDS = 20


class AdbServer:
    """An adb server with its own port and keys, which knows nothing of the user's devices.

    Attributes:
        bin: A folder with an `adb` that talks to this server.
    """

    def __init__(self) -> None:
        """Starts the server.

        Raises:
            UnavailableError: There is no adb.
        """
        program = shutil.which("adb")
        if program is None:
            raise UnavailableError("adb is missing", hint="sudo apt-get install adb")
        self.folder = Path(tempfile.mkdtemp(prefix="onebit-adb-"))
        self.port = free_port()
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        wrapper = self.bin / "adb"
        wrapper.write_text(WRAPPER.format(home=self.folder, port=self.port, program=program))
        wrapper.chmod(0o755)
        libc = ctypes.CDLL(None)
        # In the foreground: `adb start-server` would outlive this process if it is killed.
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(wrapper), "nodaemon", "server"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
            )
        end = time.monotonic() + START_SECONDS
        while not listens(self.port):
            if self._process.poll() is not None or time.monotonic() > end:
                words = (self.folder / "log").read_text(errors="replace")
                self.stop()
                raise BoardError(f"the adb server did not start: {'; '.join(words.splitlines())}")
            time.sleep(0.02)

    def adb(self, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        """Runs the genuine client."""
        options = {"capture_output": True, "text": True, "timeout": 60} | options
        return subprocess.run([str(self.bin / "adb"), *arguments], **options)

    def stop(self) -> None:
        """Ends the server."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class UsersAdb:
    """The user's own adb server, started by the first command where none runs."""

    def __init__(self) -> None:
        """Looks for adb.

        Raises:
            UnavailableError: There is no adb.
        """
        if shutil.which("adb") is None:
            raise UnavailableError("adb is missing", hint="sudo apt-get install adb")

    def adb(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs the genuine client."""
        return subprocess.run(["adb", *arguments], capture_output=True, text=True, timeout=60)


class AdbBoard(Board):
    """A board that `adb -s <serial>` reaches once it is connected.

    Attributes:
        serial: The board's name for adb; known after `start_adbd`.
    """

    def __init__(self, root: Path, adbd: Path, *, python: bool = True, **options: Any) -> None:
        """Makes the board's files.

        Args:
            root: The userland.
            adbd: The folder with adbd and its libraries.
            python: Whether the shell finds Python, which Android has not.
            options: As `Board` takes them.

        Raises:
            UnavailableError: There is no C compiler, or it fails.
        """
        c_compiler()  # before files are made
        super().__init__(root, **options)
        self._python = python
        (self.folder / "data/local/tmp").mkdir(parents=True)
        self._build(adbd)

    def _build(self, adbd: Path) -> None:
        program = "usr/lib/android-sdk/platform-tools/adbd"
        folder = self.folder / "run/adbd"
        loader, *rest = install(adbd, program, folder, "/run/adbd")
        self._command = [loader, "--preload", "/run/adbd/loopback_only.so", *rest]
        compile_library(SHIM, folder / "loopback_only.so")

    def start_adbd(self, server: "AdbServer | UsersAdb", port: int | None = None) -> "AdbBoard":
        """Starts adbd on a port that nobody but this machine reaches, and connects to it.

        Args:
            server: What shall reach the board.
            port: A free one when absent.
        """
        self.port = port or free_port()
        self.serial = f"{HOST}:{self.port}"
        search = "/system/bin:/usr/bin:/bin" if self._python else "/system/bin"
        environment = {"ADBD_PORT": str(self.port), "QEMU_CPU": CPU, "PATH": search}
        self.start(self._command, environment, lambda: listens(self.port))
        connected = server.adb("connect", self.serial)
        if "connected" not in connected.stdout or os.linesep not in connected.stdout:
            self.stop()
            said = (connected.stdout + connected.stderr).splitlines()
            raise BoardError(f"adb cannot connect: {'; '.join(said)}")
        server.adb("-s", self.serial, "wait-for-device")
        return self
