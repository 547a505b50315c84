"""Designs in Verilog, simulated with Icarus against what LCE's interpreter computes."""

import dataclasses
import re
import shutil
import subprocess

import numpy as np
import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.errors import ConversionError
from convert.targets.reading import read_network
from convert.targets.thresholds.network import Layer
from convert.targets.thresholds.reading import threshold_network
from convert.targets.verilog.combinational import combinational_module
from convert.targets.verilog.folded import cycles
from convert.targets.verilog.target import verilog_files
from convert.targets.verilog.testbench import Expected, recorded_inputs
from convert.targets.verilog.walking import Folding
from tests.convert.targets.chains import CHAINS, FILES, REFUSED, converted, lce_outputs

needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="needs Icarus: apt-get install iverilog"
)
STYLES = ("folded", "combinational")


def written(files, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (folder / file).write_text(content)


def simulated(files, folder, name):
    """The lines that the test bench prints in Icarus."""
    written(files, folder)
    program = folder / "bench.vvp"
    command = ["iverilog", "-g2005", "-o", program, f"{name}.v", f"{name}_tb.v"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    done = subprocess.run(["vvp", program], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


@needs_icarus
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "name", [pytest.param(c, marks=pytest.mark.slow) if c == "padded_cnn" else c for c in CHAINS]
)
def test_a_design_computes_the_recorded_sums(name, style, tmp_path):
    content = converted(name)
    lines = simulated(verilog_files(content, name, style), tmp_path, name)
    assert lines[-1] == "PASS: 8 samples"
    if style == "folded":
        chain = threshold_network(read_network(content))
        assert lines[-2] == f"{cycles(chain)} cycles a sample"


@pytest.mark.slow  # 20 s each: Verilator's C++ is compiled
@pytest.mark.skipif(
    shutil.which("verilator") is None, reason="needs Verilator: apt-get install verilator"
)
@pytest.mark.parametrize(
    ("name", "style"), [("padded_cnn", "folded"), ("real_mlp", "combinational")]
)
def test_verilator_computes_the_recorded_sums_too(name, style, tmp_path):
    """As SystemVerilog, Verilator's default, which has more keywords than Verilog."""
    written(verilog_files(converted(name), "net", style), tmp_path)
    command = ["verilator", "--binary", "--timing", "-Wno-WIDTH", "-Wno-UNSIGNED"]
    command += ["--top-module", "net_tb", "net.v", "net_tb.v"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [tmp_path / "obj_dir" / "Vnet_tb"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "PASS: 8 samples" in done.stdout.splitlines()


@needs_icarus
@pytest.mark.parametrize(
    ("pe", "simd"), [pytest.param(1, 1, marks=pytest.mark.slow), (3, 5), (64, 64)]
)
def test_any_folding_gives_the_same_sums(pe, simd, tmp_path):
    for name in ("sign_cnn", "real_mlp"):
        folding = Folding(pe, simd)
        files = verilog_files(converted(name), name, folding=folding)
        lines = simulated(files, tmp_path / name, name)
        assert lines[-1] == "PASS: 8 samples"
        chain = threshold_network(read_network(converted(name)))
        assert lines[-2] == f"{cycles(chain, folding)} cycles a sample"


@pytest.mark.parametrize("name", CHAINS)
def test_recorded_samples_are_lces_answers(name):
    """The test bench compares sums; with the file's scales they are LCE's outputs to the bit."""
    content = converted(name)
    chain = threshold_network(read_network(content))
    inputs = recorded_inputs(chain)
    outputs = Expected(chain, inputs).sums.astype(np.float32)
    for step in chain.float_steps:
        outputs = step(outputs)
    images = (inputs / 128).reshape(len(inputs), *chain.input_shape[1:])
    np.testing.assert_array_equal(outputs, lce_outputs(content, images))


@needs_icarus
@pytest.mark.parametrize("style", STYLES)
def test_layers_may_have_any_names(style, tmp_path, monkeypatch):
    chain = threshold_network(read_network(converted("real_mlp")))
    names = ("a/b.c", "total", "a_b_c")
    stages = [dataclasses.replace(s, name=n) for s, n in zip(chain.stages, names, strict=True)]
    odd = dataclasses.replace(chain, stages=tuple(stages))
    monkeypatch.setattr("convert.targets.verilog.target.threshold_network", lambda *_: odd)
    files = verilog_files(converted("real_mlp"), "net", style)
    assert simulated(files, tmp_path, "net")[-1] == "PASS: 8 samples"


@needs_icarus
@pytest.mark.parametrize("style", STYLES)
def test_the_test_bench_fails_where_a_threshold_is_wrong(style, tmp_path, monkeypatch):
    chain = threshold_network(read_network(converted("real_mlp")))
    first = next(stage for stage in chain.stages if isinstance(stage, Layer))
    first.thresholds[:8] -= 2000
    module = "convert.targets.verilog.target"
    good = verilog_files(converted("real_mlp"), "net", style)
    monkeypatch.setattr(f"{module}.threshold_network", lambda *_: chain)
    bad = verilog_files(converted("real_mlp"), "net", style)
    lines = simulated({**good, "net.v": bad["net.v"]}, tmp_path, "net")
    assert re.fullmatch(r"FAIL: \d+ errors", lines[-1])


@pytest.mark.parametrize("style", STYLES)
def test_designs_are_plain_verilog_without_delays_or_system_tasks(style):
    text = verilog_files(converted("padded_cnn"), "net", style)["net.v"]
    assert not re.search(r"\$(?!signed\b)\w+|#\d|\blogic\b|\balways_", text)
    assert max(map(len, text.splitlines())) < 1000


@pytest.mark.parametrize("name", [*REFUSED, "floats"])
def test_what_is_no_chain_is_refused(name):
    if name == "pooled_padding":
        assert verilog_files(converted(name), name)  # plain logic pads with what the file says
        return
    with pytest.raises(ConversionError) as caught:
        verilog_files(converted(name), name)
    assert caught.value.hint


def test_too_many_products_at_once_are_refused(monkeypatch):
    monkeypatch.setattr("convert.targets.verilog.combinational.MOST_PRODUCTS", 1000)
    with pytest.raises(ConversionError, match="products at once") as caught:
        combinational_module("net", threshold_network(read_network(converted("real_mlp"))))
    assert "--style folded" in caught.value.hint


def export(output, *options, name="real_mlp"):
    arguments = ["export", FILES / f"{name}.tflite", "--to", "verilog", "-o", output, *options]
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_the_command_writes_a_folder_of_its_own(tmp_path):
    folder = tmp_path / "mlp-1"
    assert export(folder, "--style", "combinational").exit_code == 0
    written = {path.name for path in folder.iterdir()}
    assert {"mlp_1.v", "mlp_1_tb.v", "inputs.hex", "sums.hex", "README.md"} <= written
    assert export(folder, "--simd", "8").exit_code == 0
    (folder / "mine.v").write_text("module mine; endmodule\n")
    done = export(folder)
    assert done.exit_code == 1
    assert "is not an earlier output" in done.stderr


def test_wrong_usage_and_refusals_leave_nothing(tmp_path):
    done = export(tmp_path / "x", "--style", "combinational", "--simd", "8")
    assert (done.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert "--simd has no effect with --style combinational" in done.stderr
    done = export(tmp_path / "x", name="residual")
    assert (done.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert "joins or splits branches" in done.stderr
