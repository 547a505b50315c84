"""`onebit convert export --to qonnx|qcdq` as its users call it."""

import sys

import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.targets.qonnx import audit
from tests.convert.targets.chains import FILES

onnx = pytest.importorskip("onnx", reason="needs the extra fpga")


def export(name, output, *options, to="qonnx"):
    arguments = ["export", FILES / f"{name}.tflite", "--to", to, "-o", output, *options]
    return CliRunner().invoke(main, [str(a) for a in arguments], env={"COLUMNS": "200"})


@pytest.mark.parametrize("tool", ["finn", "hls4ml"])
def test_a_table_names_the_hardware_of_every_layer(tool, tmp_path):
    done = export("valid_cnn", tmp_path / "net.onnx", "--for", tool)
    assert done.exit_code == 0, done.output
    for layer in ("image", "first", "second", "second_pool", "third", "hidden", "logits"):
        assert f" {layer} " in done.stdout
    nodes = audit.NODES[tool]
    assert nodes["conv"] in done.stdout
    assert nodes["pool"] in done.stdout
    assert done.stdout.splitlines()[-1].endswith(f"bytes of QONNX for {tool}")
    assert onnx.load(tmp_path / "net.onnx").producer_name == "onebit"


@pytest.mark.parametrize("to", ["qonnx", "qcdq"])
def test_any_network_can_be_written_without_a_tool(to, tmp_path):
    assert export("residual", tmp_path / "net.onnx", to=to).exit_code == 0
    assert onnx.load(tmp_path / "net.onnx").graph.node


@pytest.mark.parametrize(
    ("name", "row", "error"),
    [
        ("residual", "joins or splits branches", "use a network without shortcuts"),
        ("zero_padded", "pads ±1 with zeros", 'train with pad_values=1 or padding="valid"'),
        ("floats", "its weights are not ±1", "give the layer a kernel_quantizer"),
        ("pooled_padding", "it pads with +1 behind a pooling", 'use padding="valid" there'),
    ],
)
def test_a_refusal_is_a_row_and_one_line_and_leaves_nothing(name, row, error, tmp_path):
    done = export(name, tmp_path / "net.onnx", "--for", "finn")
    assert done.exit_code == 1
    assert row in done.stdout
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert error in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("to", "options", "message"),
    [
        ("qcdq", ["--for", "finn"], "--for has no effect with --to qcdq"),
        ("qonnx", ["--input-bits", "4"], "--input-bits has no effect with --for generic"),
        (
            "qonnx",
            ["--for", "hls4ml", "--input-type", "integer"],
            "--input-type has no effect with --for hls4ml",
        ),
        ("qonnx", ["--for", "brevitas"], "'brevitas' is not one of"),
        ("qonnx", ["--for", "finn", "--input-scale", "0"], "--input-scale"),
    ],
)
def test_wrong_usage_exits_with_2(to, options, message, tmp_path):
    done = export("valid_cnn", tmp_path / "net.onnx", *options, to=to)
    assert done.exit_code == 2
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_another_grid_changes_the_inputs_quantizer(tmp_path):
    options = ("--for", "finn", "--input-bits", "4", "--input-scale", "0.25")
    assert export("sign_cnn", tmp_path / "net.onnx", *options).exit_code == 0
    model = onnx.load(tmp_path / "net.onnx")
    node = next(n for n in model.graph.node if n.op_type == "Quant")
    values = {c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer}
    assert [float(values[name]) for name in node.input[1:]] == [0.25, 0, 4]


def test_only_files_of_our_own_are_overwritten(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"something else")
    done = export("sign_cnn", path)
    assert done.exit_code == 1
    assert "is not an earlier output" in done.stderr
    assert path.read_bytes() == b"something else"
    assert export("sign_cnn", path, "--force").exit_code == 0
    assert export("sign_cnn", path).exit_code == 0


def test_without_onnx_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = export("sign_cnn", tmp_path / "net.onnx")
    assert done.exit_code == 1
    assert "extra fpga" in done.stderr
