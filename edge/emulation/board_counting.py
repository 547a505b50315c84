"""Counts the instructions that the delegate executes on an emulated aarch64 board."""

import json
import re
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edge.emulation.board import Board
from edge.emulation.counting import BENCH, compile_plugin, emulator_label
from edge.emulation.foreign import install
from edge.emulation.sshd import CPUS

CPU = CPUS["aarch64"]
RUNTIME = "ai-edge-litert-2.3"
MCA_ITERATIONS = 100


@dataclass(frozen=True)
class Counts:
    """The instructions that one inference executes.

    Attributes:
        inference: Instructions of the interpreter's `invoke`, with XNNPACK's and Python's call.
        delegate: Those of them in the delegate's library.
        hottest: The delegate's block with the most instructions, disassembled; branches lead to 0,
            as addresses differ from process to process.
        runtime: The runtime with its version.
        emulator: QEMU with its version.
    """

    inference: int
    delegate: int
    hottest: tuple[str, ...]
    runtime: str
    emulator: str


def count(root: Path, qemu: Path, wheel: Path, model: bytes, runs: int = 3) -> Counts:
    """Counts one inference of a model with the delegate, on one thread.

    Args:
        root: The aarch64 userland.
        qemu: The emulator's packages.
        wheel: The delegate's aarch64 wheel.
        model: The `.tflite` file.
        runs: Inferences that are counted, after two that are not.

    Raises:
        UnavailableError: This machine has no emulated boards.
        ValueError: The inferences did not execute the same number of instructions.
    """
    board = Board(root, runtime=RUNTIME)
    try:
        home, emulator = board.folder / "home/pi", board.folder / "run/qemu"
        command = install(qemu, "usr/bin/qemu-aarch64", emulator, "/run/qemu")
        compile_plugin(emulator / "count.so")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(home / "site")
        shutil.copy(BENCH / "count_guest.py", home)
        (home / "model.tflite").write_bytes(model)
        options = ["-cpu", CPU, "-plugin", "/run/qemu/count.so,out=/run/counts.json"]
        guest = ["/usr/bin/python3.11", "/home/pi/count_guest.py", str(runs)]
        # Hash seeds and byte code would change what Python does around an inference.
        environment = {
            "PYTHONPATH": "/home/pi/site",
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        printed = board.run([*command, *options, *guest, "/home/pi/model.tflite"], environment)
        counts = json.loads((board.folder / "run/counts.json").read_text())
        loader, program = (str(emulator / Path(part).name) for part in (command[0], command[-1]))
        here = [loader, "--library-path", str(emulator), program]
        label = emulator_label(here, "qemu-aarch64", CPU)
    finally:
        board.stop()
    begins, ends = counts["marks"][::2], counts["marks"][1::2]
    spent = {(e[1] - b[1], e[2] - b[2]) for b, e in zip(begins, ends, strict=True)}
    if len({delegate for _, delegate in spent}) != 1:
        raise ValueError(f"inferences differ in their instructions: {sorted(spent)}")
    inference, delegate = min(spent)
    return Counts(
        inference=inference,
        delegate=delegate,
        hottest=tuple(
            re.sub(r"#?0x[0-9a-f]{6,}$", "0", line) for line in counts["hottest"]["instructions"]
        ),
        runtime=printed.strip().splitlines()[-1],
        emulator=label,
    )


def estimate_cycles(instructions: tuple[str, ...]) -> dict[str, object] | None:
    """llvm-mca's cycles for one pass of a loop on a Cortex-A72; None without llvm-mca."""
    program = shutil.which("llvm-mca")
    if program is None:
        return None
    assembly = "\n".join(instructions)
    command = [program, "-mtriple=aarch64-linux-gnu", f"-mcpu={CPU}"]
    command.append(f"-iterations={MCA_ITERATIONS}")
    done = subprocess.run(command, input=assembly, capture_output=True, text=True, check=True)
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    cycles, version = (
        re.search(pattern, text)
        for pattern, text in (
            (r"Total Cycles:\s+(\d+)", done.stdout),
            (r"version (\S+)", said.stdout),
        )
    )
    if cycles is None or version is None:
        raise ValueError(f"llvm-mca says: {done.stdout[:200]}")
    return {
        "llvm_version": version[1],
        "cpu": CPU,
        "cycles_per_iteration": int(cycles[1]) / MCA_ITERATIONS,
    }
