"""The oldest Python that a supported Debian has, 3.9 of bullseye, as a device's.

Agent, runner and the delegate's package are written for 3.8, which Debian never had; that they hold
to its syntax is tested beside them.
"""

import ast
import subprocess
import zipfile
from pathlib import Path

import pytest

from edge.bench.backends import BACKENDS
from edge.bench.cells import Cell, run_cells
from edge.bench.measurement import Plan
from edge.bench.models import describe
from edge.devices.local import LocalDevice
from edge.emulation import userland
from edge.emulation.recipes import Recipe
from onebit.delegate import Delegate
from tests.devices.fixtures import skipping

DELEGATE = Path(__file__).parents[2] / "edge/native/python/onebit_delegate"
RUNTIME = "4aa740210a0fd9e4db4a46e9778914846b136e161525681b41575ca4896158fb"
NUMPY = "33161613d2269025873025b33e879825ec7b1d831317e68f4f2f0f84ed14c719"
BULLSEYE = Recipe(
    "bullseye",
    "amd64",
    "bullseye",
    ("python3", "python3-numpy"),
    "3.9",
    ("manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    {"tflite-runtime": {"tflite-runtime==2.14.0": RUNTIME}, "numpy": {"numpy==1.23.5": NUMPY}},
)
# Its libraries but glibc, of which this machine's is newer.
WRAPPER = """\
#!/bin/sh
root={root}
runtimes=$root/opt/runtimes
[ -e {site}/old ] || numpy=$runtimes/numpy
export PYTHONHOME=$root/usr
export PYTHONPATH={site}:$runtimes/tflite-runtime:$numpy:$root/usr/lib/python3/dist-packages
libraries=$root/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH=$libraries:$libraries/blas:$libraries/lapack
exec $root/usr/bin/python3.9 "$@"
"""


@pytest.mark.parametrize("path", sorted(DELEGATE.glob("*.py")), ids=lambda path: path.name)
def test_delegates_package_is_for_python_3_8(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    # Annotations such as `int | None` are not evaluated then.
    futures = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert any(node.module == "__future__" for node in futures)


@pytest.fixture
def old_python(tmp_path, wheel):
    """Python 3.9 of Debian, with a runtime and the delegate's wheel."""
    with skipping():
        root = userland.build(BULLSEYE)
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel("x86_64")) as archive:
        archive.extractall(site)
        (metadata,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        assert b"Requires-Python: >=3.8" in archive.read(metadata)
    path = tmp_path / "python3.9"
    path.write_text(WRAPPER.format(root=root, site=site))
    path.chmod(0o755)
    return path, site


@pytest.mark.slow
@pytest.mark.emulated
@pytest.mark.parametrize("numpy", ["1.23.5", "1.19.5"])
def test_file_is_measured_with_an_old_python(old_python, residual_file, numpy):
    """With NumPy of PyPI; with Debian's the row says that it is too old."""
    python, site = old_python
    if numpy == "1.19.5":
        (site / "old").touch()
    (library,) = site.rglob("*.so")
    device = LocalDevice(python=str(python))
    device.delegate = lambda build=True: Delegate(library, "wheel")
    cells = [Cell(describe(residual_file), BACKENDS["litert:delegate"], 1)]
    plan = Plan(min_runs=3, min_seconds=0.01, warmup_seconds=0.01)
    with device:
        device.require()
        assert device.facts["numpy"] == numpy
        (row,) = run_cells(cells, device, plan)
    assert row.host.python.startswith("3.9")
    if numpy == "1.19.5":
        assert row.status == "failed"
        assert "tflite-runtime 2.14.0 does not work with numpy 1.19.5 (" in row.reason
        assert row.reason.endswith("install numpy 1.23 or newer")
        return
    assert row.status in ("ok", "invalid"), row.reason
    assert row.setup.runtime_version == "tflite-runtime 2.14.0"


@pytest.mark.slow
@pytest.mark.emulated
def test_delegates_package_works_with_an_old_python(old_python):
    code = "import onebit_delegate as d; print(d.features()['isas'], d.load())"
    done = subprocess.run([old_python[0], "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "scalar" in done.stdout
