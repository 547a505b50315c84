"""Shared libraries from the C sources of this project, for programs of this machine's kind."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edge.emulation.userland import UnavailableError


def c_compiler() -> str:
    """The path of this machine's C compiler.

    Raises:
        UnavailableError: There is none.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise UnavailableError("a C compiler is missing", hint="sudo apt-get install gcc")
    return compiler


def compile_library(source: Path, library: Path, flags: Sequence[str] = ()) -> None:
    """Compiles a C source to a shared library.

    Raises:
        UnavailableError: There is no C compiler, or it fails.
    """
    command = [c_compiler(), "-O2", "-shared", "-fPIC", *flags, "-o", str(library), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if "error" in line), "no message")
        raise UnavailableError(f"{source.name} does not compile: {reason}")
