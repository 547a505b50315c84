"""A quantizer, model, data set and recipe of the user's own, by `--import`."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MINE = ROOT / "docs" / "examples" / "mine.py"


def onebit(*arguments):
    """The command in a process of its own, which knows nothing of the file yet."""
    command = [sys.executable, "-m", "onebit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own") / "run"
    train = ["zoo", "train", "leaky_net_stripes", "--smoke", "-o", folder, "--set", "loss=focal"]
    result = onebit(*train, "--import", MINE)
    assert result.returncode == 0, result.stderr
    return folder


def test_run_says_what_to_import(run):
    result = onebit("zoo", "evaluate", run)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith(f"; pass --import {MINE}, as its training did")
    assert onebit("zoo", "evaluate", run, "--import", MINE).returncode == 0


@pytest.mark.slow
def test_recipe_is_unknown_without_its_file(tmp_path):
    result = onebit("zoo", "train", "leaky_net_stripes", "-o", tmp_path / "run")
    assert result.returncode == 2
    assert "there is no recipe 'leaky_net_stripes'" in result.stderr


@pytest.mark.slow
def test_run_is_exported_and_converted(run, tmp_path):
    own = ("--import", MINE)
    assert onebit("zoo", "export", run, *own, "-o", tmp_path / "x.npz").returncode == 0
    result = onebit("convert", "model", run, *own, "-o", tmp_path / "x.tflite")
    assert result.returncode == 0, result.stderr
    assert "exact" in result.stdout
    assert "│ logits │ binary " in result.stdout
