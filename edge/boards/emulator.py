"""Runs a firmware under QEMU, or on this machine, and reads what its harness prints."""

import json
import re
import shutil
import subprocess
import threading
from pathlib import Path

from edge.boards.answers import HANG, Answers, parse_answers
from edge.boards.catalogue import Board
from edge.boards.firmware import PACKAGE, Firmware
from onebit.errors import OnebitError


class Running:
    """A process that another thread may end."""

    def __init__(self) -> None:
        self._lock, self.is_ended = threading.Lock(), False
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, command: list[str], folder: Path, seconds: float) -> tuple[int, str]:
        """The exit code and what was printed, errors behind the rest.

        Raises:
            OnebitError: It did not end in time.
        """
        with self._lock:
            if self.is_ended:
                raise OnebitError("interrupted")
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
            self._process = process
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.communicate()
            raise OnebitError(
                f"the firmware did not end within {seconds:g} s",
                hint="it hangs, or needs longer: raise --timeout",
                reason=HANG,
            ) from error
        return process.returncode, said.decode("utf-8", "replace")

    def end(self) -> None:
        """Ends the process, and lets none begin."""
        with self._lock:
            self.is_ended = True
            if self._process is not None:
                self._process.kill()


def run_on_board(
    firmware: Firmware, board: Board, folder: Path, seconds: float, running: Running
) -> Answers:
    """Runs a firmware under QEMU, counting instructions.

    Args:
        firmware: What `build_firmware` built.
        board: For which board.
        folder: Its working folder; `inputs.bin` in it holds samples.
        seconds: Time limit.
        running: Ends it from another thread.

    Raises:
        OnebitError: The firmware faulted, hung or printed something else; `reason` says which.
    """
    plugin, counts = _plugin(folder), folder / "counts.json"
    options = f"{plugin},begin={firmware.begin:#x},end={firmware.end:#x},out={counts}"
    command = [
        board.toolchain.emulator, *board.machine, "-display", "none", "-monitor", "none",
        "-serial", "none", "-semihosting-config", "enable=on,target=native",
        "-plugin", options, "-kernel", str(firmware.program),
    ]  # fmt: skip
    code, said = running.run(command, folder, seconds)
    answers = parse_answers(said, code)
    counted = json.loads(counts.read_text(encoding="utf-8"))
    if len(counted) != len(answers.inferences):
        raise OnebitError(f"{len(counted)} inferences were counted of {len(answers.inferences)}")
    return answers.with_instructions(counted)


def run_on_host(firmware: Firmware, folder: Path, seconds: float, running: Running) -> Answers:
    """Runs the host's build of a firmware.

    Raises:
        OnebitError: It failed.
    """
    code, said = running.run([str(firmware.program)], folder, seconds)
    return parse_answers(said, code)


def emulator_version(board: Board) -> str:
    """QEMU's name and version."""
    command = [board.toolchain.emulator, "--version"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    version = re.search(r"version (\S+)", said)
    return f"{board.toolchain.emulator} {version[1] if version else '?'}"


def _plugin(folder: Path) -> Path:
    """The counting plugin, compiled for this machine."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise OnebitError("there is no C compiler (cc)", hint="apt-get install gcc")
    path = folder / "count_marks.so"
    flags = ["-O2", "-shared", "-fPIC", "-fvisibility=hidden"]
    source = str(PACKAGE / "count_marks.c")
    subprocess.run([compiler, *flags, "-o", str(path), source], check=True)
    return path
