"""`edge bench --device mcu:BOARD` or `serial:PORT`: exported networks on microcontrollers."""

from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from edge.bench.cells import describe_run
from edge.bench.samples import EvalSamples
from edge.boards.catalogue import PREFIX as MCU
from edge.boards.catalogue import Board, find_board
from edge.boards.exports import is_export, read_export
from edge.boards.measurement import cell_key, measure
from edge.boards.serial_board import PREFIX as SERIAL
from edge.boards.serial_board import SerialBoard, parse_serial_board
from edge.results.cell_key import CellKey
from edge.results.row import Row
from edge.results.tables import microcontroller_columns, microcontroller_line
from onebit.cli import emit
from onebit.console import say
from onebit.errors import UsageError

OPTIONAL = ("input", "stack")


def asks_for_boards(files: Sequence[str], addresses: Sequence[str]) -> bool:
    """Whether a command is about exported networks on boards.

    Raises:
        UsageError: It mixes them with `.tflite` files or other devices.
    """
    boards = [is_board(address) for address in addresses]
    exports = [is_export(Path(file)) for file in files]
    if not any(boards):
        if any(exports):
            raise UsageError(
                "an exported network runs on boards", hint="add --device mcu:mps2-an500"
            )
        return False
    if not all(boards):
        raise UsageError("boards are measured apart from other devices")
    return True


def is_board(address: str) -> bool:
    """Whether an address is that of a microcontroller, emulated or real."""
    return address.startswith((MCU, SERIAL))


def board_of(address: str) -> Board | SerialBoard:
    """The microcontroller of an address.

    Raises:
        UsageError: It is malformed, or there is no such board.
    """
    return parse_serial_board(address) if address.startswith(SERIAL) else find_board(address)


def board_rows(
    files: Sequence[str],
    addresses: Sequence[str],
    command: str,
    timeout: float | None,
    done: Container[CellKey] = (),
    samples: EvalSamples | None = None,
) -> Iterator[Row]:
    """The row of every network on every board, but of those that are done.

    Raises:
        UsageError: A board is unknown, or a file is not an exported network.
    """
    boards = [board_of(address) for address in addresses]
    networks = [read_export(Path(file)) for file in files]
    run = describe_run(command)
    for network in networks:
        for board in boards:
            if cell_key(network, board) in done:
                continue
            say(f"{network.name} on {board.address}")
            yield measure(network, board, run, timeout, samples=samples)


def print_board_rows(rows: Sequence[Row]) -> None:
    """The rows as a table, and below it why some of them failed."""
    if rows:
        lines = [microcontroller_line(row) for row in rows]
        emit(lines, "table", columns=microcontroller_columns(lines), optional=OPTIONAL)
    for row in rows:
        if row.firmware is None or not row.firmware.same_as_host or not row.firmware.vectors_agree:
            say(f"{row.status}: {row.model.name} on {row.host.device}: {row.reason}")
