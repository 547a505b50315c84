"""`onebit convert export --to qonnx|qcdq` as its users call it."""

import sys

import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.targets.qonnx import audit
from tests.convert.targets.chains import FILES, INT8

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


TARGETS = {
    "generic": ("qonnx", []),
    "finn": ("qonnx", ["--for", "finn"]),
    "hls4ml": ("qonnx", ["--for", "hls4ml"]),
    "qcdq": ("qcdq", []),
    "verilog": ("verilog", []),
}


def is_refused_in_one_line(done, folder, *words):
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in words)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("target", TARGETS)
def test_a_network_of_tokens_is_refused_before_its_layers_are_listed(target, tmp_path):
    to, options = TARGETS[target]
    suffix = "" if to == "verilog" else ".onnx"
    done = export("tokens", tmp_path / f"net{suffix}", *options, to=to)
    is_refused_in_one_line(done, tmp_path, "tokens is int32 [1, 8]", "onebit run")
    assert done.stdout == ""


@pytest.mark.slow  # 30 s: converts the shipped BERT
def test_the_shipped_bert_is_refused_by_every_target(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    source = ["model", "zoo:binary_bert_tiny@debian_sections", "-o", folder / "bert.tflite"]
    assert CliRunner().invoke(main, [str(a) for a in source]).exit_code == 0
    for target, (to, options) in TARGETS.items():
        output = tmp_path_factory.mktemp(target)
        path = output / ("net" if to == "verilog" else "net.onnx")
        arguments = ["export", folder / "bert.tflite", "--to", to, "-o", path, *options]
        done = CliRunner().invoke(main, [str(a) for a in arguments])
        is_refused_in_one_line(done, output, "tokens is int32 [1, 32]", "onebit run")


@pytest.mark.parametrize("target", ["finn", "hls4ml", "verilog"])
@pytest.mark.parametrize("name", INT8)
def test_int8_layers_are_refused_where_only_signs_become_hardware(name, target, tmp_path):
    to, options = TARGETS[target]
    suffix = "" if to == "verilog" else ".onnx"
    done = export(name, tmp_path / f"net{suffix}", *options, to=to)
    is_refused_in_one_line(done, tmp_path, "computes in int8", "without --int8", "--for generic")


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
    is_refused_in_one_line(done, tmp_path, error)
    assert row in done.stdout


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
