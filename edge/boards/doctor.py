"""Checks what this machine has for a board."""

import shutil
from collections.abc import Iterator

from edge.boards.catalogue import Board
from edge.boards.emulator import emulator_version
from edge.boards.firmware import install_hint, missing_programs
from edge.devices.doctor import ERROR, FINE, Check


def examine_board(board: Board) -> Iterator[Check]:
    """Whether the compilers and the emulator of a board are installed."""
    missing = missing_programs(board)
    if missing:
        yield Check("toolchain", ERROR, f"{', '.join(missing)} missing", install_hint(board))
    else:
        yield Check("toolchain", FINE, f"{board.toolchain.prefix}gcc, {emulator_version(board)}")
    if shutil.which("cc") is None:
        yield Check("compiler", ERROR, "no C compiler for this machine", "apt-get install gcc")
    else:
        yield Check("compiler", FINE, "cc, for the answers that boards are compared with")
