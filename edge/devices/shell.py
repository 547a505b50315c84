"""Shell commands that start the agent on a device."""

import shlex

from edge.devices.channel import BOOTSTRAP, NO_PYTHON_LINE

INCOMPLETE = ".incomplete"
"""Behind the name of an environment, the file that is there while it is made."""


def python_script(python: str | None, venv: str) -> str:
    """A POSIX shell script that runs the agent's bootstrap with the device's Python.

    Args:
        python: The Python; when None the one of `--install` if it is there, else `python3`.
        venv: The folder of `--install`'s environment, for the shell to expand.
    """
    find = (
        f'p="{venv}/bin/python"; [ -x "$p" ] && [ ! -e "{venv}{INCOMPLETE}" ] || p=python3'
        if python is None
        else f"p={shlex.quote(python)}"
    )
    return (
        f'{find}; command -v -- "$p" >/dev/null 2>&1 || {{ echo {NO_PYTHON_LINE}; exit 127; }}; '
        f'exec "$p" -c {shlex.quote(BOOTSTRAP)}'
    )


def shell_command(script: str) -> str:
    """A script as one command line that bash, fish and csh alike hand to `sh` unchanged."""
    return f"exec sh -c {shlex.quote(script)}"
