"""An emulated board: a userland with its own writable folders, made-up hardware and one server."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edge.emulation import hardware, namespace
from edge.emulation.userland import UnavailableError
from onebit.errors import OnebitError

BINFMT = Path("/usr/lib/binfmt.d")
# What a command on the board may write to; everything else is read-only.
WRITABLE = ("/data", "/home", "/run", "/tmp", "/var/tmp")
PLACES = ("/data/local/tmp", "/home/pi", "/tmp", "/var/tmp")
PACKAGES = "/usr/local/lib/python3.11/dist-packages"
STOP_SECONDS = 10


class BoardError(OnebitError):
    """A command on an emulated board failed."""


class Board:
    """A userland in a namespace, in which one command runs with all that it starts.

    Attributes:
        folder: The board's own files on this machine; gone after `stop`.
        log: What the command printed.
    """

    def __init__(
        self, root: Path, *, runtime: str | None = None, disk_bytes: int | None = None
    ) -> None:
        """Makes the board's files.

        Args:
            root: The userland.
            runtime: The folder below /opt/runtimes that is installed on this board.
            disk_bytes: The size of the board's disk; that of the machine's when absent.
        """
        self.root = root
        self.folder = Path(tempfile.mkdtemp(prefix="onebit-board-"))
        self.log = self.folder / "log"
        self._runtime = runtime
        self._disk_bytes = disk_bytes
        self._process: subprocess.Popen[bytes] | None = None
        for path in WRITABLE:
            (self.folder / path[1:]).mkdir(parents=True)
        (self.folder / "home/pi").mkdir()
        hardware.write_raspberry_pi_4(self.folder / "hardware")

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        ready: Callable[[], bool],
        seconds: float = 30,
    ) -> None:
        """Starts the command and waits until it is ready.

        Raises:
            UnavailableError: The kernel refuses an emulated board.
            BoardError: The command ended or was not ready in time; with its last words.
        """
        process = self._spawn(command, environment)
        end = time.monotonic() + seconds
        while not ready():
            if process.poll() is not None or time.monotonic() > end:
                raise self._failure(command, process.poll())
            time.sleep(0.02)

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], seconds: float = 300
    ) -> str:
        """Runs a command to its end, without a server; returns what it printed.

        Raises:
            UnavailableError: The kernel refuses an emulated board.
            BoardError: The command failed or took too long; with its last words.
        """
        process = self._spawn(command, environment)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        if code != 0:
            raise self._failure(command, code)
        return self.log.read_text(errors="replace")

    def _spawn(
        self, command: Sequence[str], environment: Mapping[str, str]
    ) -> "subprocess.Popen[bytes]":
        top = self.folder / "mount"
        top.mkdir(exist_ok=True)
        specification = {
            "root": str(self.root),
            "mount_point": str(top),
            "mounts": self._mounts(),
            "interpreters": interpreters(),
            "environment": {"PATH": "/usr/bin:/bin", "HOME": "/home/pi", **environment},
            "command": list(command),
        }
        path = self.folder / "specification.json"
        path.write_text(json.dumps(specification))
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, namespace.__file__, str(path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the caller, who then stops the board
            )
        return self._process

    def _failure(self, command: Sequence[str], code: int | None) -> Exception:
        """Stops the board; says why the command, whose exit code is given, did not do its work."""
        words = self.log.read_text(errors="replace").strip() or "no message"
        self.stop()
        if code == namespace.UNAVAILABLE:
            return UnavailableError(
                f"the kernel refuses an emulated board: {words.splitlines()[-1]}",
                hint="it takes Linux 6.7 or newer, and namespaces for users",
            )
        ended = "did not end or answer in time" if code is None else f"ended with code {code}"
        return BoardError(f"{command[0]} {ended} on the board: {'; '.join(words.splitlines())}")

    @property
    def is_up(self) -> bool:
        """Whether the command runs."""
        return self._process is not None and self._process.poll() is None

    def _mounts(self) -> list[tuple[str, object]]:
        mounts: list[tuple[str, object]] = [
            ("/sys", str(self.folder / "hardware/sys")),
            ("/proc/cpuinfo", str(self.folder / "hardware/proc/cpuinfo")),
        ]
        for path in WRITABLE:
            small = self._disk_bytes is not None and path in ("/tmp", "/var/tmp", "/data")
            source = {"tmpfs": self._disk_bytes} if small else str(self.folder / path[1:])
            mounts.append((path, source))
        if self._runtime is not None:
            mounts.append((PACKAGES, str(self.root / "opt/runtimes" / self._runtime)))
        return mounts

    def _init(self) -> int | None:
        """The number of the namespace's first process; None when the board is down."""
        if self._process is None or self._process.poll() is not None:
            return None
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
            numbers = children.read_text().split()
            return int(numbers[0]) if numbers else None
        return None

    def processes(self) -> dict[int, str]:
        """The board's processes: numbers on this machine and command lines, without emulator."""
        init = self._init()
        if init is None:
            return {}
        inside = os.readlink(f"/proc/{init}/ns/pid")
        found = {}
        for number in (int(name) for name in os.listdir("/proc") if name.isdigit()):
            with contextlib.suppress(OSError):
                if number == init or os.readlink(f"/proc/{number}/ns/pid") != inside:
                    continue
                line = Path(f"/proc/{number}/cmdline").read_bytes().decode(errors="replace")
                words = line.rstrip("\0").split("\0")
                # The emulator's command line is its own name, the program's path, the arguments.
                found[number] = " ".join(words[2:] if "binfmt" in words[0] else words)
        return found

    def signal(self, fragment: str, number: int = signal.SIGKILL) -> int:
        """Signals the processes whose command line contains `fragment`; returns how many."""
        numbers = [process for process, words in self.processes().items() if fragment in words]
        for process in numbers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        return len(numbers)

    def files(self) -> set[str]:
        """The files in the board's temporary folders and home, also when the board is down."""
        found = set()
        for place in PLACES:
            # A small disk exists in the namespace only.
            top = self.folder / place[1:]
            if self._disk_bytes is not None:
                top = Path(f"/proc/{self._init()}/root{self.folder}/mount{place}")
            for path in top.rglob("*") if top.is_dir() else ():
                if "__pycache__" not in path.parts:  # which any Python may write to its packages
                    found.add(f"{place}/{path.relative_to(top)}")
        return found

    def stop(self) -> None:
        """Ends the namespace and removes the board's files."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def interpreters() -> list[str]:
    """The kernel's registrations for aarch64 and armv7 programs, as Debian's packages have them.

    Raises:
        UnavailableError: The emulators are missing.
    """
    lines = []
    for name in ("aarch64", "arm"):
        path = BINFMT / f"qemu-{name}.conf"
        if not path.is_file():
            raise UnavailableError(
                "the emulator qemu-user is missing", hint="sudo apt-get install qemu-user-static"
            )
        lines.append(path.read_text().strip())
    return lines
