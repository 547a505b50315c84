"""The ARM wheels on emulated ARM userlands, bit for bit against this machine's scalar reference.

ONEBIT_ARM64_ROOT and ONEBIT_ARMHF_ROOT name folders with an unpacked Debian userland: Python 3.11,
NumPy and ai-edge-litert or tflite-runtime. Emulated time means nothing, results do.
"""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from .test_bconv import DEFAULTS, Problem
from .test_library import wheels  # noqa: F401  (a fixture)
from .test_weight_only import Layer

pytestmark = [pytest.mark.slow, pytest.mark.emulated]
BOARDS = {
    "aarch64": ("ONEBIT_ARM64_ROOT", "qemu-aarch64-static", "cortex-a72"),
    "armv7": ("ONEBIT_ARMHF_ROOT", "qemu-arm-static", "cortex-a7"),
}
SCRIPT = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import onebit_delegate
assert "neon" in onebit_delegate.features()["isas"]
runtime = onebit_delegate._runtime()
for path in sys.argv[2:]:
    interpreter = runtime.Interpreter(path, experimental_delegates=[onebit_delegate.load()])
    interpreter.allocate_tensors()
    x = np.load(path + ".npy")
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    np.save(path + ".out.npy", interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
"""
CHANGES = [
    {},
    {"output": "int8", "channels_out": 33},
    {"output": "bits", "channels_in": 96, "size": (7, 7)},
    {"channels_in": 1024, "kernel": (2, 2)},
    {"groups": 2, "channels_in": 128, "channels_out": 96, "pad_values": 0},
    {"batch": 3, "output": "bits", "channels_out": 70, "dilation": (2, 1)},
]


@pytest.mark.parametrize("target", BOARDS)
def test_wheel_agrees_on_an_emulated_board(target, wheels, run, tmp_path):  # noqa: F811
    variable, emulator, cpu = BOARDS[target]
    root = os.environ.get(variable)
    if not root:
        pytest.skip(f"{variable} names no emulated userland")
    if shutil.which(emulator) is None:
        pytest.skip(f"{emulator} is missing: apt-get install qemu-user-static")
    with zipfile.ZipFile(wheels[target]) as archive:
        archive.extractall(tmp_path / "site")
    problems = [Problem(DEFAULTS | change) for change in CHANGES]
    problems += [Layer("dense", 300, 70, relu=True), Layer("conv", 40, 20, batch=2)]
    paths = []
    for i, problem in enumerate(problems):
        paths.append(str(tmp_path / f"{i}.tflite"))
        Path(paths[-1]).write_bytes(problem.model())
        np.save(paths[-1] + ".npy", problem.x)
    (tmp_path / "run.py").write_text(SCRIPT)
    command = [emulator, "-cpu", cpu, "-L", root, f"{root}/usr/bin/python3.11"]
    done = subprocess.run(
        [*command, str(tmp_path / "run.py"), str(tmp_path / "site"), *paths],
        env={"PYTHONPATH": "/opt/site:/usr/lib/python3/dist-packages"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for path, problem in zip(paths, problems, strict=True):
        expected = run(problem.model(), problem.x, isa="scalar")[0]
        assert np.load(path + ".out.npy").tobytes() == expected.tobytes(), path
