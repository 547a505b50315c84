"""`--install` on a device whose Python has nothing, with a pip that works or does not."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from edge.devices import RunnerError, install
from edge.devices.install import install_missing
from edge.devices.local import LocalDevice
from edge.devices.ssh import SshDevice

# What stands in for pip on the device: it notes its arguments, and fails without --no-index if
# there is no network.
PIP = """\
import os, sys
with open(os.environ["FAKE_LOG"] + "/pip", "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
if os.path.exists(os.environ["FAKE_LOG"] + "/offline") and "--no-index" not in sys.argv:
    if "--no-deps" not in sys.argv:
        sys.exit("ERROR: No matching distribution found for ai-edge-litert")
site = os.path.join(sys.prefix, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
for name in ("numpy", "ai_edge_litert"):
    os.makedirs(os.path.join(site, name), exist_ok=True)
    open(os.path.join(site, name, "__init__.py"), "w").close()
"""


@pytest.fixture
def device(fake, tmp_path, monkeypatch):
    """A board whose Python finds no packages; the wheels that are made here are empty files."""
    fake()
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}"
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {base} -S "$@"\n')
    bare.chmod(0o755)
    wheel = tmp_path / "onebit_delegate-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"")
    monkeypatch.setattr(install, "wheel_for", lambda machine, bits, folder: wheel)
    environment = install._environment

    def with_fake_pip(device, venv, folder):
        command = environment(device, venv, folder)
        pip = tmp_path / "pip.py"
        pip.write_text(PIP)
        return [command[0], device.send(pip, "pip.py"), *command[2:]]

    monkeypatch.setattr(install, "_environment", with_fake_pip)
    return SshDevice("ssh://pi@board", python=str(bare))


def calls(tmp_path):
    return [line.split() for line in (tmp_path / "log" / "pip").read_text().splitlines()]


def test_packages_and_the_delegate_are_installed_apart(device, tmp_path):
    with device:
        install_missing(device)
        executable = device.facts["executable"]
        assert device.offers() == {"litert"}
    assert executable == str(tmp_path / "home of pi" / ".cache/onebit/venv/bin/python")
    first, second = calls(tmp_path)
    assert first[-3:] == ["install", "ai-edge-litert", "numpy"]
    assert second[-1].endswith("/onebit_delegate-0.1.0-py3-none-any.whl")


def test_without_network_the_wheels_come_from_here(device, tmp_path, monkeypatch):
    (tmp_path / "log" / "offline").touch()
    asked = []

    def download(arguments, folder):
        asked.extend(arguments)
        (folder / "numpy-1-any.whl").write_bytes(b"")

    monkeypatch.setattr(install, "_download", download)
    with device:
        install_missing(device)
        device.require()
    platforms = [value for key, value in itertools.pairwise(asked) if key == "--platform"]
    assert platforms[-1] == "manylinux2014_x86_64"
    assert "manylinux_2_17_x86_64" in platforms
    assert "--no-index" in calls(tmp_path)[1]


def test_device_that_has_everything_is_left_alone(fake, monkeypatch):
    fake()
    monkeypatch.setattr(install, "_environment", None)
    with SshDevice("ssh://pi@board") as device:
        install_missing(device)


def test_device_without_venv_says_what_to_install(fake, tmp_path):
    fake()
    bare = tmp_path / "python"
    bare.write_text(
        f'#!/bin/sh\ncase "$*" in *venv*) echo "No module named venv" >&2; exit 1;; esac\n'
        f'exec {sys.executable} -S "$@"\n'
    )
    bare.chmod(0o755)
    # The agent starts this Python as what it is, so that its own path leads to the script.
    device = SshDevice("ssh://pi@board", python=str(bare))
    with device:
        device.facts["executable"] = str(bare)
        with pytest.raises(RunnerError, match=r"No module named venv.*apt install python3-venv"):
            install_missing(device)


def test_download_that_fails_is_told(monkeypatch, tmp_path):
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: x\nERROR: No matching distribution\n")
    monkeypatch.setattr(install.subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(RunnerError, match="ERROR: No matching distribution"):
        install._download(["numpy"], tmp_path)


def test_this_machine_is_not_installed_to():
    device = LocalDevice()

    def missing():
        raise RunnerError("local has no numpy")

    device.require = missing
    with pytest.raises(RunnerError, match="local has no numpy"):
        install_missing(device)
