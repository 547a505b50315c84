"""Separate processes for native code that may crash."""

import signal
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


# In place of `-m`, which looks for the module in the working folder first: a user's `convert.py` or
# `numpy.py` there is not ours to import.
_START = (
    "import runpy, sys; sys.path[:] = [sys.argv.pop(1), *filter(None, sys.path)]; "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def worker_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this project, named in full, from any folder."""
    return [sys.executable, "-c", _START, str(_ROOT), module, *arguments]


def how_it_ended(code: int, stderr: str) -> str:
    """How a process stopped: by which signal, or the last line that it wrote."""
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    lines = [line for line in stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"its process ended with {code}"
