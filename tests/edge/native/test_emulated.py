"""The ARM wheels with ARM's runtimes on emulated boards, bit for bit as on this machine."""

import zipfile

import numpy as np
import pytest

from edge.emulation.sshd import CPUS
from tests.support import everywhere
from tests.support.lce_graphs import Graph

pytestmark = pytest.mark.emulated
BOARDS = [
    ("aarch64", "tflite-runtime-2.14"),
    ("aarch64", "ai-edge-litert-1.4"),
    ("aarch64", "ai-edge-litert-2.3"),
    # Its build and userland take minutes.
    pytest.param("armv7", "tflite-runtime-2.14", marks=pytest.mark.slow),
]


SETTINGS = ('{"isa": "neon", "num_threads": 1}', '{"isa": "scalar"}', '{"num_threads": 2}')


@pytest.mark.parametrize(("target", "runtime"), BOARDS, ids=lambda v: v)
def test_wheel_agrees_with_this_machine(target, runtime, wheel, board, run):
    made, home, environment = installed(target, runtime, wheel, board)
    paths = [f"/home/pi/{name}" for name in everywhere.write(home)]
    made.run(["/usr/bin/python3", "/home/pi/run.py", "neon", *paths], environment)
    everywhere.check(home, run)


@pytest.mark.parametrize(("target", "runtime"), BOARDS[-2:], ids=lambda v: v)
def test_random_graphs_agree_with_numpy(target, runtime, wheel, board):
    compare_random_graphs(12, *installed(target, runtime, wheel, board))


@pytest.mark.slow
@pytest.mark.parametrize(("target", "runtime"), BOARDS, ids=lambda v: v)
def test_many_random_graphs_agree_with_numpy(target, runtime, wheel, board):
    compare_random_graphs(150, *installed(target, runtime, wheel, board))


REFUSING = """
import onebit_delegate
runtime = onebit_delegate._runtime()
interpreter = runtime.Interpreter(
    "/home/pi/wide.tflite", experimental_delegates=[onebit_delegate.load()]
)
try:
    interpreter.allocate_tensors()
except (RuntimeError, ValueError) as error:
    print(error)
else:
    interpreter.invoke()
"""


@pytest.mark.slow
def test_sizes_that_pass_32_bits_are_refused(wheel, board):
    """2^30 floats are 2^32 bytes, which is 0 in 32 bits; the file lies about the tensor's shape."""
    made, home, environment = installed("armv7", "tflite-runtime-2.14", wheel, board)
    g = Graph()
    x = g.tensor([1 << 20, 32], np.int32)
    floats = g.dequantize(x, 1024)
    g.graph.tensors[floats].shape = [1, 1024]
    (home / "wide.tflite").write_bytes(g.build([x], [g.quantize(floats)]))
    (home / "refusing.py").write_text(REFUSING)
    printed = made.run(["/usr/bin/python3", "/home/pi/refusing.py"], environment)
    assert "LceDequantize (node 0): output has an unusable shape" in printed


def installed(target, runtime, wheel, board):
    """A board with the wheel, its home folder on this machine, and the environment."""
    made = board(target, runtime=runtime)
    home = made.folder / "home/pi"
    with zipfile.ZipFile(wheel(target)) as archive:
        archive.extractall(home / "site")
    return made, home, {"QEMU_CPU": CPUS[target], "PYTHONPATH": "/home/pi/site"}


def compare_random_graphs(count, made, home, environment):
    """Each graph's name is its number: ONEBIT_GRAPH=number draws it again (test_random_graphs)."""
    everywhere.write_random(home / "cases", count)
    command = ["/usr/bin/python3", "/home/pi/run_cases.py", "/home/pi/cases", *SETTINGS]
    *lines, total = made.run(command, environment, seconds=1800).splitlines()
    differences = [line for line in lines if line.startswith("DIFFERENCE")]
    assert not differences, "\n".join(differences)
    # Shapes of the file, others, and the first again, but for graphs that take no others.
    assert int(total.split()[-2]) >= 2 * count * len(SETTINGS), total
