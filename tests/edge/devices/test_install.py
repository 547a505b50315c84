"""`--install` on a device whose Python has nothing, with a pip that works or does not."""

import itertools
import sys
import zipfile
from pathlib import Path

import pytest

from edge.devices import RunnerError
from edge.devices.install import download_wheels
from edge.devices.local import LocalDevice
from edge.devices.ssh import SshDevice

# The content of the wheel of pip that is sent to the device: it notes its arguments, and fails
# without --no-index if there is no network.
PIP = """\
import os, sys
with open(os.environ["FAKE_LOG"] + "/pip", "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
if os.path.exists(os.environ["FAKE_LOG"] + "/broken"):
    sys.exit("ERROR: it is broken")
if os.path.exists(os.environ["FAKE_LOG"] + "/offline") and "--no-index" not in sys.argv:
    if "--no-deps" not in sys.argv:
        sys.exit("ERROR: No matching distribution found for ai-edge-litert")
site = os.path.join(sys.prefix, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
for name in ("numpy", "ai_edge_litert"):
    os.makedirs(os.path.join(site, name), exist_ok=True)
    open(os.path.join(site, name, "__init__.py"), "w").close()
"""


class Installer:
    """This machine's part of an installation: empty wheels, and a pip that notes its calls.

    Attributes:
        asked: The arguments of every download.
    """

    def __init__(self, folder):
        self._folder = folder
        self.asked = []

    def download(self, arguments, folder):
        self.asked.append(list(arguments))
        if arguments[-1] == "pip":
            with zipfile.ZipFile(folder / "pip-0-py3-none-any.whl", "w") as wheel:
                wheel.writestr("pip/__main__.py", PIP)
        else:
            (folder / "numpy-1-any.whl").write_bytes(b"")

    def delegate_wheel(self, machine, bits, folder):
        wheel = folder / "onebit_delegate-0.1.0-py3-none-any.whl"
        wheel.write_bytes(b"")
        return wheel

    def calls(self):
        """The arguments of pip's calls on the device."""
        return [line.split() for line in (self._folder / "pip").read_text().splitlines()]

    def install(self, device, **facts):
        """Installs on a device, whose agent reports that it has no pip, and these facts."""
        device.facts.update({"has_pip": False, **facts})
        device.install(self.download, self.delegate_wheel)


@pytest.fixture
def installer(tmp_path):
    return Installer(tmp_path / "log")


@pytest.fixture
def device(fake, tmp_path):
    """A board whose Python finds no packages."""
    fake()
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}"
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {base} -S "$@"\n')
    bare.chmod(0o755)
    return SshDevice("ssh://pi@board", python=str(bare))


@pytest.fixture
def venv(tmp_path):
    return tmp_path / "home of pi" / ".cache/onebit/venv"


def test_environment_is_marked_while_it_is_made(device, installer, venv):
    marked = []

    def note(*arguments):
        marked.append(venv.with_name("venv.incomplete").exists())
        return Installer.delegate_wheel(installer, *arguments)

    installer.delegate_wheel = note
    with device:
        folder = Path(device.facts["folder"])
        installer.install(device)
        assert not (folder / "of").exists()  # a piece of the home's name
    assert marked == [True]


def test_home_that_cannot_be_written_ends_the_installation(device, installer, venv):
    venv.parents[1].write_text("not a folder")
    with device, pytest.raises(RunnerError, match="board has no place for"):
        installer.install(device)
    assert installer.asked == []


def test_packages_and_the_delegate_are_installed_apart(device, installer, venv):
    with device:
        installer.install(device)
        executable = device.facts["executable"]
        assert device.offers().runtimes == {"litert"}
    assert executable == str(venv / "bin/python")
    first, second = installer.calls()
    assert first[-3:] == ["install", "ai-edge-litert", "numpy"]
    assert second[-1].endswith("/onebit_delegate-0.1.0-py3-none-any.whl")
    assert [path.name for path in venv.parent.iterdir()] == ["venv"]


def test_without_network_the_wheels_come_from_here(device, installer, tmp_path):
    (tmp_path / "log" / "offline").touch()
    with device:
        installer.install(device)
        device.require()
    asked = installer.asked[-1]
    platforms = [value for key, value in itertools.pairwise(asked) if key == "--platform"]
    assert platforms[-1] == "manylinux2014_x86_64"
    assert "manylinux_2_17_x86_64" in platforms
    assert "--no-index" in installer.calls()[1]


