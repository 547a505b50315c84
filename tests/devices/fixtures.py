"""Fixtures of emulated boards; `tests/conftest.py` offers them to all tests."""

import contextlib
import functools
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from edge.emulation import recipes, userland
from edge.emulation.adbd import AdbBoard, AdbServer
from edge.emulation.board import Board
from edge.emulation.sshd import CPUS, SshBoard
from edge.emulation.userland import UnavailableError

ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def skipping():
    """Skips the test with the reason where this machine has no emulated boards."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("emulated boards need Linux on x86-64")
    try:
        yield
    except UnavailableError as error:
        pytest.skip(f"no emulated board: {error}")


@pytest.fixture(scope="session")
def aarch64_root():
    """An aarch64 userland with Python, NumPy and the runtimes below /opt/runtimes."""
    with skipping():
        return userland.build(recipes.AARCH64)


@pytest.fixture(scope="session")
def armv7_root():
    """The same for armv7, as far as there are runtimes for it."""
    with skipping():
        return userland.build(recipes.ARMV7)


@pytest.fixture(scope="session")
def adbd_root():
    """Debian's adbd with its libraries."""
    with skipping():
        return userland.build(recipes.ADBD)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Builds the delegate's wheel as `make wheels` does: wheel("aarch64") returns its path."""
    folder = tmp_path_factory.mktemp("wheels")

    @functools.cache
    def build(target):
        command = [sys.executable, "edge/native/wheels.py", "-o", str(folder), target]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode and done.stderr.splitlines()[-1].startswith("error: "):
            pytest.skip(f"the wheel cannot be built here: {done.stderr.splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
        return Path(done.stdout.splitlines()[-1])

    return build


@pytest.fixture
def board(request):
    """Makes boards without a server: board("aarch64", runtime=..., disk_bytes=...)."""
    with contextlib.ExitStack() as boards:

        def make(target, **options):
            made = Board(request.getfixturevalue(f"{target}_root"), **options)
            boards.callback(made.stop)
            return made

        yield make


@pytest.fixture
def ssh_board(request):
    """Starts boards with sshd: ssh_board("armv7", name=..., runtime=..., disk_bytes=...)."""
    with contextlib.ExitStack() as boards:

        def start(target="aarch64", **options):
            root = request.getfixturevalue(f"{target}_root")
            with skipping():
                board = SshBoard(root, cpu=CPUS[target], **options)
                boards.callback(board.stop)
                return board.start_sshd()

        yield start


@pytest.fixture(scope="session")
def adb_server():
    """An adb server of the tests' own."""
    with skipping():
        server = AdbServer()
    yield server
    server.stop()


@pytest.fixture
def adb_board(aarch64_root, adbd_root, adb_server):
    """Starts boards with adbd: adb_board(python=..., runtime=..., disk_bytes=...)."""
    with contextlib.ExitStack() as boards:

        def start(**options):
            with skipping():
                board = AdbBoard(aarch64_root, adbd_root, **options)
                boards.callback(board.stop)
                return board.start_adbd(adb_server)

        yield start
