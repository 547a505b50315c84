"""A package that is installed brings its own things without an option, whatever is asked first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LOOK_UPS = {
    "models": "from zoo.models import models; models.get('leaky_net')",
    "data sets": "from zoo.datasets import datasets; datasets.get('stripes')",
    "recipes": "from zoo.recipes import recipes; recipes.get('leaky_net_stripes')()",
    "losses": "from zoo.recipes import Recipe; Recipe('leaky_net', 'stripes', 1, loss='focal')",
    "quantizers": "from zoo.layers.quantizers import binary_quantizer as q; q('LeakySign')",
}
"""Each is the first that a fresh process looks up; none of them computes."""

# One import of all modules: each look-up runs in a fork that has not seen the package yet.
FIRST_LOOK_UPS = """
import importlib, os, pkgutil, sys, traceback
import zoo.datasets, zoo.layers, zoo.models, zoo.recipes
for package in (zoo.datasets, zoo.layers, zoo.models, zoo.recipes):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
for look_up in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            exec(look_up)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Where docs/examples/mine.py is installed as the package `throw_away`."""
    site = tmp_path_factory.mktemp("site")
    package, about = site / "throw_away", site / "throw_away-1.0.dist-info"
    package.mkdir()
    about.mkdir()
    (package / "__init__.py").touch()
    example = ROOT / "docs" / "examples" / "mine.py"
    (package / "networks.py").write_text(example.read_text())
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: throw-away\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[onebit]\nmine = throw_away.networks\n")
    return {**os.environ, "PYTHONPATH": str(site)}


def python(environment, *arguments):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)


def test_each_kind_is_there_at_the_first_look_up(environment):
    done = python(environment, "-c", FIRST_LOOK_UPS, *LOOK_UPS.values())
    codes = dict(zip(LOOK_UPS, map(int, done.stdout.split()), strict=True))
    assert codes == dict.fromkeys(LOOK_UPS, 0), done.stderr


@pytest.mark.slow  # 20 s
def test_commands_take_them_without_an_option(environment, tmp_path):
    train = ("-m", "onebit", "zoo", "train", "leaky_net_stripes", "--smoke", "-o", tmp_path / "run")
    done = python(environment, *train, "--set", "loss=focal")
    assert done.returncode == 0, done.stderr
    done = python(
        environment,
        "-m",
        "onebit",
        "convert",
        "model",
        tmp_path / "run",
        "-o",
        tmp_path / "x.tflite",
    )
    assert done.returncode == 0, done.stderr
    assert "exact" in done.stdout
