"""Programs of others that judge exported files, each in an environment of its own.

The scripts beside this file run there and import nothing of Onebit:

    python qonnx_peer.py MODEL.onnx INPUTS.npy OUTPUT.npz
"""

import functools
import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CACHE = Path.home() / ".cache" / "onebit-test-envs"
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Environment:
    """The packages of a peer.

    Attributes:
        name: Of its folder.
        packages: What pip installs, pinned.
        without_dependencies: What pip installs afterwards with `--no-deps`.
    """

    name: str
    packages: tuple[str, ...]
    without_dependencies: tuple[str, ...] = ()


HLS4ML = Environment(
    "hls4ml", ("hls4ml==1.3.0", "qonnx==1.0.0", "onnx==1.23.2", "onnxruntime==1.32.0")
)
# finn-plus asks for PyTorch (by Brevitas), which the steps up to hardware nodes never call: 1 GB
# that a stub in finn_peer.py stands for.
FINN = Environment(
    "finn",
    (
        *("qonnx==1.0.0", "onnx==1.23.2", "onnxruntime==1.32.0", "click", "pyyaml", "rich"),
        *("termcolor", "pydantic", "scipy", "pandas", "mip", "onnxoptimizer", "jinja2", "psutil"),
        *("matplotlib", "scikit-learn", "mashumaro", "onnx-passes", "onnx-ir"),
    ),
    ("finn-plus==1.6.1", "brevitas==0.13.0"),
)


class UnreachableError(Exception):
    """PyPI, or a package there, cannot be reached."""


@functools.cache
def python_of(environment: Environment) -> Path:
    """The Python of an environment, made the first time.

    Raises:
        UnreachableError: It cannot be made.
    """
    key = hashlib.sha256(repr(environment).encode() + sys.version.encode()).hexdigest()[:12]
    folder = CACHE / f"{environment.name}-{key}"
    python, done = folder / "bin" / "python", folder / "done"
    if done.exists():
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    steps = [[*pip, *environment.packages]]
    if environment.without_dependencies:
        steps.append([*pip, "--no-deps", *environment.without_dependencies])
    for step in steps:
        ended = subprocess.run(step, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise UnreachableError(ended.stderr.strip().splitlines()[-1])
    done.touch()
    return python


def python_or_skip(environment: Environment) -> Path:
    """The same for a test, which is skipped with the reason where it cannot be made."""
    import pytest  # not for benchmarks, which use this file too

    try:
        return python_of(environment)
    except UnreachableError as error:
        pytest.skip(f"{', '.join(environment.packages)} cannot be installed: {error}")


def run(
    environment: Environment, script: str, folder: Path, model: bytes, inputs: np.ndarray, *more
) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays that a peer computes of a model, and the facts that it gives about the graph.

    Args:
        environment: The peer's.
        script: The name of a script in this folder.
        folder: Where the peer may write.
        model: The ONNX file.
        inputs: `[N, …]`, without the batch of the graph.
        more: Further arguments of the script.

    Raises:
        UnreachableError: The environment cannot be made.
        AssertionError: The peer failed; its last lines are the message.
    """
    python = python_of(environment)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in ("model.onnx", "inputs.npy", "outputs.npz")]
    paths[0].write_bytes(model)
    np.save(paths[1], inputs)
    command = [python, HERE / script, *paths, *map(str, more)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert ended.returncode == 0, "\n".join((ended.stdout + ended.stderr).splitlines()[-30:])
    with np.load(paths[2]) as file:
        arrays = {key: file[key] for key in file}
    return arrays, json.loads(str(arrays.pop("facts")))
