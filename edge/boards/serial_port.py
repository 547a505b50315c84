"""A serial port as lines and bytes, by POSIX's termios; no package is needed."""

import fcntl
import glob
import os
import select
import termios
import time
import tty
from collections.abc import Sequence

from edge.boards.answers import HANG
from onebit.errors import OnebitError

UNPLUGGED, NO_PORT = "unplugged", "no-port"
"""Reason codes."""

_PORTS = ("/dev/ttyACM*", "/dev/ttyUSB*", "/dev/serial/by-id/*", "/dev/cu.usb*")
_LONGEST_LINE = 1 << 20


def known_ports() -> list[str]:
    """Paths of ports that look like those of boards."""
    return sorted(path for pattern in _PORTS for path in glob.glob(pattern))


def known_rates() -> list[int]:
    """The baud rates that this system can set."""
    names = (name[1:] for name in dir(termios) if name[0] == "B")
    return sorted(int(name) for name in names if name.isdecimal() and int(name))


class SerialPort:
    """An open serial port: 8 bits, no parity, one stop bit, no flow control.

    Attributes:
        path: Of the device.
        baud: Bits per second.
    """

    def __init__(self, path: str, baud: int) -> None:
        """Opens it, for this process only.

        Raises:
            OnebitError: There is none, it is in use, or it is not allowed.
        """
        self.path, self.baud = path, baud
        self._read = bytearray()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            raise _cannot_open(path, error) from error
        try:
            self._set_up()
        except BaseException:
            os.close(self._file)
            raise

    def _set_up(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OnebitError(
                f"{self.path} is in use", hint="close other programs that read it"
            ) from error
        try:
            tty.setraw(self._file)
            attributes = termios.tcgetattr(self._file)
            attributes[2] = attributes[2] | termios.CLOCAL | termios.CREAD
            attributes[4] = attributes[5] = getattr(termios, f"B{self.baud}")
            termios.tcsetattr(self._file, termios.TCSANOW, attributes)
            termios.tcflush(self._file, termios.TCIFLUSH)
        except termios.error as error:
            raise OnebitError(
                f"{self.path} is not a serial port", hint=_ports_hint(known_ports())
            ) from error

    def __enter__(self) -> "SerialPort":
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._file)

    def write(self, data: bytes, seconds: float) -> None:
        """Sends bytes.

        Raises:
            OnebitError: The board does not take them in time, or is gone.
        """
        view, deadline = memoryview(data), time.monotonic() + seconds
        while view:
            _, ready, _ = select.select([], [self._file], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise OnebitError(
                    f"the board behind {self.path} took nothing for {seconds:g} s", reason=HANG
                )
            try:
                view = view[os.write(self._file, view) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._unplugged() from error

    def read_line(self, seconds: float) -> str | None:
        """The next line without its end; None where no whole one comes within the time.

        Raises:
            OnebitError: The board is gone.
        """
        deadline = time.monotonic() + seconds
        while (end := self._read.find(b"\n")) < 0 and len(self._read) < _LONGEST_LINE:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._file], [], [], left)[0]:
                return None
            try:
                data = os.read(self._file, 1 << 16)
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._unplugged() from error
            if not data:
                raise self._unplugged()
            self._read += data
        end = len(self._read) if end < 0 else end
        line = bytes(self._read[:end])
        del self._read[: end + 1]
        return line.decode("utf-8", "replace").rstrip("\r")

    def rest(self) -> str:
        """The text that came since the last whole line."""
        return bytes(self._read).decode("utf-8", "replace")

    def _unplugged(self) -> OnebitError:
        return OnebitError(
            f"the board behind {self.path} was unplugged", hint="plug it in again", reason=UNPLUGGED
        )


def _ports_hint(ports: Sequence[str]) -> str:
    return f"ports here: {', '.join(ports)}" if ports else "no port of a board is here: plug it in"


def _cannot_open(path: str, error: OSError) -> OnebitError:
    if isinstance(error, FileNotFoundError):
        return OnebitError(f"there is no {path}", hint=_ports_hint(known_ports()), reason=NO_PORT)
    if isinstance(error, PermissionError):
        return OnebitError(
            f"you may not read {path}",
            hint="sudo usermod -aG dialout $USER, then log in again",
            reason=NO_PORT,
        )
    return OnebitError(f"cannot open {path}: {error.strerror}", reason=NO_PORT)
