"""Builds an exported network and the harness into a firmware for a board, or for this machine."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.boards.catalogue import Board
from edge.boards.exports import ExportedNetwork
from onebit.errors import OnebitError, first_line

PACKAGE = Path(__file__).parent / "package"
CMSIS_NN = "CMSIS_NN"
"""The environment's variable with the folder of CMSIS-NN, for networks of `--cmsis-nn`."""

STACK_BYTES = 1024
"""A firmware that leaves less for the stack does not link."""

_STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-O2", "-ffp-contract=off")
_SECTIONS = ("-ffunction-sections", "-fdata-sections")
_OVERFLOW = re.compile(r"region `(FLASH|RAM)' overflowed by (\d+) bytes")
_MAPPED = re.compile(r"^ (\.[\w.$-]+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S+)$", re.M)


@dataclass(frozen=True)
class Firmware:
    """A built program.

    Attributes:
        program: The file that runs.
        begin: Address of the harness's mark before an inference; 0 on this machine.
        end: Of the mark behind it.
        code_bytes: Code of the network and its kernels, with what they need of libgcc.
        constant_bytes: Their constants.
        static_bytes: Their static RAM: the arena.
        compiler: Which compiler built it.
    """

    program: Path
    begin: int = 0
    end: int = 0
    code_bytes: int = 0
    constant_bytes: int = 0
    static_bytes: int = 0
    compiler: str = ""


def missing_programs(board: Board) -> list[str]:
    """Programs that a board needs and this machine lacks."""
    tools = board.toolchain
    programs = [f"{tools.prefix}gcc", f"{tools.prefix}nm", tools.emulator]
    return [name for name in programs if shutil.which(name) is None]


def install_hint(board: Board) -> str:
    """How to install what a board needs, on Debian."""
    return f"apt-get install {' '.join(board.toolchain.packages)}"


def build_firmware(
    network: ExportedNetwork,
    board: Board,
    folder: Path,
    port: Sequence[Path] = (PACKAGE / "semihosting.c",),
) -> Firmware:
    """Builds for a board.

    Args:
        network: What to build.
        board: For which board.
        folder: Where.
        port: The sources through which the harness reads and writes.

    Raises:
        OnebitError: Programs are missing, the network does not fit, or it does not compile.
    """
    missing = missing_programs(board)
    if missing:
        raise OnebitError(
            f"{board.name} needs {', '.join(missing)}",
            hint=install_hint(board),
            reason="no-toolchain",
        )
    script = (PACKAGE / "board.ld.in").read_text(encoding="utf-8")
    for key, value in {
        "FLASH_ORIGIN": board.flash.origin,
        "FLASH_BYTES": board.flash.size_bytes,
        "RAM_ORIGIN": board.ram.origin,
        "RAM_BYTES": board.ram.size_bytes,
        "STACK_BYTES": STACK_BYTES,
    }.items():
        script = script.replace(f"@{key}@", str(value))
    (folder / "board.ld").write_text(script, encoding="utf-8")
    compiler = f"{board.toolchain.prefix}gcc"
    flags = [*_STRICT, *_SECTIONS, *board.flags, "-DBOARD_HAS_LIMITS"]
    sources = [PACKAGE / board.toolchain.start, *port]
    objects = _compile(compiler, flags, network, sources, folder)
    program, map_file = folder / "firmware.elf", folder / "firmware.map"
    link = [
        compiler, *board.flags, "-nostartfiles", "-Wl,--gc-sections", f"-Wl,-Map={map_file}",
        "-T", str(folder / "board.ld"), *map(str, objects), "-o", str(program),
    ]  # fmt: skip
    done = subprocess.run(link, check=False, capture_output=True, text=True)
    if done.returncode:
        raise _link_error(done.stderr, network, board)
    begin, end = _addresses(board, program)
    code, constants, static = _mapped_bytes(map_file.read_text(encoding="utf-8"))
    return Firmware(program, begin, end, code, constants, static, _version(compiler))


