"""Builds the delegate: `python build_library.py [--target TARGET] [--zig] [--sanitize WITH]`.

It prints the library's path. CMake and the compiler are the system's where there are any;
otherwise, and to cross-compile, they come from PyPI (packages cmake and ziglang) into a private
environment.
"""

import argparse
import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOLS = HERE / "build" / "tools"
LIBRARY = "libonebit_delegate.so"

# ziglang's triple, with the oldest glibc that the library must run on, and CMake's processor.
TARGETS = {
    "x86_64": ("x86_64-linux-gnu.2.28", "x86_64"),
    "aarch64": ("aarch64-linux-gnu.2.28", "aarch64"),
    "armv7": ("arm-linux-gnueabihf.2.28", "armv7"),
}


class ToolsMissingError(Exception):
    """CMake or the compiler is neither installed nor available from PyPI."""


def tool_package(module: str, requirement: str) -> Path:
    """The Python of a private environment that has `requirement`, installed on first use.

    Raises:
        ToolsMissingError: PyPI cannot be reached.
    """
    python = TOOLS / "bin" / "python"
    if not python.exists():
        venv.create(TOOLS, with_pip=True)
    if subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode:
        print(f"Installing {requirement} into {TOOLS}", file=sys.stderr)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, requirement], stdout=sys.stderr).returncode:
            raise ToolsMissingError(f"{requirement} is neither installed nor can pip install it")
    return python


def find_cmake() -> str:
    """The system's CMake, or the one from PyPI."""
    found = shutil.which("cmake")
    if found:
        return found
    tool_package("cmake", "cmake>=3.28")
    return str(TOOLS / "bin" / "cmake")


def find_zig() -> list[str]:
    """The command that runs Zig: this Python's package, or a private one."""
    if (
        subprocess.run([sys.executable, "-c", "import ziglang"], capture_output=True).returncode
        == 0
    ):
        return [sys.executable, "-m", "ziglang"]
    return [str(tool_package("ziglang", "ziglang==0.17.1")), "-m", "ziglang"]


def zig_compilers(folder: Path, triple: str, flags: list[str]) -> list[str]:
    """Writes `cc`, `c++` and `ar` that call Zig, one file each; returns the CMake options."""
    folder.mkdir(parents=True, exist_ok=True)
    zig = " ".join(f'"{part}"' for part in find_zig())
    options = []
    for tool, variable in (("cc", "C_COMPILER"), ("c++", "CXX_COMPILER"), ("ar", "AR")):
        wrapper = folder / f"zig-{tool}"
        target = "" if tool == "ar" else f"-target {triple} {' '.join(flags)} "
        # CMake links a program to learn about the compiler. With libc++, which the library does not
        # need, Zig would build that first, for a minute or two.
        link = 'case " $* " in *" -c "*) ;; *) set -- -nostdlib++ "$@" ;; esac\n'
        lines = f'{link if tool == "c++" else ""}exec {zig} {tool} {target}"$@"\n'
        wrapper.write_text(f"#!/bin/sh\n{lines}")
        wrapper.chmod(0o755)
        options.append(f"-DCMAKE_{variable}={wrapper}")
    return options


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Waits until no other process builds in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(
    target: str | None = None,
    *,
    zig: bool = False,
    sanitize: str | None = None,
    unit_tests: bool = False,
) -> Path:
    """Builds the library for `target`, or for this machine, and returns its path.

    Args:
        target: One of `TARGETS`.
        zig: Use Zig for this machine, too.
        sanitize: `address` for AddressSanitizer and UBSan, or `thread`.
        unit_tests: Build the program `unit_tests` beside the library.

    Raises:
        ToolsMissingError: There is no CMake or compiler, and PyPI cannot be reached.
        subprocess.CalledProcessError: CMake or the compiler failed.
    """
    with alone(HERE / "build"):
        return _build(target, zig, sanitize, unit_tests)


def _build(target: str | None, zig: bool, sanitize: str | None, unit_tests: bool) -> Path:
    parts = [target or "native", sanitize and f"sanitize-{sanitize}", "zig" if zig else ""]
    folder = HERE / "build" / "-".join(filter(None, parts))
    options = [
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DONEBIT_SANITIZE={sanitize or ''}",
        f"-DONEBIT_UNIT_TESTS={'ON' if unit_tests else 'OFF'}",
    ]
    host = sysconfig.get_platform().rpartition("-")[2]
    if target or zig or not (shutil.which("c++") or os.environ.get("CXX")):
        triple, processor = TARGETS[target or {"armv7l": "armv7"}.get(host, host)]
        flags = ["-mcpu=generic+v7a+vfp3+neon"] if processor == "armv7" else []
        options += zig_compilers(folder / "compilers", triple, flags)
        options += ["-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={processor}"]
    cmake = find_cmake()
    for command in (
        [cmake, "-S", str(HERE), "-B", str(folder), *options],
        [cmake, "--build", str(folder), "--parallel", "2"],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.stderr.write(done.stdout + done.stderr)
            raise subprocess.CalledProcessError(done.returncode, command)
    return folder / LIBRARY


def main() -> None:
    """Parses the command line, builds, prints the path."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=sorted(TARGETS), help="cross-compile with Zig")
    parser.add_argument("--zig", action="store_true", help="use Zig for this machine too")
    parser.add_argument(
        "--sanitize",
        nargs="?",
        const="address",
        choices=("address", "thread"),
        help="with AddressSanitizer and UBSan (the default), or with ThreadSanitizer",
    )
    arguments = parser.parse_args()
    try:
        print(build(arguments.target, zig=arguments.zig, sanitize=arguments.sanitize))
    except (ToolsMissingError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
