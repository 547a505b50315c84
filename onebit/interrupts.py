"""Ctrl-C ends a command with the line `interrupted` and exit code 130, whatever it is doing.

While a command works, Ctrl-C raises `KeyboardInterrupt`, so that everything is cleaned up. While
modules are imported there is nothing to clean up, and an exception does harm: native extensions
abort when one appears in their initialisation, or report it as something else. There, and once a
command is done, Ctrl-C ends the process at once.

This module imports little, so that a program can call `end_at_once` before anything else.
"""

import _thread
import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

EXIT_CODE = 130
_LINE = b"interrupted\n"
_CLEAR = b"\r\x1b[2K\x1b[?25h"
"""Clears a terminal's line and shows the cursor, which a spinner had hidden."""


class _State:
    """The program's standard error, which native code may have redirected; whether it was hit."""

    stderr: int | None = None
    interrupted = False


def end_at_once() -> None:
    """Has Ctrl-C end this process at once; a program calls it first, before its imports.

    Without this call, in programs that use Onebit as a library, nothing here changes anything. A
    process that was started with Ctrl-C ignored, as shells do in the background, keeps ignoring it.
    """
    if _State.stderr is not None or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return
    with contextlib.suppress(OSError):  # standard error is closed
        _State.stderr = os.dup(2)
        sys.unraisablehook = _raise_again
        signal.signal(signal.SIGINT, _end)
        # Registered first, so called last: from then on Python would leave the signal to the
        # system, which kills without a word while modules are taken apart.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # see `held_back`


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Has Ctrl-C raise `KeyboardInterrupt` in the block."""
    with _handled_by(_raise):
        yield


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Has Ctrl-C end the process at once in the block, which imports native extensions."""
    with _handled_by(_end):
        yield


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Holds Ctrl-C back until the block ends.

    A process that the block starts holds it back until it calls `end_at_once`: Python itself, while
    it starts, would print a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def as_by_ctrl_c(*numbers: signal.Signals) -> Iterator[None]:
    """Has other signals, such as SIGTERM, raise `KeyboardInterrupt` in the block, as Ctrl-C does.

    Only the main thread gets signals: in others nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupted() -> bool:
    """Whether Ctrl-C was pressed, even if a library made another exception of it."""
    return _State.interrupted


@contextlib.contextmanager
def _handled_by(handler: Any) -> Iterator[None]:
    if _State.stderr is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end(number: int, frame: Any) -> None:
    if _State.stderr is not None:
        with contextlib.suppress(OSError):
            os.write(_State.stderr, (_CLEAR if os.isatty(_State.stderr) else b"") + _LINE)
    os._exit(EXIT_CODE)


def _raise(number: int, frame: Any) -> None:
    _State.interrupted = True
    raise KeyboardInterrupt


def _raise_again(unraisable: Any) -> None:
    """Raises a `KeyboardInterrupt` that appeared in a destructor, where Python only prints it."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        _thread.interrupt_main()
    else:
        sys.__unraisablehook__(unraisable)