@pytest.mark.parametrize(
    ("machine", "numpy", "packages"),
    [
        # PyPI has no NumPy for 32-bit ARM: Debian's is used.
        ("armv7l", "1.24.2", ["tflite-runtime==2.14.0"]),
        ("armv7l", "2.1.0", ["tflite-runtime==2.14.0", "numpy<2"]),
        ("armv7l", None, ["tflite-runtime==2.14.0", "numpy<2"]),
        ("x86_64", "1.26.4", ["ai-edge-litert"]),
        ("x86_64", "1.16.2", ["ai-edge-litert", "numpy"]),
        ("aarch64", "1.19.5", ["ai-edge-litert", "numpy"]),  # Debian 11's
    ],
)
def test_numpy_of_the_device_is_used_where_it_fits(
    device, installer, venv, machine, numpy, packages
):
    bits = 32 if machine == "armv7l" else 64
    with device:
        installer.install(device, machine=machine, bits=bits, numpy=numpy)
    assert installer.calls()[0][-len(packages) - 1 :] == ["install", *packages]
    shared = "include-system-site-packages = true" in (venv / "pyvenv.cfg").read_text()
    assert shared is ("numpy" not in " ".join(packages))


def test_32_bits_without_network_take_the_runtime_from_here(device, installer, tmp_path):
    (tmp_path / "log" / "offline").touch()
    (tmp_path / "log" / "pip").touch()
    with device:
        installer.install(device, machine="armv7l", bits=32, numpy="1.24.2")
    assert installer.asked[-1][-2:] == ["--no-deps", "tflite-runtime==2.14.0"]
    assert installer.asked[-1][1] == f"manylinux_2_{_glibc_minor()}_armv7l"


def _glibc_minor():
    import platform

    return platform.libc_ver()[1].split(".")[1]


def test_32_bits_without_any_numpy_say_where_to_get_it(device, installer, tmp_path, venv):
    (tmp_path / "log" / "offline").touch()
    download = installer.download

    def refuse(arguments, folder):
        if arguments[-1] != "pip":
            raise RunnerError("pip cannot download the wheels here: no numpy<2")
        download(arguments, folder)

    installer.download = refuse
    with device, pytest.raises(RunnerError, match="no numpy<2; PyPI has no NumPy for 32-bit ARM"):
        installer.install(device, machine="armv7l", bits=32, numpy=None)
    assert not venv.exists()


def test_installation_that_fails_leaves_no_environment(device, installer, venv, tmp_path):
    (tmp_path / "log" / "broken").touch()
    with device, pytest.raises(RunnerError, match="it is broken"):
        installer.install(device)
    assert list(venv.parent.iterdir()) == []


def test_environment_that_a_cut_left_incomplete_is_not_used(device, installer, fake, venv):
    with device:
        installer.install(device)
    found = SshDevice("ssh://pi@board")
    with found:
        assert found.facts["executable"] == str(venv / "bin/python")
    venv.with_name("venv.incomplete").touch()
    with found:
        assert found.facts["executable"] != str(venv / "bin/python")


def test_device_that_has_everything_is_left_alone(fake, installer):
    fake()
    with SshDevice("ssh://pi@board") as device:
        installer.install(device)
    assert installer.asked == []


def test_device_without_venv_says_what_to_install(fake, tmp_path, installer):
    fake()
    bare = tmp_path / "python"
    bare.write_text(
        f'#!/bin/sh\ncase "$*" in *venv*) echo "No module named venv" >&2; exit 1;; esac\n'
        f'exec {sys.executable} -S "$@"\n'
    )
    bare.chmod(0o755)
    # The agent starts this Python as what it is, so that its own path leads to the script.
    device = SshDevice("ssh://pi@board", python=str(bare))
    missing = r"No module named venv.*apt install python3-venv"
    with device, pytest.raises(RunnerError, match=missing):
        installer.install(device, executable=str(bare))


def test_download_that_fails_is_reported(tmp_path):
    with pytest.raises(RunnerError, match="pip cannot download the wheels here: ERROR: "):
        download_wheels(["--no-index", "numpy"], tmp_path)


def test_this_machine_is_not_installed_to(tmp_path):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    missing = "local has no numpy and no runtime"
    with LocalDevice(python=str(bare)) as device, pytest.raises(RunnerError, match=missing):
        device.install()
