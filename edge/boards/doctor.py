"""Checks what this machine has for emulated boards, and whether a real one answers."""

import shutil
from collections.abc import Iterator

from edge.boards.catalogue import BOARDS, Board
from edge.boards.emulator import emulator_version
from edge.boards.firmware import install_hint, missing_programs
from edge.boards.serial_board import SerialBoard, ask_board, core_name
from edge.devices.doctor import ERROR, FINE, Check
from onebit.errors import OnebitError


def examine_board(board: Board) -> Iterator[Check]:
    """Whether the compilers and the emulator of a board are installed."""
    yield _toolchain(board, "toolchain")
    yield _compiler()


def examine_boards() -> Iterator[Check]:
    """The same of every emulated board."""
    for board in BOARDS.values():
        yield _toolchain(board, board.name)
    yield _compiler()


def examine_serial_board(board: SerialBoard) -> Iterator[Check]:
    """Whether the port is there, and the harness behind it answers."""
    yield _compiler()
    try:
        answers = ask_board(board, [], 0)
    except OnebitError as error:
        yield Check("board", ERROR, error.message, error.hint)
        return
    name = core_name(answers.core) or "a processor without a name"
    yield Check("board", FINE, f"{name}, the network from {answers.sha256[:16]}…")
    if all(inference.agrees for inference in answers.inferences):
        yield Check("answers", FINE, "its test vectors agree")
    else:
        fix = "compile without -ffast-math, and write the harness on it again"
        yield Check("answers", ERROR, "its test vectors do not agree", fix)


def _toolchain(board: Board, check: str) -> Check:
    missing = missing_programs(board)
    if missing:
        return Check(check, ERROR, f"{', '.join(missing)} missing", install_hint(board))
    found = f"{board.core}: {board.toolchain.prefix}gcc, {emulator_version(board)}"
    return Check(check, FINE, found)


def _compiler() -> Check:
    if shutil.which("cc") is None:
        return Check("compiler", ERROR, "no C compiler for this machine", "apt-get install gcc")
    return Check("compiler", FINE, "cc, for the answers that boards are compared with")
