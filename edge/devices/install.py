"""Installs what a device lacks into a separate environment in `~/.cache/onebit`.

A file beside the environment marks it as incomplete until everything is there, so that an
installation that is cut leaves nothing that a later run would take for a working Python.
"""

import posixpath
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge.devices import InterruptedRunError, RunnerError
from edge.devices.channel import ConnectionLostError, last_line
from edge.devices.delegate_builds import target_of, wheel_for
from edge.devices.remote import AgentDevice, runtime_packages
from edge.devices.shell import INCOMPLETE
from onebit.console import say
from onebit.errors import OnebitError

INSTALL_SECONDS = 1800
REMOVE_SECONDS = 60
OLDEST_GLIBC_MINOR = 17
OLDEST_NUMPY = (1, 23)
"""The runtimes' wheels are compiled against its interface, and crash with that of Debian 11."""
WHEEL_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "aarch64", "armv7": "armv7l"}

Download = Callable[[Sequence[str], Path], None]
DelegateWheel = Callable[[str, int, Path], Path]


def download_wheels(arguments: Sequence[str], folder: Path) -> None:
    """Downloads wheels with this Python's pip.

    Raises:
        RunnerError: pip is missing here, or there are no such wheels.
    """
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "--only-binary=:all:", "--dest", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        why = next((li for li in done.stderr.splitlines() if li.startswith("ERROR")), "")
        raise RunnerError(f"pip cannot download the wheels here: {why or last_line(done.stderr)}")


def make_environment(
    device: AgentDevice,
    venv: str,
    venv_hint: str,
    download: Download = download_wheels,
    delegate_wheel: DelegateWheel = wheel_for,
) -> None:
    """Makes an environment with NumPy, a runtime and the delegate on a device.

    pip runs on the device. Where it has no pip, or no network, pip and the wheels come from here. A
    NumPy that the device's own Python has is used. A failure leaves no environment behind.

    Args:
        device: Already entered.
        venv: The environment's folder there.
        venv_hint: How to install Python's module `venv` there.
        download: Downloads wheels here.
        delegate_wheel: Writes the delegate's wheel into a folder.

    Raises:
        RunnerError: The device has no `venv`, or a package is not available.
    """
    facts = device.facts
    packages = runtime_packages(facts["machine"], facts["bits"])
    has_numpy = _fits(facts["numpy"], packages)
    if has_numpy:
        packages = tuple(p for p in packages if not p.startswith("numpy"))
    say(f"{device.name}: installing {', '.join(packages)} into {venv}")
    folder, incomplete = shlex.quote(posixpath.dirname(venv)), shlex.quote(venv + INCOMPLETE)
    shell = f"mkdir -p {folder} && touch {incomplete}"
    done = device.execute(["sh", "-c", shell], REMOVE_SECONDS)
    if done.code != 0:
        raise RunnerError(f"{device.name} has no place for {venv}: {last_line(done.errors)}")
    try:
        with tempfile.TemporaryDirectory(prefix="onebit-install-") as scratch:
            pip = _environment(device, venv, venv_hint, has_numpy, Path(scratch), download)
            done = device.execute([*pip, "install", *packages], INSTALL_SECONDS)
            if done.code != 0:
                why = last_line(done.errors)
                say(f"{device.name}: pip fails there ({why}); taking the wheels from here")
                _from_host(device, pip, packages, Path(scratch), download)
            _delegate(device, pip, Path(scratch), delegate_wheel)
        device.execute(["rm", "-f", venv + INCOMPLETE], REMOVE_SECONDS)
    except (InterruptedRunError, ConnectionLostError):
        raise  # nothing can be run there any more; the mark stays
    except BaseException:
        device.execute(["rm", "-rf", venv, venv + INCOMPLETE], REMOVE_SECONDS)
        raise


def _fits(numpy: str | None, packages: Sequence[str]) -> bool:
    """Whether the NumPy that the device has is new enough for the runtime, and not too new."""
    version = re.match(r"(\d+)\.(\d+)", numpy or "")
    if version is None:
        return False
    major, minor = int(version[1]), int(version[2])
    return (major, minor) >= OLDEST_NUMPY and not ("numpy<2" in packages and major >= 2)


