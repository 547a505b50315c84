"""The built wheel, in environments of several Pythons, outside the checkout: `make test-wheels`."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.support.float_graphs import FloatGraph, binary_weights

ROOT = Path(__file__).parent.parent
MODEL = Path(__file__).parent / "written_before" / "model.tflite"
VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
NEWEST = ("3.13", "3.14")

pytestmark = pytest.mark.wheels


def run(*command, cwd=None, check=True):
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    result = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        check=False,
    )
    if check:
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result


def interpreter(version):
    """The Python of that version that can make environments; skips the test without one."""
    candidates = [f"python{version}", *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
    for candidate in candidates:
        try:
            found = run(candidate, "-c", "import ensurepip, sys; print(sys.version)", check=False)
        except FileNotFoundError:
            continue
        if found.returncode == 0 and found.stdout.startswith(version + "."):
            return candidate
    pytest.skip(f"there is no Python {version} with venv here")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run(*pip, "-w", folder, ROOT)
    (path,) = folder.glob("onebit-*.whl")
    return path


def test_wheel_holds_the_delegate_its_sources_templates_weights_and_types(wheel):
    assert wheel.name.startswith("onebit-0") or wheel.name.startswith("onebit-1")
    assert "-py3-none-linux_" in wheel.name
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
    for path in (
        "onebit_delegate/libonebit_delegate.so",
        "edge/native/CMakeLists.txt",
        "edge/native/build_library.py",
        "edge/native/kernels/bconv__scalar.cc",
        "edge/report/templates/report.html.j2",
        "edge/runner/main.py",
        "zoo/weights/binary_net_mlp@mnist_5k.npz",
        *(f"{package}/py.typed" for package in ("onebit", "zoo", "convert", "edge")),
        "onebit_delegate/py.typed",
    ):
        assert path in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "build/"))]
    assert not [name for name in names if "/native/build/" in name]


def float_file():
    """A float file with Larq's sign in front of a dense layer of ±1."""
    g = FloatGraph()
    x = g.tensor((1, 64))
    weights = g.constant(binary_weights(np.random.default_rng(0), (48, 64), scales=False))
    return g.build([x], [g.dense(g.sign(x), weights)])


@pytest.mark.parametrize(
    "version",
    [
        version if version in NEWEST else pytest.param(version, marks=pytest.mark.slow)
        for version in VERSIONS
    ],
)
def test_base_installation_audits_measures_and_reports(version, wheel, tmp_path):
    python = interpreter(version)
    run(python, "-m", "venv", tmp_path / "venv")
    run(tmp_path / "venv" / "bin" / "pip", "install", "--quiet", wheel)
    onebit = tmp_path / "venv" / "bin" / "onebit"
    folder = tmp_path / "empty"
    folder.mkdir()
    # Files of a user that bear our packages' names stay hers.
    for name in ("convert", "zoo", "edge"):
        (folder / f"{name}.py").write_text("raise SystemExit('a file of the user ran')\n")
    shutil.copy(MODEL, folder / "bnn.tflite")

    assert "onebit, version" in run(onebit, "--version", cwd=folder).stdout
    assert "hidden_1" in run(onebit, "convert", "audit", "bnn.tflite", cwd=folder).stdout
    bench = run(
        onebit, "edge", "bench", "bnn.tflite", "-o", "rows.jsonl", "--seconds", "0.1",
        "--runtime", "litert:delegate", "--format", "json", cwd=folder,
    )  # fmt: skip
    assert "litert:delegate" in bench.stdout
    assert '"failed"' not in bench.stdout
    (folder / "float.tflite").write_bytes(float_file())
    converted = run(onebit, "convert", "model", "float.tflite", "-o", "binary.tflite", cwd=folder)
    assert "100.0% binary" in converted.stdout
    assert "against the float file on 16 random samples: exact" in converted.stdout
    run(onebit, "edge", "report", "rows.jsonl", "-o", "report.html", cwd=folder)
    assert "</html>" in (folder / "report.html").read_text()
    assert "local" in run(onebit, "edge", "devices", cwd=folder).stdout

    for command in (("zoo", "list"), ("convert", "model", "zoo:binary_net_mlp", "-o", "x.tflite")):
        failed = run(onebit, *command, cwd=folder, check=False)
        assert failed.returncode == 1
        assert failed.stderr.startswith("error: this needs ")
        assert failed.stderr.count("\n") == 1
        assert not (folder / "x.tflite").exists()

    program = (
        "import numpy as np, onebit_delegate\n"
        "from ai_edge_litert.interpreter import Interpreter\n"
        "delegate = onebit_delegate.load()\n"
        "interpreter = Interpreter('bnn.tflite', experimental_delegates=[delegate])\n"
        "interpreter.allocate_tensors()\n"
        "interpreter.invoke()\n"
    )
    run(tmp_path / "venv" / "bin" / "python", "-c", program, cwd=folder)


@pytest.mark.slow
def test_installation_with_training_runs_the_commands_of_the_readme(wheel, tmp_path):
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    pip = [tmp_path / "venv" / "bin" / "pip", "install", "--quiet"]
    run(*pip, "-c", ROOT / "requirements.txt", f"{wheel}[train,png]")
    onebit = tmp_path / "venv" / "bin" / "onebit"
    folder = tmp_path / "empty"
    folder.mkdir()
    for command in (
        "zoo list",
        "zoo show binary_net_mlp",
        "zoo train binary_net_mlp_mnist_5k -o runs/bnn --smoke",
        "zoo evaluate runs/bnn",
        "convert model runs/bnn -o bnn.tflite",
        "convert audit bnn.tflite",
        "convert verify runs/bnn bnn.tflite",
        "edge bench bnn.tflite -o rows.jsonl --seconds 0.1",
        "edge report rows.jsonl -o report.html",
        "edge report rows.jsonl --format png -o report.png",
    ):
        run(onebit, *command.split(), cwd=folder)
