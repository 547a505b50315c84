"""Processes of their own for native code that may crash."""

import os
import signal
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def worker_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this project, named in full."""
    return [sys.executable, "-m", module, *arguments]


def worker_environment() -> dict[str, str]:
    """The environment in which it finds this package, wherever it is started."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def how_it_ended(code: int, stderr: str) -> str:
    """What is known of a process that stopped: the signal, or the last line that it wrote."""
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    lines = [line for line in stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"its process ended with {code}"
