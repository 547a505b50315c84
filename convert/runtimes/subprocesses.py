"""Separate processes for native code that may crash."""

import contextlib
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, cast

from onebit.processes import worker_command


@contextlib.contextmanager
def piped_worker(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """A module's process with pipes to and from it, which ends with the block.

    Args:
        module: Named in full.
        arguments: Of its command line.
        environment: Its variables; ours when None.

    Yields:
        The process, and the file that its standard error goes to.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            worker_command(module, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
        )
        try:
            yield process, errors
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    cast(IO[bytes], stream).close()


def how_it_ended(code: int, stderr: str) -> str:
    """How a process stopped: by which signal, or the last line that it wrote."""
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    lines = [line for line in stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"its process ended with {code}"
