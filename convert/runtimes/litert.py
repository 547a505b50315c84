"""Runs files on stock LiteRT, with or without Onebit's delegate, beside LCE's interpreter."""

import contextlib
import importlib.util
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.runtimes.litert_worker import READY, receive, send
from convert.runtimes.subprocesses import how_it_ended, piped_worker
from onebit.delegate import HINT, Delegate, find_delegate

LITERT = "ai-edge-litert"


def usable_delegate() -> tuple[Delegate, str]:
    """The delegate, and the label that reports give it and the LiteRT that runs it.

    Raises:
        ConversionError: LiteRT or the delegate is not installed.
    """
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise ConversionError(f"{LITERT} is not installed")
    delegate = find_delegate()
    if delegate is None:
        raise ConversionError("it is not there", hint=HINT)
    return delegate, f"{delegate.label} on {LITERT} {metadata.version(LITERT)}"


@contextlib.contextmanager
def running_on_litert(
    content: bytes, delegate: Delegate | None = None
) -> Iterator["LitertInterpreter"]:
    """A `.tflite` file on stock LiteRT, in a process that ends with the block.

    Args:
        content: The file.
        delegate: The delegate that runs LCE's operators; a float file needs none.

    Raises:
        ConversionError: LiteRT or the delegate refuses the file; the message has the reason.
    """
    with tempfile.TemporaryDirectory(prefix="onebit-") as folder:
        file = Path(folder) / "model.tflite"
        file.write_bytes(content)
        library = "" if delegate is None else str(delegate.library)
        worker = piped_worker("convert.runtimes.litert_worker", library, str(file))
        with worker as (process, errors):
            yield LitertInterpreter(process, errors, _runtime(delegate))


def _runtime(delegate: Delegate | None) -> str:
    return "LiteRT" if delegate is None else "LiteRT with the delegate"


class LitertInterpreter:
    """The process of `running_on_litert`; has the interface of `LceInterpreter`.

    Args:
        process: The process, just started.
        errors: The file that its standard error goes to.
        name: The runtime's name in messages.

    Raises:
        ConversionError: It refuses its file.
    """

    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes], name: str) -> None:
        self._process, self._errors, self._name = process, errors, name
        self._requests, self._answers = (
            cast(IO[bytes], process.stdin),
            cast(IO[bytes], process.stdout),
        )
        state = self._answers.readline().decode("utf-8", "replace").strip()
        if state != READY:
            reasons = [*re.findall(r"ERROR: (.+)", self._stderr()), state or self._end()]
            raise ConversionError(f"{name} refuses the file: {'; '.join(dict.fromkeys(reasons))}")

    def run(
        self,
        samples: Sequence[NDArray[np.float32]],
        tick: Callable[[], None] | None = None,
    ) -> list[NDArray[np.generic]]:
        """The outputs for samples `[N, …]` (one array per input): `[N, …]`, one per output.

        Args:
            samples: One array per input, `[N, …]`.
            tick: Called once for every sample.

        Raises:
            ConversionError: The process ended, as that of a delegate that crashes does.
        """
        try:
            send(self._requests, samples)
            outputs = receive(self._answers)
        except (OSError, EOFError) as error:
            raise ConversionError(f"{self._name} failed: {self._end()}") from error
        if tick is not None:
            for _ in samples[0]:
                tick()
        return outputs

    def _stderr(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode("utf-8", "replace")

    def _end(self) -> str:
        """How a process ended that stopped answering."""
        return how_it_ended(self._process.wait(), self._stderr())