def _environment(
    device: AgentDevice, venv: str, hint: str, has_numpy: bool, folder: Path, download: Download
) -> list[str]:
    """Makes the virtual environment; returns the command of its pip."""
    facts = device.facts
    options = ["--system-site-packages"] if has_numpy else []
    options += [] if facts["has_pip"] else ["--without-pip"]
    command = [facts["executable"], "-m", "venv", "--clear", *options, venv]
    done = device.execute(command, INSTALL_SECONDS)
    if done.code != 0:
        raise RunnerError(
            f"{device.name} cannot make a virtual environment ({last_line(done.errors)})", hint=hint
        )
    python = f"{venv}/bin/python"
    if facts["has_pip"]:
        return [python, "-m", "pip", "--disable-pip-version-check"]
    download(["--no-deps", "--python-version", _minor(facts), "pip"], folder)
    (wheel,) = folder.glob("pip-*.whl")
    # A wheel of pip runs as it is.
    return [python, device.send(wheel, wheel.name) + "/pip", "--disable-pip-version-check"]


def _from_host(
    device: AgentDevice,
    pip: Sequence[str],
    packages: Sequence[str],
    folder: Path,
    download: Download,
) -> None:
    facts = device.facts
    architecture = WHEEL_ARCHITECTURES.get(target_of(facts["machine"], facts["bits"]) or "")
    glibc = re.fullmatch(r"2\.(\d+)", facts["libc_version"] or "")
    if architecture is None or glibc is None:
        raise RunnerError(
            f"no wheels are made for {facts['machine']} with {facts['libc']} "
            f"{facts['libc_version']}",
            hint=f"install numpy and a runtime on {device.name} by hand",
        )
    minors = range(int(glibc[1]), OLDEST_GLIBC_MINOR - 1, -1)
    platforms = [f"manylinux_2_{minor}_{architecture}" for minor in minors]
    platforms.append(f"manylinux2014_{architecture}")
    options = [part for platform in platforms for part in ("--platform", platform)]
    wheels = folder / "wheels"
    wheels.mkdir()
    version = ["--python-version", _minor(facts), "--implementation", "cp"]
    # PyPI has no NumPy for 32-bit ARM: there it is the device's own, which pip cannot see here.
    dependencies = [] if any(p.startswith("numpy") for p in packages) else ["--no-deps"]
    try:
        download([*options, *version, *dependencies, *packages], wheels)
    except RunnerError as error:
        if architecture != "armv7l":
            raise
        raise RunnerError(
            error.message,
            hint="PyPI has no NumPy for 32-bit ARM: install python3-numpy, 1.23 or newer, on "
            f"{device.name} with its package manager",
        ) from error
    sent = [device.send(wheel, wheel.name) for wheel in sorted(wheels.glob("*.whl"))]
    there = str(Path(sent[0]).parent)
    command = [*pip, "install", "--no-index", "--find-links", there, *dependencies, *packages]
    done = device.execute(command, INSTALL_SECONDS)
    if done.code != 0:
        raise RunnerError(f"pip fails on {device.name}: {last_line(done.errors)}")


def _delegate(
    device: AgentDevice, pip: Sequence[str], folder: Path, delegate_wheel: DelegateWheel
) -> None:
    """Installs the delegate's wheel; without it files without LCE's ops still run."""
    facts = device.facts
    try:
        wheel = delegate_wheel(facts["machine"], facts["bits"], folder)
    except OnebitError as error:
        say(f"{device.name}: without the delegate: {error}")
        return
    command = [*pip, "install", "--no-deps", device.send(wheel, wheel.name)]
    done = device.execute(command, INSTALL_SECONDS)
    if done.code != 0:
        say(f"{device.name}: without the delegate: {last_line(done.errors)}")


def _minor(facts: dict[str, Any]) -> str:
    return ".".join(str(facts["python"]).split(".")[:2])
