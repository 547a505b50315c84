"""ONNX files computed by ONNX's reference evaluator, against LCE's interpreter."""

import dataclasses
import hashlib

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra fpga")

import onnx
from onnx import numpy_helper

from convert.errors import ConversionError
from convert.targets.qonnx.hardware import FINN, write_chain
from convert.targets.qonnx.onnx_writer import CHANNELS_LAST, QONNX, OnnxWriter
from convert.targets.qonnx.qcdq_target import qcdq
from convert.targets.qonnx.target import qonnx
from convert.targets.reading import read_network
from convert.targets.thresholds.execution import run
from convert.targets.thresholds.network import FloatStep
from convert.targets.thresholds.reading import threshold_network
from onebit import __version__
from tests.convert.targets.chains import CHAINS, REFUSED, converted, integers, lce_outputs
from tests.support.onnx_execution import execute

SAMPLES = 6
PLAIN = {"generic": lambda c: qonnx(c, "generic", "net"), "qcdq": lambda c: qcdq(c, "net")}


def _case(name):
    content = converted(name)
    shape = _file_shape(content)
    values = (integers(shape, SAMPLES) / 128).astype(np.float32)
    return content, values, lce_outputs(content, values)


def _file_shape(content):
    network = read_network(content)
    return network.values[network.inputs[0]].shape


def _laid_out(model, values):
    """Inputs as the model's shape asks for them: vectors, NHWC or NCHW."""
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    if len(shape) == 2:
        return values.reshape(len(values), -1)
    return values if shape[1:] == list(values.shape[1:]) else values.transpose(0, 3, 1, 2)


@pytest.mark.parametrize("tool", ["finn", "hls4ml"])
@pytest.mark.parametrize("name", CHAINS)
def test_hardware_dialects_compute_what_lce_computes(name, tool):
    content, values, expected = _case(name)
    model = onnx.load_from_string(qonnx(content, tool, name))
    # Both tools have no zero among bits: where a file pads them, −1 stands there.
    np.testing.assert_array_equal(execute(model, _laid_out(model, values), -1.0), expected)


@pytest.mark.parametrize("name", CHAINS)
def test_integer_inputs_need_no_quantizer(name):
    content, values, expected = _case(name)
    model = onnx.load_from_string(qonnx(content, "finn", name, integer_input=True))
    assert "Quant" not in {node.op_type for node in model.graph.node}
    (note,) = model.graph.quantization_annotation
    assert note.tensor_name == model.graph.input[0].name
    assert [(e.key, e.value) for e in note.quant_parameter_tensor_names] == [
        ("finn_datatype", "INT8")
    ]
    found = execute(model, _laid_out(model, values * 128), -1.0)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("integer_input", [False, True])
def test_a_single_layer_scales_its_sums_once(integer_input):
    """Float inputs carry the step already, integers do not."""
    network = threshold_network(read_network(converted("real_mlp")))
    *_, last = network.layers
    weights = np.where(np.arange(15).reshape(5, 1, 1, 3) % 2, 1, -1).astype(np.int8)
    layer = dataclasses.replace(
        last,
        input_shape=(1, 1, 3),
        output_shape=(1, 1, 5),
        weights=weights,
        reads="integers",
    )
    steps = (
        FloatStep("mul", np.full(5, 1 / 128, np.float32)),
        FloatStep("mul", np.arange(1, 6, dtype=np.float32)),
    )
    alone = dataclasses.replace(
        network, input_shape=(1, 3), output_shape=(1, 5), stages=(layer,), float_steps=steps
    )
    q = integers((1, 3), 5)
    writer = OnnxWriter("net")
    ends = write_chain(alone, FINN, writer, integer_input=integer_input)
    model = onnx.load_from_string(writer.finish(ends[:1], ends[1:], b"", {}))
    inputs = (q if integer_input else q / 128).astype(np.float32)
    np.testing.assert_array_equal(execute(model, inputs), run(alone, q))


