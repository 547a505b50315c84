"""The emulated boards themselves: genuine servers, on loopback alone, that leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.emulation import userland
from edge.emulation.recipes import Recipe
from edge.emulation.sshd import make_key

pytestmark = pytest.mark.emulated
HOLD = """
import sys, time
from edge.emulation import recipes, userland
from edge.emulation.sshd import SshBoard
board = SshBoard(userland.build(recipes.AARCH64)).start_sshd()
print(board.folder, *board.processes(), board._process.pid, flush=True)
time.sleep(60)
"""


def listening_addresses(port):
    """The local addresses, in the kernel's hexadecimal, on which something listens at a port."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            address, _, state = (line.split()[i] for i in (1, 2, 3))
            host, _, number = address.partition(":")
            if int(number, 16) == port and state == "0A":
                found.add(host)
    return found


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def exists(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_ssh_board_is_aarch64_and_keeps_to_itself(ssh_board):
    board = ssh_board(name="one", runtime="tflite-runtime-2.14")
    done = board.ssh(
        "uname -m; id -un; echo x > '/tmp/a b'; touch /etc/x; cat /proc/device-tree/model"
    )
    assert done.stdout.split() == ["aarch64", "pi"]
    assert "Read-only file system" in done.stderr
    assert "/tmp/a b" in board.files()
    assert listening_addresses(board.port) <= LOOPBACK
    assert any("sshd -D" in words for words in board.processes().values())
    found = board.ssh("python3 -c 'import tflite_runtime as t, numpy; print(t.__version__)'")
    assert found.stdout.strip() == "2.14.0", found.stderr


def test_adb_board_is_aarch64_and_keeps_to_itself(adb_board, adb_server, tmp_path):
    board = adb_board(python=False)
    shell = ["-s", board.serial, "shell"]
    done = adb_server.adb(*shell, "uname -m; getprop ro.product.cpu.abi; python3 -V; exit 5")
    assert done.returncode == 5
    assert done.stdout.split()[:2] == ["aarch64", "arm64-v8a"]
    assert "python3" in done.stdout + done.stderr
    assert "Python 3" not in done.stdout
    (tmp_path / "a b").write_text("x")
    adb_server.adb(
        "-s", board.serial, "push", str(tmp_path / "a b"), "/data/local/tmp/", check=True
    )
    assert board.files() == {"/data/local/tmp/a b"}
    assert listening_addresses(board.port) <= LOOPBACK
    assert listening_addresses(adb_server.port) <= LOOPBACK


def test_two_boards_share_nothing(ssh_board):
    one, two = ssh_board(name="one"), ssh_board(name="two", disk_bytes=1 << 20)
    assert one.ssh("touch /tmp/here").returncode == 0
    assert "/tmp/here" in one.files()
    assert "/tmp/here" not in two.files()
    full = two.ssh("head -c 2000000 /dev/zero > /tmp/large")
    assert "No space left on device" in full.stderr
    assert "/tmp/large" in two.files()
    assert set(one.processes()).isdisjoint(two.processes())


def test_stop_ends_what_was_started_on_the_board(ssh_board):
    board = ssh_board()
    board.ssh("nohup sleep 100 > /dev/null 2>&1 &")
    running = set(board.processes())
    assert len(running) >= 2
    board.stop()
    wait_until(lambda: not any(map(exists, running)))
    assert not board.folder.exists()


def test_unknown_host_key_is_refused(ssh_board, tmp_path):
    board = ssh_board()
    make_key(tmp_path / "other")
    board.trust(tmp_path / "other.pub")
    done = board.ssh("true")
    assert done.returncode == 255
    assert "HOST IDENTIFICATION HAS CHANGED" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_the_tests(aarch64_root, number):
    root = Path(__file__).resolve().parents[2]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdout=subprocess.PIPE,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        text=True,
    )
    _, *processes = holder.stdout.readline().split()
    assert len(processes) >= 2
    assert all(map(exists, processes))
    holder.send_signal(number)
    holder.wait(10)
    holder.stdout.close()
    wait_until(lambda: not any(map(exists, processes)))


def test_missing_package_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(userland, "MIRROR", f"file://{tmp_path}")
    recipe = Recipe("none", "arm64", "bookworm", ("nothing",))
    with pytest.raises(userland.UnavailableError, match="apt-get failed: E: "):
        userland.build(recipe)
    assert [path.name for path in userland.cache_folder().iterdir()] == ["none.lock"]


def test_userlands_that_nobody_uses_any_more_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(userland, "unpack_packages", lambda recipe, root, state: root.mkdir())
    cache = userland.cache_folder()
    for name in ("board-old", "board-new", "other-old"):
        (cache / name).mkdir(parents=True)
    for name in ("board-old", "other-old"):
        os.utime(cache / name, (0, 0))
    made = userland.build(Recipe("board", "amd64", "bookworm", ()))
    assert userland.build(Recipe("board", "amd64", "bookworm", ())) == made
    left = {path.name for path in cache.iterdir() if path.is_dir()}
    assert left == {"board-new", "other-old", made.name}
