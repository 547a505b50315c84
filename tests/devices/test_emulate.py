"""`edge devices --emulate`: boards for whoever has none, and what it says where it cannot."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.__main__ import main
from edge.devices.fleet_file import read_fleet
from edge.emulation import board, fleet, userland
from edge.emulation.fleet import BOARDS, fleet_text

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "emulated.toml"


def test_file_in_the_repository_reaches_the_boards(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert EXAMPLE.read_text() == fleet_text(list(BOARDS))
    entries = read_fleet(EXAMPLE)
    assert [entry.name for entry in entries] == list(BOARDS)
    for entry in entries:
        entry.device()  # raises where an address or option is malformed


def test_cache_elsewhere_is_written_out(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert '"IdentityFile=/elsewhere/onebit/emulated/pi/user_key"' in fleet_text(["pi"])


@pytest.fixture
def empty_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def emulate(folder, *arguments):
    output = folder / "emulated.toml"
    return CliRunner().invoke(main, ["devices", "--emulate", *arguments, "-o", str(output)])


@pytest.mark.usefixtures("empty_path")
def test_missing_tools_are_named_with_debians_packages(tmp_path):
    result = emulate(tmp_path, "pi")
    assert result.exit_code == 1
    assert "apt-get, dpkg-deb is missing; sudo apt-get install apt dpkg" in result.stderr
    assert not (tmp_path / "emulated.toml").exists()


@pytest.mark.usefixtures("empty_path")
def test_missing_adb_and_emulator_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(fleet, "build", lambda recipe: tmp_path)
    monkeypatch.setattr(board.tempfile, "mkdtemp", lambda **_: pytest.fail("a board was made"))
    assert "adb is missing; sudo apt-get install adb" in emulate(tmp_path, "phone").stderr
    assert "sudo apt-get install openssh-client" in emulate(tmp_path, "pi").stderr
    monkeypatch.setattr(fleet, "UsersAdb", lambda: None)
    assert "sudo apt-get install gcc" in emulate(tmp_path, "phone").stderr
    monkeypatch.setattr(board, "BINFMT", tmp_path)
    with pytest.raises(userland.UnavailableError, match="install qemu-user-static"):
        board.interpreters()


def test_port_that_is_taken_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", BOARDS["pi32"].port)):
        result = emulate(tmp_path, "pi32")
    assert result.exit_code == 1
    assert "port 22320, where pi32 would listen, is taken; is the board up" in result.stderr


def test_other_machines_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fleet.platform, "machine", lambda: "arm64")
    assert "emulated boards need Linux on x86-64" in emulate(tmp_path, "pi").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pi", "--device", "local"], "--emulate goes without --device"),
        (["mac"], "'mac' is not one of"),
    ],
)
def test_wrong_options_are_refused(tmp_path, arguments, message):
    result = emulate(tmp_path, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize("option", ["--bare", "--output=x.toml"])
def test_options_of_emulate_need_it(option):
    result = CliRunner().invoke(main, ["devices", option])
    assert result.exit_code == 2
    assert f"{option.partition('=')[0]} needs --emulate" in result.stderr


def test_file_of_ones_own_devices_is_kept(tmp_path):
    (tmp_path / "emulated.toml").write_text("[[device]]\naddress = 'local'\n")
    result = emulate(tmp_path, "pi")
    assert result.exit_code == 1
    assert "exists, and --emulate did not write it; give another path after -o" in result.stderr


def edge(*arguments, **options):
    command = [sys.executable, "-m", "edge", *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"NO_COLOR": "1", "COLUMNS": "150"},
        **options,
    )


@pytest.mark.slow
@pytest.mark.emulated
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_boards_are_up_until_they_are_ended(aarch64_root, armv7_root, adbd_root, tmp_path, number):
    output = tmp_path / "emulated.toml"
    before = set(Path(tempfile.gettempdir()).glob("onebit-board-*"))
    names = [word for name in BOARDS for word in ("--emulate", name)]
    with edge("devices", *names, "-o", output) as up:
        while up.poll() is None and not output.exists():
            time.sleep(0.1)
        assert up.poll() is None, up.communicate()
        looked = edge("devices", "--fleet", output)
        listed, errors = looked.communicate(timeout=120)
        assert looked.returncode == 0, errors
        for name in BOARDS:
            (line,) = [line for line in listed.splitlines() if f"│ {name} " in line]
            assert "reachable" in line
            assert "litert" in line
        up.send_signal(number)
        _, errors = up.communicate(timeout=30)
        assert up.returncode == 0
    assert "pi32 is up: 32-bit Linux behind ssh, emulated, so" in errors
    assert not any(fleet.listens(kind.port) for kind in BOARDS.values())
    assert set(Path(tempfile.gettempdir()).glob("onebit-board-*")) <= before