def build_for_host(network: ExportedNetwork, folder: Path) -> Firmware:
    """Builds for this machine.

    Raises:
        OnebitError: There is no compiler, or the network does not compile.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise OnebitError("there is no C compiler (cc)", hint="apt-get install gcc")
    objects = _compile(compiler, list(_STRICT), network, [PACKAGE / "host.c"], folder)
    program = folder / "host"
    subprocess.run([compiler, *map(str, objects), "-o", str(program)], check=True)
    return Firmware(program, compiler=_version(compiler))


def cmsis_nn_sources(network: ExportedNetwork) -> list[Path]:
    """The files of CMSIS-NN that a network calls; none where it is not one of `--cmsis-nn`.

    Raises:
        OnebitError: The variable `CMSIS_NN` does not say where that is, or names another folder.
    """
    if not any(source.stem.endswith("_cmsis_nn") for source in network.sources):
        return []
    given = os.environ.get(CMSIS_NN, "")
    root = Path(given)
    if not (root / "Include" / "arm_nnfunctions.h").is_file():
        raise OnebitError(
            f"{network.name} calls CMSIS-NN, and "
            + (f"{given} is not that" if given else f"{CMSIS_NN} does not say where that is"),
            hint=f"export {CMSIS_NN}=/path/to/CMSIS-NN, the folder with Include and Source",
        )
    needed = (
        "ConvolutionFunctions/*s8*.c",
        "NNSupportFunctions/*s8*.c",
        "NNSupportFunctions/*q7*.c",
        "TransposeFunctions/*s8*.c",
    )
    found = {path for pattern in needed for path in (root / "Source").glob(pattern)}
    return sorted(path for path in found if "lstm" not in path.stem)


def name_lines(network: ExportedNetwork) -> str:
    """The harness's `network.h`: what the network's symbols begin with."""
    return f"#define NETWORK {network.name}\n#define NETWORK_UPPER {network.name.upper()}\n"


def _compile(
    compiler: str, flags: list[str], network: ExportedNetwork, package: list[Path], folder: Path
) -> list[Path]:
    objects = []
    (folder / "network.h").write_text(name_lines(network), encoding="utf-8")
    theirs = cmsis_nn_sources(network)
    folders = [folder, network.folder, network.folder / "src", PACKAGE]
    if theirs:
        folders.append(Path(os.environ[CMSIS_NN]) / "Include")
        flags = [flag for flag in flags if flag not in ("-Wextra", "-Werror")]
    includes = [f"-I{path}" for path in folders]
    own = [PACKAGE / "harness.c", *package]
    for source in [*network.sources, *theirs, *own]:
        kind = "board" if source in own else "network"
        target = folder / f"{kind}-{source.stem}.o"
        command = [compiler, *flags, *includes, "-c", str(source), "-o", str(target)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "error:" in line.lower()]
            said = lines[0] if lines else first_line(OnebitError(done.stderr))
            raise OnebitError(f"{source.name} does not compile with {compiler}: {said}")
        objects.append(target)
    return objects


def _link_error(said: str, network: ExportedNetwork, board: Board) -> OnebitError:
    found = {region: int(size) for region, size in _OVERFLOW.findall(said)}
    if not found:
        lines = said.strip().splitlines()
        cause = next((line for line in lines if "undefined reference" in line), lines[-1])
        return OnebitError(f"{network.name} does not link for {board.name}: {cause}")
    sizes = {"FLASH": board.flash.size_bytes, "RAM": board.ram.size_bytes}
    kinds = {"FLASH": "flash", "RAM": "RAM"}
    parts = [
        f"{size:,} bytes too large for its {sizes[region]:,} bytes of {kinds[region]}"
        for region, size in found.items()
    ]
    return OnebitError(
        f"{network.name} does not fit {board.name}: {', and '.join(parts)}",
        hint="take a board with more memory, or a smaller network",
        reason="too-large",
    )


def _addresses(board: Board, program: Path) -> tuple[int, int]:
    command = [f"{board.toolchain.prefix}nm", str(program)]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = {line.split()[2]: int(line.split()[0], 16) for line in listed.splitlines()
             if len(line.split()) == 3}  # fmt: skip
    return found["harness_begin"], found["harness_end"]


def _mapped_bytes(text: str) -> tuple[int, int, int]:
    """Code, constants and static RAM of the network's objects and of the compiler's library."""
    # Long names of sections stand in lines of their own.
    text = re.sub(
        r"^( \.[\w.$-]+)\n\s+", r"\1 ", text[text.index("Linker script and") :], flags=re.M
    )
    sizes = {"text": 0, "rodata": 0, "bss": 0}
    for section, _, size, file in _MAPPED.findall(text):
        own = os.path.basename(file).startswith("network-") or "libgcc.a" in file
        kind = section.split(".")[1]
        kind = {"data": "bss", "srodata": "rodata", "sbss": "bss", "sdata": "bss"}.get(kind, kind)
        if own and kind in sizes:
            sizes[kind] += int(size, 16)
    return sizes["text"], sizes["rodata"], sizes["bss"]


def _version(compiler: str) -> str:
    said = subprocess.run([compiler, "--version"], check=True, capture_output=True, text=True)
    return said.stdout.splitlines()[0].strip()
