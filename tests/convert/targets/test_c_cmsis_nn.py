"""Exports whose int8 layers CMSIS-NN computes.

The library cannot be had from a package: what is emitted is compiled against a stand-in that
refuses everything, and CMSIS-NN itself is judged where the variable CMSIS_NN names its folder:

    CMSIS_NN=/path/to/CMSIS-NN pytest -m slow tests/convert/targets/test_c_cmsis_nn.py
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.targets.c.lower import lower
from convert.targets.c.project import project_files
from convert.targets.c.vectors import compute_vectors
from convert.targets.reading import read_network
from edge.boards.emulator import Running, run_on_host
from edge.boards.exports import read_export
from edge.boards.firmware import build_for_host
from edge.boards.measurement import measure
from edge.results.row import INVALID, Run
from onebit.errors import OnebitError
from onebit.own_folders import write_folder
from tests.convert.targets.test_c_project import make
from tests.edge.boards.conftest import board_or_skip
from tests.support.int8_graphs import CASES, int8_case

SUPPORT = Path(__file__).parents[2] / "support"
LAYERS = [name for name in CASES if name.startswith(("conv", "depthwise", "dense"))]
THEIRS = os.environ.get("CMSIS_NN")


def export(name, folder):
    content, _ = int8_case(name)
    files, about = project_files(content, "net.tflite", "net", cmsis_nn=True)
    write_folder(folder, files, target="c", network=about)
    return folder


@pytest.mark.parametrize("name", ["conv-odd-channels", LAYERS[-1]])
def test_library_that_refuses_leaves_the_layer_to_us(name, tmp_path):
    folder = export(name, tmp_path / "net")
    command = [
        "gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic",
        "-fsanitize=address,undefined", f"-I{SUPPORT}", f"-I{folder / 'src'}",
        *map(str, (folder / "src").glob("*.c")), str(folder / "main.c"),
        "-o", str(tmp_path / "run"),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    done = subprocess.run([tmp_path / "run"], check=False, capture_output=True, text=True)
    assert "2 of 2 vectors agree" in done.stdout, done.stderr


def test_every_layer_with_a_filter_is_the_librarys():
    kernels = {
        lower(read_network(int8_case(name)[0]), cmsis_nn=True).calls[0].kernel for name in LAYERS
    }
    assert kernels == {"onebit_conv_cmsis_nn", "onebit_depthwise_cmsis_nn"}


def test_make_asks_for_the_library(tmp_path):
    done = make(export("conv-odd-channels", tmp_path / "net"), "check")
    assert done.returncode != 0
    assert "CMSIS_NN=/path/to/CMSIS-NN is missing" in done.stderr


def test_bench_asks_for_the_library(tmp_path, monkeypatch):
    monkeypatch.delenv("CMSIS_NN", raising=False)
    network = read_export(export("conv-odd-channels", tmp_path / "net"))
    with pytest.raises(OnebitError, match="calls CMSIS-NN, and CMSIS_NN does not say where"):
        build_for_host(network, tmp_path)
    monkeypatch.setenv("CMSIS_NN", str(tmp_path))
    with pytest.raises(OnebitError, match=f"{tmp_path} is not that; export CMSIS_NN="):
        build_for_host(network, tmp_path)


def test_option_is_for_c_only(tmp_path):
    (tmp_path / "m.tflite").write_bytes(int8_case("conv-odd-channels")[0])
    arguments = [
        "export",
        tmp_path / "m.tflite",
        "--to",
        "npz",
        "--cmsis-nn",
        "-o",
        tmp_path / "x.npz",
    ]
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "--cmsis-nn has no effect with --to npz" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(THEIRS is None, reason="CMSIS_NN names no copy of CMSIS-NN")
@pytest.mark.parametrize("board", ["mps2-an385", "mps2-an386", "mps3-an547"])
@pytest.mark.parametrize("name", LAYERS)
def test_library_computes_what_lce_computes_but_for_halves(name, board, tmp_path):
    """Boards and this machine agree bit for bit, and with LCE within a step, seldom one."""
    network = read_export(export(name, tmp_path / "net"))
    row = measure(network, board_or_skip(board), Run("id", "2026-11-30T00:00:00+00:00", "t", "0"))
    assert row.status == INVALID, row.reason
    answers = run_on_host(build_for_host(network, tmp_path), tmp_path, 60, Running())
    content, _ = int8_case(name)
    expected = compute_vectors(content, read_network(content)).outputs
    for inference, (output,) in zip(answers.inferences, expected, strict=True):
        steps = np.frombuffer(inference.output, np.int8).astype(int) - output.reshape(-1)
        # A sum lies on a half of an output's step in a few of a thousand cases.
        assert np.abs(steps).max() <= 1
        assert (steps != 0).mean() <= 0.01
