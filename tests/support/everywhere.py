"""Models of which every machine and every runtime makes the same bytes, and how to run them."""

import functools
import secrets
from pathlib import Path

import numpy as np

from . import lce_random_graphs, run_cases
from .bconv_problem import DEFAULTS, Problem
from .lce_blocks import residual_model
from .weight_only_layer import Layer

SCRIPT = """
import sys
import numpy as np
import onebit_delegate
assert sys.argv[1] in onebit_delegate.features()["isas"]
runtime = onebit_delegate._runtime()
for path in sys.argv[2:]:
    interpreter = runtime.Interpreter(path, experimental_delegates=[onebit_delegate.load()])
    interpreter.allocate_tensors()
    x = np.load(path + ".npy")
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    details = interpreter.get_output_details()
    np.savez(path + ".npz", *(interpreter.get_tensor(d["index"]) for d in details))
print(runtime.__name__)
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


def mlp(name: str) -> bytes:
    """A file of the zoo's MLP with random weights."""
    from convert.conversion import convert_model
    from onebit.keras import keras
    from zoo import build

    keras.utils.set_random_seed(1)
    return convert_model(build(name, units=256)).tflite


@functools.cache
def models() -> dict[str, tuple[bytes, np.ndarray]]:
    """Name → file and input; all of a file is the delegate's."""
    rng = np.random.default_rng(0)
    found = {}
    for i, changes in enumerate(CHANGES):
        problem = Problem(DEFAULTS | changes)
        found[f"bconv{i}"] = (problem.model(), problem.x)
    for layer in (Layer("dense", 300, 70, relu=True), Layer("conv", 40, 20, batch=2)):
        found[layer.kind] = (layer.model(), layer.x)
    # What QuickNet's sections are made of.
    model, shape = residual_model(layers=8)
    found["residual"] = (model, rng.standard_normal(shape).astype(np.float32))
    for name in MLPS:
        found[name] = (mlp(name), rng.uniform(-1, 1, (1, 28, 28, 1)).astype(np.float32))
    return found


def write(folder: Path) -> list[str]:
    """Writes the script as `run.py`, the models and their inputs; returns the models' names."""
    (folder / "run.py").write_text(SCRIPT)
    for name, (model, x) in models().items():
        (folder / f"{name}.tflite").write_bytes(model)
        np.save(folder / f"{name}.tflite.npy", x)
    return [f"{name}.tflite" for name in models()]


def check(folder: Path, run, isa: str | None = "scalar") -> None:
    """Compares what the script wrote with kernels of this machine."""
    for name, (model, x) in models().items():
        with np.load(folder / f"{name}.tflite.npz") as archive:
            ours = list(archive.values())
        for mine, reference in zip(ours, run(model, x, isa=isa), strict=True):
            assert mine.tobytes() == reference.tobytes(), name


def write_random(folder: Path, count: int) -> None:
    """Writes random graphs, named by their numbers, and `run_cases.py`, which compares them."""
    folder.mkdir()
    for seed in (secrets.randbits(32) for _ in range(count)):
        case = lce_random_graphs.draw(seed, neighbours=True)
        run_cases.save(folder, str(seed), case.model, case.runs)
    script = Path(run_cases.__file__).read_text()
    (folder.parent / "run_cases.py").write_text(script)
