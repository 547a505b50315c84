"""Real boards behind a serial port: `serial:/dev/ttyACM0`, `serial:/dev/ttyACM0@921600`.

The board runs the sources of `onebit edge harness`; `package/serial.c` describes what both say.
"""

import time
from dataclasses import dataclass

from edge.boards.answers import GARBLED, HANG, AnswerReader, Answers
from edge.boards.serial_port import SerialPort, known_rates
from onebit.errors import OnebitError, UsageError

PREFIX = "serial:"
BAUD = 115200
SILENCE_SECONDS = 60.0
"""How long a board may compute between two lines."""

_START_SECONDS = 10.0
_ASK_AGAIN_SECONDS = 2.0
"""Opening its port resets many a board, which then does not hear the first request."""

_CORES = {
    0xC20: "Cortex-M0",
    0xC60: "Cortex-M0+",
    0xC21: "Cortex-M1",
    0xC23: "Cortex-M3",
    0xC24: "Cortex-M4",
    0xC27: "Cortex-M7",
    0xD20: "Cortex-M23",
    0xD21: "Cortex-M33",
    0xD22: "Cortex-M55",
    0xD23: "Cortex-M85",
}
"""Part numbers in Arm's CPUID register."""


@dataclass(frozen=True)
class SerialBoard:
    """A board behind a serial port.

    Attributes:
        path: Of the port.
        baud: Bits per second.
    """

    path: str
    baud: int = BAUD

    @property
    def address(self) -> str:
        """As the command line takes it; the usual rate is left out."""
        return f"{PREFIX}{self.path}" + (f"@{self.baud}" if self.baud != BAUD else "")


def parse_serial_board(address: str) -> SerialBoard:
    """The board of an address such as `serial:/dev/ttyACM0@921600`.

    Raises:
        UsageError: It has no path, or a rate that no port here has.
    """
    path, at, rate = address.removeprefix(PREFIX).partition("@")
    if not path:
        raise UsageError(f"{address} has no port", hint="write serial:/dev/ttyACM0")
    if not at:
        return SerialBoard(path)
    rates = known_rates()
    if not rate.isdecimal() or int(rate) not in rates:
        usual = ", ".join(str(r) for r in rates if r >= 9600)
        raise UsageError(f"{rate!r} is not a baud rate", hint=f"known: {usual}")
    return SerialBoard(path, int(rate))


def core_name(core: int | None) -> str | None:
    """The processor of a CPUID; None where it is not known."""
    return None if core is None else _CORES.get(core >> 4 & 0xFFF)


def ask_board(
    board: SerialBoard,
    inputs: list[bytes],
    input_bytes: int,
    seconds: float = SILENCE_SECONDS,
) -> Answers:
    """Has a board run its test vectors and samples.

    Args:
        board: Where it is.
        inputs: The input structure of each sample.
        input_bytes: The size of one; a board that was left in the middle of one gets its rest.
        seconds: How long it may say nothing.

    Raises:
        OnebitError: It is missing, says nothing, is unplugged, or its lines are garbled.
    """
    reader = AnswerReader()
    with SerialPort(board.path, board.baud) as port:
        # Of a run that was cut off the board may still await a sample, and then its end.
        port.write(b"E" * (input_bytes + 1), seconds)
        _begin(port, reader)
        _read_until(port, reader, "ready", seconds)
        for data in inputs:
            port.write(b"S" + data, seconds)
            _read_until(port, reader, "ready", seconds)
        port.write(b"E", seconds)
        _read_until(port, reader, "end", seconds)
    answers = reader.answers()
    if answers is None:
        raise OnebitError(f"the board behind {board.path} did not begin", reason=GARBLED)
    return answers


def _begin(port: SerialPort, reader: AnswerReader) -> None:
    """Asks until the board begins; what it said before is of another run, or of its start-up."""
    deadline, heard = time.monotonic() + _START_SECONDS, ""
    while time.monotonic() < deadline:
        port.write(b"R", _ASK_AGAIN_SECONDS)
        again = time.monotonic() + _ASK_AGAIN_SECONDS
        while (left := again - time.monotonic()) > 0:
            line = port.read_line(left)
            if line is None:
                break
            heard = line or heard
            if '"kind": "start"' in line and reader.read(line) == "start":
                return
    heard = heard or port.rest()
    if heard and not heard.isprintable():
        raise OnebitError(
            f"the board behind {port.path} printed {heard[:40]!r}, which is not text",
            hint=f"is its port at {port.baud} baud, too? write serial:{port.path}@BAUD",
            reason=GARBLED,
        )
    raise OnebitError(
        f"the board behind {port.path} did not answer within {_START_SECONDS:g} s"
        + (f"; last it printed: {heard[:80]}" if heard else ""),
        hint="is the harness on it (`onebit edge harness`), and its port at "
        f"{port.baud} baud? Press its reset button",
        reason=HANG,
    )


def _read_until(port: SerialPort, reader: AnswerReader, kind: str, seconds: float) -> None:
    while True:
        line = port.read_line(seconds)
        if line is None:
            raise OnebitError(
                f"the board behind {port.path} said nothing for {seconds:g} s",
                hint="it hangs, or needs longer: raise --timeout; press its reset button",
                reason=HANG,
            )
        found = reader.read(line)
        if found == kind:
            return
        if found is None:
            raise OnebitError(
                f"the board behind {port.path} printed a garbled line: {line[:80]!r}",
                hint="does its program print something else, or is the cable loose?",
                reason=GARBLED,
            )
