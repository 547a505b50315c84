"""Installs what a device behind ssh lacks, into an environment of its own in `~/.cache/onebit`."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.devices import Device, RunnerError
from edge.devices.channel import last_line
from edge.devices.delegate_builds import target_of, wheel_for
from edge.devices.remote import runtime_packages
from edge.devices.ssh import VENV, SshDevice
from onebit.cli import say
from onebit.errors import OnebitError

INSTALL_SECONDS = 1800
OLDEST_GLIBC_MINOR = 17
WHEEL_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "aarch64", "armv7": "armv7l"}


def install_missing(device: Device) -> None:
    """Makes the environment with numpy, a runtime and the delegate, unless the device has them.

    pip runs on the device. Where it has no pip, or no network, pip and the wheels come from here.

    Raises:
        RunnerError: The device has no `venv`, or a package cannot be had.
    """
    try:
        device.require()
        return
    except RunnerError as error:
        if not isinstance(device, SshDevice):
            if device.kind == "local":
                raise
            raise RunnerError(f"{error}; --install is for devices behind ssh") from error
    facts = device.facts
    venv = VENV.replace("$HOME", facts["home"])
    packages = runtime_packages(facts["machine"], facts["bits"])
    _say(device, f"installing {', '.join(packages)} into {venv}")
    with tempfile.TemporaryDirectory(prefix="onebit-install-") as scratch:
        folder = Path(scratch)
        pip = _environment(device, venv, folder)
        found = device.execute([*pip, "install", *packages], INSTALL_SECONDS)
        if found.code != 0:
            _say(
                device, f"pip fails there ({last_line(found.errors)}); taking the wheels from here"
            )
            _from_host(device, pip, packages, folder)
        _delegate(device, pip, folder)
    device.use_installed()
    device.reconnect()
    device.require()


def _environment(device: SshDevice, venv: str, folder: Path) -> list[str]:
    """Makes the virtual environment; returns the command of its pip."""
    facts = device.facts
    python = f"{venv}/bin/python"
    options = [] if facts["has_pip"] else ["--without-pip"]
    command = [facts["executable"], "-m", "venv", "--clear", *options, venv]
    done = device.execute(command, INSTALL_SECONDS)
    if done.code != 0:
        raise RunnerError(
            f"{device.name} cannot make a virtual environment ({last_line(done.errors)}); on "
            f"Debian and Raspberry Pi OS run: ssh {device.target} sudo apt install python3-venv"
        )
    if facts["has_pip"]:
        return [python, "-m", "pip", "--disable-pip-version-check"]
    _download(["--no-deps", "--python-version", _minor(facts), "pip"], folder)
    (wheel,) = folder.glob("pip-*.whl")
    # A wheel of pip runs as it is.
    return [python, device.send(wheel, wheel.name) + "/pip", "--disable-pip-version-check"]


def _from_host(
    device: SshDevice, pip: Sequence[str], packages: Sequence[str], folder: Path
) -> None:
    facts = device.facts
    architecture = WHEEL_ARCHITECTURES.get(target_of(facts["machine"], facts["bits"]) or "")
    glibc = re.fullmatch(r"2\.(\d+)", facts["libc_version"] or "")
    if architecture is None or glibc is None:
        raise RunnerError(
            f"no wheels are made for {facts['machine']} with {facts['libc']} "
            f"{facts['libc_version']}: install numpy and a runtime on {device.name} by hand"
        )
    minors = range(int(glibc[1]), OLDEST_GLIBC_MINOR - 1, -1)
    platforms = [f"manylinux_2_{minor}_{architecture}" for minor in minors]
    platforms.append(f"manylinux2014_{architecture}")
    options = [part for platform in platforms for part in ("--platform", platform)]
    wheels = folder / "wheels"
    wheels.mkdir()
    version = ["--python-version", _minor(facts), "--implementation", "cp"]
    _download([*options, *version, *packages], wheels)
    sent = [device.send(wheel, wheel.name) for wheel in sorted(wheels.glob("*.whl"))]
    there = str(Path(sent[0]).parent)
    command = [*pip, "install", "--no-index", "--find-links", there, *packages]
    done = device.execute(command, INSTALL_SECONDS)
    if done.code != 0:
        raise RunnerError(f"pip fails on {device.name}: {last_line(done.errors)}")


def _delegate(device: SshDevice, pip: Sequence[str], folder: Path) -> None:
    """Installs the delegate's wheel; without it files without LCE's ops still run."""
    facts = device.facts
    try:
        wheel = wheel_for(facts["machine"], facts["bits"], folder)
    except OnebitError as error:
        _say(device, f"without the delegate: {error}")
        return
    command = [*pip, "install", "--no-deps", device.send(wheel, wheel.name)]
    done = device.execute(command, INSTALL_SECONDS)
    if done.code != 0:
        _say(device, f"without the delegate: {last_line(done.errors)}")


def _download(arguments: Sequence[str], folder: Path) -> None:
    """Wheels by this Python's pip.

    Raises:
        RunnerError: pip is missing here, or there are no such wheels.
    """
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "--only-binary=:all:", "--dest", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        why = next((li for li in done.stderr.splitlines() if li.startswith("ERROR")), "")
        raise RunnerError(f"pip cannot download the wheels here: {why or last_line(done.stderr)}")


def _minor(facts: dict[str, Any]) -> str:
    return ".".join(str(facts["python"]).split(".")[:2])


def _say(device: Device, text: str) -> None:
    say(f"{device.name}: {text}")
