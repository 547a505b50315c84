"""The ARM wheels with ARM's runtimes on emulated boards, bit for bit as on this machine."""

import zipfile

import numpy as np
import pytest

from tests.devices.sshd import CPU

from .test_bconv import DEFAULTS, Problem
from .test_graphs import Builder, residual_model
from .test_weight_only import Layer

pytestmark = pytest.mark.emulated
BOARDS = [
    ("aarch64", "tflite-runtime-2.14", CPU),
    ("aarch64", "ai-edge-litert-1.4", CPU),
    ("aarch64", "ai-edge-litert-2.3", CPU),
    ("armv7", "tflite-runtime-2.14", "cortex-a7"),
]
SCRIPT = """
import sys
import numpy as np
import onebit_delegate
assert "neon" in onebit_delegate.features()["isas"]
runtime = onebit_delegate._runtime()
for path in sys.argv[1:]:
    interpreter = runtime.Interpreter(path, experimental_delegates=[onebit_delegate.load()])
    interpreter.allocate_tensors()
    x = np.load(path + ".npy")
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    details = interpreter.get_output_details()
    np.savez(path + ".npz", *(interpreter.get_tensor(d["index"]) for d in details))
"""
CHANGES = [
    {},
    {"output": "int8", "channels_out": 33},
    {"output": "bits", "channels_in": 96, "size": (7, 7)},
    {"channels_in": 1024, "kernel": (2, 2)},
    {"groups": 2, "channels_in": 128, "channels_out": 96, "pad_values": 0},
    {"batch": 3, "output": "bits", "channels_out": 70, "dilation": (2, 1)},
]
MLPS = ("binary_net_mlp", "binary_connect_mlp")


@pytest.fixture(scope="module")
def mlps():
    """The zoo's MLPs with random weights as files."""
    from convert.conversion import convert_model
    from onebit.keras import keras
    from zoo import build

    files = {}
    for name in MLPS:
        keras.utils.set_random_seed(1)
        files[name] = convert_model(build(name, units=256)).tflite
    return files


@pytest.fixture(scope="module")
def models(mlps):
    """Name → file, input, and whether all of it is the delegate's, with LCE as the oracle."""
    rng = np.random.default_rng(0)
    found = {}
    for i, changes in enumerate(CHANGES):
        problem = Problem(DEFAULTS | changes)
        found[f"bconv{i}"] = (problem.model(), problem.x)
    for layer in (Layer("dense", 300, 70, relu=True), Layer("conv", 40, 20, batch=2)):
        found[layer.kind] = (layer.model(), layer.x)
    for seed in range(6):
        builder = Builder(seed)
        x = rng.integers(-20, 21, builder.shape).astype(np.float32) / 4
        found[f"graph{seed}"] = (builder.build(), x)
    # What QuickNet's sections are made of.
    model, shape = residual_model(layers=8)
    found["residual"] = (model, rng.standard_normal(shape).astype(np.float32))
    for name, file in mlps.items():
        found[name] = (file, rng.uniform(-1, 1, (1, 28, 28, 1)).astype(np.float32))
    return found


def same(ours, theirs):
    return all(a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("target", "runtime", "cpu"), BOARDS, ids=lambda v: v)
def test_wheel_agrees_with_this_machine(target, runtime, cpu, models, wheel, board, run, lce):
    made = board(target, runtime=runtime)
    home = made.folder / "home/pi"
    with zipfile.ZipFile(wheel(target)) as archive:
        archive.extractall(home / "site")
    (home / "run.py").write_text(SCRIPT)
    for name, (model, x) in models.items():
        (home / f"{name}.tflite").write_bytes(model)
        np.save(home / f"{name}.tflite.npy", x)
    paths = [f"/home/pi/{name}.tflite" for name in models]
    environment = {"QEMU_CPU": cpu, "PYTHONPATH": "/home/pi/site"}
    made.run(["/usr/bin/python3", "/home/pi/run.py", *paths], environment)
    for name, (model, x) in models.items():
        with np.load(home / f"{name}.tflite.npz") as archive:
            ours = list(archive.values())
        assert same(ours, run(model, x, isa="scalar")), name
        if name.startswith("graph"):
            # Values, as the order of operands may change the sign of a zero sum.
            for mine, theirs in zip(ours, lce(model, x), strict=True):
                assert np.array_equal(mine, theirs), name