@pytest.mark.parametrize("dialect", PLAIN)
@pytest.mark.parametrize("name", [*CHAINS, *REFUSED, "floats"])
def test_plain_dialects_compute_what_lce_computes(name, dialect):
    content, values, expected = _case(name)
    model = onnx.load_from_string(PLAIN[dialect](content))
    found = execute(model, _laid_out(model, values))
    if name == "floats":
        # Sums of 16 float32 products below 1, in another order.
        np.testing.assert_allclose(found, expected, atol=16 * 2**-23)
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dialect", ["finn", "hls4ml", "generic", "qcdq"])
def test_a_file_says_where_it_comes_from_and_keeps_names_and_shapes(dialect):
    content = converted("valid_cnn")
    data = qcdq(content, "net") if dialect == "qcdq" else qonnx(content, dialect, "net")
    model = onnx.load_from_string(data)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["source_sha256"] == hashlib.sha256(content).hexdigest()
    assert properties["onebit_version"] == __version__
    assert f"Onebit {__version__} " in model.graph.doc_string
    assert properties["source_sha256"] in model.graph.doc_string
    names = {node.name for node in model.graph.node}
    assert {"first", "second", "third", "hidden", "logits"} <= names
    known = {value.name for value in model.graph.value_info}
    known |= {value.name for value in [*model.graph.input, *model.graph.output]}
    assert {name for node in model.graph.node for name in node.output} <= known
    for value in [*model.graph.input, *model.graph.value_info, *model.graph.output]:
        dimensions = value.type.tensor_type.shape.dim
        assert all(d.dim_value > 0 for d in dimensions), value.name


def test_finn_gets_only_what_it_reads():
    """Facts of FINN's and QONNX's code: the operators, every attribute of Conv, float32, NCHW."""
    model = onnx.load_from_string(qonnx(converted("valid_cnn"), "finn", "net"))
    assert model.ir_version == 8
    assert {(o.domain, o.version) for o in model.opset_import} == {("", 13), (QONNX, 1)}
    assert {node.op_type for node in model.graph.node} <= {
        *("Quant", "BipolarQuant", "MatMul", "Conv", "BatchNormalization"),
        *("MaxPool", "Flatten", "Sub", "Mul", "Add"),
    }
    for node in model.graph.node:
        if node.op_type == "Conv":
            given = {attribute.name for attribute in node.attribute}
            assert given == {"kernel_shape", "strides", "pads", "dilations", "group"}
            assert len(node.input) == 2
    read = [name for node in model.graph.node for name in node.input]
    for constant in model.graph.initializer:
        assert read.count(constant.name) == 1
        assert constant.data_type == onnx.TensorProto.FLOAT
        if constant.name.endswith("_weights"):
            assert set(np.unique(numpy_helper.to_array(constant))) == {-1, 1}
    signs = [node.input[0] for node in model.graph.node if node.op_type == "BipolarQuant"]
    producers = {node.output[0]: node.op_type for node in model.graph.node}
    assert {producers.get(name, "constant") for name in signs} == {"BatchNormalization", "constant"}


def test_hls4ml_gets_narrow_weights_and_images_with_channels_last():
    model = onnx.load_from_string(qonnx(converted("valid_cnn"), "hls4ml", "net"))
    for node in model.graph.node:
        if node.op_type in ("Conv", "MaxPool") or node.name in ("first_threshold",):
            assert node.domain == CHANNELS_LAST
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    weights = [n for n in model.graph.node if n.name.endswith("weights_quant")]
    assert len(weights) == 5
    for node in weights:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        assert (node.op_type, attributes["signed"], attributes["narrow"]) == ("Quant", 1, 1)
        assert float(constants[node.input[3]]) == 2


def test_no_sum_meets_its_threshold():
    """Thresholds lie halfway between integers, so that a tool's rounding decides nothing."""
    model = onnx.load_from_string(qonnx(converted("valid_cnn"), "finn", "net"))
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    offsets = {name: value for name, value in constants.items() if name.endswith("_offset")}
    assert len(offsets) == 4
    for name, value in offsets.items():
        steps = value * (128 if name.startswith("first") else 1)
        np.testing.assert_array_equal(steps % 1, 0.5)


@pytest.mark.parametrize("tool", ["finn", "hls4ml"])
@pytest.mark.parametrize("name", [*REFUSED, "floats"])
def test_what_hardware_would_compute_wrongly_is_refused(name, tool):
    with pytest.raises(ConversionError) as caught:
        qonnx(converted(name), tool, name)
    assert caught.value.hint


def test_the_checker_runs():
    writer = OnnxWriter("net")
    source = writer.input("x", (1, 3))
    tensor = writer.node("Relu", [source], "y", (1, 4))  # Relu keeps the shape
    with pytest.raises(ConversionError, match="ONNX's checker refuses"):
        writer.finish([source], [tensor], b"", {})


def test_names_are_unique_identifiers():
    writer = OnnxWriter("net")
    names = [writer.input(name, (1,)) for name in ("a/b:0", "a b 0", "0", "")]
    assert names == ["a_b_0", "a_b_0_2", "layer_0", "layer_"]
    assert all(name.isidentifier() for name in names)
