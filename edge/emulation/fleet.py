"""Boards for whoever has none, by name, and the file with which commands reach them.

Ports and keys are always the same, so that one file of devices serves every time:
docs/examples/emulated.toml is the text of `fleet_text` for all of them.
"""

import contextlib
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.emulation import recipes
from edge.emulation.adbd import AdbBoard, UsersAdb
from edge.emulation.board import Board
from edge.emulation.ports import HOST, listens
from edge.emulation.sshd import CPUS, SshBoard
from edge.emulation.userland import UnavailableError, build, cache_folder


def client_folder(name: str) -> Path:
    """The folder of a board's keys and those with which ssh reaches it; it outlives the board."""
    return cache_folder().parent / "emulated" / name


@dataclass(frozen=True)
class Emulated:
    """A board that can be asked for.

    Attributes:
        summary: Its description.
        recipe: Its userland.
        cpu: What the emulator emulates.
        runtime: The folder of the userland's runtimes that is installed on it.
        port: Where it listens on this machine.
    """

    summary: str
    recipe: recipes.Recipe
    cpu: str
    runtime: str
    port: int


BOARDS = {
    "pi": Emulated(
        "64-bit Linux behind ssh", recipes.AARCH64, CPUS["aarch64"], "ai-edge-litert-2.3", 22640
    ),
    "pi32": Emulated(
        "32-bit Linux behind ssh", recipes.ARMV7, CPUS["armv7"], "tflite-runtime-2.14", 22320
    ),
    "phone": Emulated(
        "64-bit Linux with Python behind adb",
        recipes.AARCH64,
        CPUS["aarch64"],
        "ai-edge-litert-2.3",
        22550,
    ),
}


@contextlib.contextmanager
def emulated(
    names: Sequence[str], runtimes: bool = True, on_stage: Callable[[str], None] = lambda _: None
) -> Iterator[list[Board]]:
    """The boards of these names, up until the block ends.

    Args:
        names: Of `BOARDS`, each once.
        runtimes: Whether they have their runtimes; without, NumPy is all that is there.
        on_stage: Called with the name of each stage.

    Raises:
        UnavailableError: A tool, the network or a service of the kernel is missing, or a port is
            taken; the hint names Debian's package.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise UnavailableError("emulated boards need Linux on x86-64")
    for name in names:
        if listens(BOARDS[name].port):
            raise UnavailableError(
                f"port {BOARDS[name].port}, where {name} would listen, is taken",
                hint="is the board up already, from another terminal?",
            )
    with contextlib.ExitStack() as stack:
        boards = []
        for name in names:
            on_stage(f"unpacking Debian's packages for {name} (the first time 15 s and 100 MB)")
            kind = BOARDS[name]
            root = build(kind.recipe)
            runtime = kind.runtime if runtimes else None
            on_stage(f"starting {name}")
            if name == "phone":
                boards.append(stack.enter_context(_phone(root, runtime, kind.port)))
            else:
                boards.append(stack.enter_context(_pi(name, root, runtime, kind)))
        yield boards


@contextlib.contextmanager
def _pi(name: str, root: Path, runtime: str | None, kind: Emulated) -> Iterator[Board]:
    board = SshBoard(root, name, kind.cpu, client_folder(name), runtime=runtime)
    try:
        yield board.start_sshd(kind.port)
    finally:
        board.stop()


@contextlib.contextmanager
def _phone(root: Path, runtime: str | None, port: int) -> Iterator[Board]:
    adb = UsersAdb()
    board = AdbBoard(root, build(recipes.ADBD), runtime=runtime)
    try:
        yield board.start_adbd(adb, port)
    finally:
        adb.adb("disconnect", f"{HOST}:{port}")
        board.stop()


def fleet_text(names: Sequence[str]) -> str:
    """The file of devices with which commands reach these boards."""
    return FLEET_HEAD + "\n".join(_device(name) for name in names)


FLEET_HEAD = """\
# The emulated boards of `onebit edge devices --emulate`: their times say nothing about real ones.

"""


def _device(name: str) -> str:
    lines = ["[[device]]", f'name = "{name}"']
    port = BOARDS[name].port
    if name == "phone":
        return "\n".join([*lines, f'address = "adb:{HOST}:{port}"', ""])
    client = _with_tilde(client_folder(name))
    settings = [
        f"IdentityFile={client}/user_key",
        "IdentitiesOnly=yes",
        f"UserKnownHostsFile={client}/known_hosts",
        "GlobalKnownHostsFile=none",
        "StrictHostKeyChecking=yes",
    ]
    options = "".join(f'    "{setting}",\n' for setting in settings)
    return "\n".join(
        [*lines, f'address = "ssh://pi@{HOST}:{port}"', f"options = [\n{options}]", ""]
    )


def _with_tilde(path: Path) -> str:
    """A path below the home folder as ssh expands it; any other as it is."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
