"""Commands that run modules of this project in other processes."""

import sys
from pathlib import Path

_ROOT = Path(__file__).parents[1]

# In place of `-m`, which looks for the module in the working folder first: a user's `convert.py` or
# `numpy.py` there is not ours to import.
_START = (
    "import runpy, sys; sys.path[:] = [sys.argv.pop(1), *filter(None, sys.path)]; "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def worker_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this project, named in full, from any folder."""
    return [sys.executable, "-c", _START, str(_ROOT), module, *arguments]
