"""Runs a firmware under QEMU, or on this machine, and reads what its harness prints."""

import json
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.boards.catalogue import Board
from edge.boards.firmware import PACKAGE, Firmware
from onebit.errors import OnebitError

HARD_FAULT, HANG, GARBLED = "hard-fault", "hang", "garbled"
"""Reason codes of runs that failed."""


@dataclass(frozen=True)
class Inference:
    """One inference of a firmware.

    Attributes:
        kind: `vector` or `sample`.
        output: The bytes of the network's output structure.
        agrees: Whether a test vector's output is the expected one; None for samples.
        stack_bytes: How deep the stack went.
        cycles: Clock cycles; None where the board counts none.
        instructions: Executed instructions; None where nothing counted them.
    """

    kind: str
    output: bytes
    agrees: bool | None
    stack_bytes: int
    cycles: int | None
    instructions: int | None = None


@dataclass(frozen=True)
class Answers:
    """All that a firmware printed.

    Attributes:
        arena_bytes: Of the network.
        input_bytes: Of its input structure.
        inferences: Vectors, then samples.
    """

    arena_bytes: int
    input_bytes: int
    inferences: tuple[Inference, ...]


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
    inferences = (
        Inference(i.kind, i.output, i.agrees, i.stack_bytes, i.cycles, count)
        for i, count in zip(answers.inferences, counted, strict=True)
    )
    return Answers(answers.arena_bytes, answers.input_bytes, tuple(inferences))


def run_on_host(firmware: Firmware, folder: Path, seconds: float, running: Running) -> Answers:
    """Runs the host's build of a firmware.

    Raises:
        OnebitError: It failed.
    """
    code, said = running.run([str(firmware.program)], folder, seconds)
    return parse_answers(said, code)


def parse_answers(said: str, code: int) -> Answers:
    """The answers in the harness's JSON lines.

    Raises:
        OnebitError: It reports a fault, or lines are garbled or missing.
    """
    start: dict[str, Any] = {}
    inferences, ended = [], False
    for line in said.splitlines():
        if not line.startswith("{"):
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise OnebitError(
                f"the board printed a garbled line: {line[:80]!r}", reason=GARBLED
            ) from error
        if "fault" in record:
            where = ", ".join(f"{k} {v}" for k, v in record.items() if k != "fault")
            raise OnebitError(
                f"the firmware ended in a {record['fault']}" + (f" ({where})" if where else ""),
                hint="its stack or RAM may be too small",
                reason=HARD_FAULT,
            )
        if record.get("kind") == "start":
            start = record
        elif record.get("kind") in ("vector", "sample"):
            inferences.append(_inference(record))
        ended = ended or record.get("kind") == "end"
    if not ended or not start:
        last = said.strip().splitlines()[-1:] or ["nothing"]
        raise OnebitError(
            f"the firmware ended early with code {code}; last it printed: {last[0][:200]}",
            reason=GARBLED,
        )
    return Answers(int(start["arena_bytes"]), int(start["input_bytes"]), tuple(inferences))


def _inference(record: dict[str, Any]) -> Inference:
    try:
        if record["code"] != 0:
            raise OnebitError(f"the network returned {record['code']}")
        return Inference(
            record["kind"],
            bytes.fromhex(record["output"]),
            record["agrees"],
            int(record["stack_bytes"]),
            int(record["cycles"]) or None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise OnebitError("the board printed an incomplete line", reason=GARBLED) from error


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
