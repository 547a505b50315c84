"""The ARM wheels with ARM's runtimes on emulated boards, bit for bit as on this machine."""

import zipfile

import pytest

from tests.devices.sshd import CPUS

from . import everywhere

pytestmark = pytest.mark.emulated
BOARDS = [
    ("aarch64", "tflite-runtime-2.14"),
    ("aarch64", "ai-edge-litert-1.4"),
    ("aarch64", "ai-edge-litert-2.3"),
    ("armv7", "tflite-runtime-2.14"),
]


@pytest.mark.parametrize(("target", "runtime"), BOARDS, ids=lambda v: v)
def test_wheel_agrees_with_this_machine(target, runtime, wheel, board, run, lce):
    made = board(target, runtime=runtime)
    home = made.folder / "home/pi"
    with zipfile.ZipFile(wheel(target)) as archive:
        archive.extractall(home / "site")
    paths = [f"/home/pi/{name}" for name in everywhere.write(home)]
    environment = {"QEMU_CPU": CPUS[target], "PYTHONPATH": "/home/pi/site"}
    made.run(["/usr/bin/python3", "/home/pi/run.py", "neon", *paths], environment)
    everywhere.check(home, run, lce)
