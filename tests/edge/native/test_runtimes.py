"""One library for all runtimes of x86: TensorFlow's, tflite-runtime's, and old and new LiteRT's."""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edge.emulation.userland import cache_folder
from tests.support import everywhere

from .conftest import NATIVE

pytestmark = pytest.mark.slow
# The project's own environment has ai-edge-litert 2.3 and TensorFlow 2.19.
RUNTIMES = {
    "tflite_runtime.interpreter": ("tflite-runtime==2.14.0", "numpy==1.26.4"),
    "ai_edge_litert.interpreter": ("ai-edge-litert==1.4.0", "numpy==1.26.4"),
}


def environment_of(requirements):
    """The Python of a virtual environment with these packages, which is kept between test runs."""
    content = f"{sys.version}\n{requirements}"
    name = f"{requirements[0]}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
    cache = cache_folder().with_name("environments")
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / name
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                made = Path(scratch, "venv")
                command = [sys.executable, "-m", "venv", "--without-pip", str(made)]
                subprocess.run(command, check=True)
                pip = [sys.executable, "-m", "pip", "--python", str(made / "bin/python")]
                done = subprocess.run(
                    [*pip, "install", "--quiet", *requirements], capture_output=True, text=True
                )
                if done.returncode:
                    lines = [line for line in done.stderr.splitlines() if "ERROR" in line]
                    pytest.skip(f"pip cannot install {requirements[0]} here: {lines[-1]}")
                made.rename(folder)
    return folder / "bin/python"


def run_script(python, runtime, script, arguments, folder):
    """Runs a script with a Python and one of its runtimes; returns what it printed, by lines."""
    # Of several runtimes the delegate takes that which is imported already.
    path = folder / script
    path.write_text(f"import {runtime}\n{path.read_text()}")
    done = subprocess.run(
        [str(python), script, *arguments], cwd=folder, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(NATIVE / "python"), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def check(python, runtime, isas, run, folder):
    """Runs the models, then random graphs, which are resized after they ran."""
    names = everywhere.write(folder)
    lines = run_script(python, runtime, "run.py", [isas[-1], *names], folder)
    assert lines[-1] == runtime
    # The kernels of the machine sum floats in another order than the scalar ones.
    everywhere.check(folder, run, isa=None)
    # Where XNNPACK makes the graph immutable, a resize undoes all delegates and applies them again.
    everywhere.write_random(folder / "cases", 150)
    *lines, total = run_script(python, runtime, "run_cases.py", ["cases"], folder)
    differences = [line for line in lines if line.startswith("DIFFERENCE")]
    assert not differences, "\n".join(differences)
    assert total.startswith(runtime), total


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_runtime_agrees(runtime, isas, run, tmp_path):
    check(environment_of(RUNTIMES[runtime]), runtime, isas, run, tmp_path)


def test_newest_litert_agrees(isas, run, tmp_path):
    check(sys.executable, "ai_edge_litert.interpreter", isas, run, tmp_path)


def test_tensorflow_agrees(isas, run, tmp_path):
    check(sys.executable, "tensorflow.lite.python.interpreter", isas, run, tmp_path)
