"""Counts the instructions of a program of this machine under QEMU, where the kernel counts none."""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.emulation import recipes
from edge.emulation.compiling import compile_library
from edge.emulation.foreign import install
from edge.emulation.userland import UnavailableError, build

BENCH = Path(__file__).parents[1] / "native" / "bench"
"""The folder of QEMU's plugin, and of what marks inferences for it."""

CPU = "max"
"""All that QEMU emulates: AVX2, but not AVX-512."""

ENVIRONMENT = {
    "PYTHONHASHSEED": "0",  # would change what Python does around an inference
    "PYTHONDONTWRITEBYTECODE": "1",
    "OPENBLAS_NUM_THREADS": "1",  # the plugin's counters are for one thread
}


@dataclass(frozen=True)
class Counted:
    """A program that ran under the emulator.

    Attributes:
        code: Its exit code.
        output: Its standard output.
        errors: Its standard error.
        spent: The instructions between each pair of marks.
        emulator: QEMU with its version and processor.
    """

    code: int
    output: bytes
    errors: str
    spent: tuple[int, ...]
    emulator: str


def compile_plugin(path: Path) -> None:
    """Compiles QEMU's plugin that counts to a shared library.

    Raises:
        UnavailableError: There is no C compiler, or it fails.
    """
    flags = ["-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"]
    compile_library(BENCH / "count_instructions.c", path, flags)


def emulator_label(command: Sequence[str], program: str, cpu: str) -> str:
    """QEMU's program with its version and processor, as rows have it.

    Args:
        command: What starts the program on this machine.
        program: Its name.
        cpu: The processor that it is to emulate.
    """
    said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    version = re.search(r"version (\S+)", said.stdout)
    return f"{program} {version[1] if version else '?'} -cpu {cpu}"


def run_counted(command: Sequence[str], given: bytes, seconds: float) -> Counted:
    """Runs a command of one thread, which marks what to count (`edge/runner/instructions.py`).

    Args:
        command: The program's path and its arguments.
        given: Its standard input.
        seconds: A time limit; emulation takes some tens of times as long.

    Raises:
        UnavailableError: This machine is another one, lacks a tool or the network, or the program
            took too long.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise UnavailableError("QEMU counts on Linux on x86-64 only")
    packages = build(recipes.QEMU)
    with tempfile.TemporaryDirectory(prefix="onebit-count-") as scratch:
        folder = Path(scratch, "qemu")
        emulator = install(packages, "usr/bin/qemu-x86_64", folder, str(folder))
        compile_plugin(folder / "count.so")
        counts = Path(scratch, "counts.json")
        plugin = ["-cpu", CPU, "-plugin", f"{folder / 'count.so'},out={counts}"]
        try:
            done = subprocess.run(
                [*emulator, *plugin, *command],
                input=given,
                capture_output=True,
                env=os.environ | ENVIRONMENT,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(f"QEMU took over {seconds:.0f} s") from error
        label = emulator_label(emulator, "qemu-x86_64", CPU)
        marks = json.loads(counts.read_text())["marks"] if counts.exists() else []
    return Counted(
        done.returncode,
        done.stdout,
        done.stderr.decode(errors="replace"),
        tuple(end[1] - begin[1] for begin, end in zip(marks[::2], marks[1::2], strict=False)),
        label,
    )
