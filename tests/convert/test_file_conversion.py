"""Float `.tflite` files as sources: pipeline, verification, refusals, and no TensorFlow."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.auditing.layers import audit
from convert.errors import ConversionError, FlatbufferError
from convert.file_conversion import convert_file
from convert.report import Reason
from convert.report_files import read_report
from convert.result import Conversion
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.samples import Samples
from convert.tflite.graph import Graph
from convert.verification.float_file import verify_float_file
from tests.convert.models import images
from tests.convert.test_binariser import op_names
from tests.support.damage import scrambled
from tests.support.float_graphs import CODES, FloatGraph, binary_weights, schema

ROOT = Path(__file__).parents[2]


@pytest.fixture
def float_file(residual_net):
    return residual_net[1]


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_file_is_converted_audited_and_verified(float_file):
    conversion = convert_file(float_file, name="net", source="net.tflite")
    report = conversion.report
    assert report.kinds() == {"binary": 5, "binary_weights": 1}
    assert report.lce_version is None
    assert report.totals.compression > 20
    result = report.verification
    assert result.reference == "the float file"
    assert result.verdict in ("exact", "rounding flips")
    assert len(result.compared_layers) == 5
    assert len(conversion.tflite) < len(float_file) / 8


def test_signs_are_compared_where_they_are(float_file):
    """A threshold that is off is found in the layer behind it, by name."""
    conversion = convert_file(float_file, verification=False)
    graph = Graph.from_bytes(conversion.tflite)
    ops = [op for op in graph.operators if graph.op_name(op) == "LceBconv2d"]
    op = next(op for op in ops if len(graph.inputs(op)) > 4 and graph.inputs(op)[4] >= 0)
    tensor = graph.subgraph.tensors[graph.inputs(op)[4]]
    shifted = graph.constant(graph.inputs(op)[4]) + np.int32(3)
    graph.model.buffers[tensor.buffer].data = np.frombuffer(shifted.tobytes(), np.uint8)
    samples = Samples([images(10, (12, 12, 3))])
    result = verify_float_file(Graph.from_bytes(float_file), graph, samples)
    assert result.verdict == "mismatch"
    assert "dense" in result.bit_flips[0].layer


def test_products_with_a_computed_matrix_count_as_rounding():
    """TensorFlow Lite's converter writes BATCH_MATMUL where it has not folded the filter."""
    g = FloatGraph()
    x = g.tensor((1, 5, 2048))
    latent = np.random.default_rng(0).normal(size=(2048, 6)).astype(np.float32)
    matrix = g.op("MUL", g.op("SIGN", g.constant(latent)), g.number(0.37))
    y = g.tensor((1, 5, 6))
    builtin = (schema.BuiltinOptions.BatchMatMulOptions, schema.BatchMatMulOptionsT())
    g.operator(CODES.BATCH_MATMUL, [g.sign(x), matrix], [y], builtin=builtin)
    samples = Samples([images(40, (5, 2048))])
    assert convert_file(g.build([x], [y]), samples=samples).report.verification.verdict == "exact"


@pytest.mark.parametrize("folded", [True, False])
def test_rounding_of_a_layer_counts_though_its_weights_are_quantized_in_the_file(folded):
    """Larq Compute Engine adds the bias to K·scale, which rounds at that size; the end is below 1.

    K = 2048 terms explain 12·2^-24·K = 0.0015.
    """
    g, random = FloatGraph(), np.random.default_rng(0)
    x = g.tensor((1, 2048))
    latent = random.normal(size=(8, 2048)).astype(np.float32)
    weights = g.constant(np.sign(latent)) if folded else g.sign(g.constant(latent))
    sums = g.dense(g.sign(x), weights, g.constant(random.normal(size=8).astype(np.float32)))
    content = g.build([x], [g.op("TANH", sums)])
    result = convert_file(content, samples=Samples([images(40, (2048,))])).report.verification
    assert result.tolerance == pytest.approx(12 * 2.0**-24 * 2048)
    assert 0 < result.max_abs_difference < 0.0005
    assert result.verdict == "exact"


def test_labels_give_accuracies(float_file):
    samples = Samples([images(20, (12, 12, 3))], np.arange(20) % 10, "mine")
    result = convert_file(float_file, samples=samples).report.verification
    assert result.split == "mine"
    assert result.accuracy_keras == result.accuracy_file


def test_command_converts_verifies_and_prints(float_file, tmp_path):
    source, output = tmp_path / "float.tflite", tmp_path / "binary.tflite"
    source.write_bytes(float_file)
    result = run("model", source, "-o", output, "--no-delegate")
    assert result.exit_code == 0, result.output
    assert "against the float file on 16 random samples" in result.stdout
    report = json.loads((tmp_path / "binary.report.json").read_text())
    assert report["source"] == str(source)
    assert run("verify", source, output, "--no-delegate").exit_code == 0

    unverified = run("model", source, "-o", tmp_path / "other.tflite", "--samples", 0)
    assert unverified.exit_code == 0, unverified.output
    assert (tmp_path / "other.tflite").read_bytes() == output.read_bytes()

    again = run("model", output, "-o", tmp_path / "again.tflite")
    assert again.exit_code == 1
    assert "is binary already (5 LceBconv2d); give the float file" in again.output
    assert not (tmp_path / "again.tflite").exists()


def test_user_data_are_checked_and_used(float_file, tmp_path):
    source, data = tmp_path / "float.tflite", tmp_path / "data.npz"
    source.write_bytes(float_file)
    np.savez(data, inputs=images(7, (12, 12, 3)), labels=np.zeros(7))
    command = ["model", source, "-o", tmp_path / "binary.tflite", "--no-delegate", "--verify-data"]
    result = run(*command, data)
    assert "against the float file on 7 data.npz samples" in result.stdout
    np.savez(data, inputs=images(7, (11, 12, 3)))
    result = run(*command, data, "--force")
    assert result.exit_code == 1
    assert "the model takes [N, 12, 12, 3]" in result.output


def dense_file(quantizer=True, signature=None):
    """A dense layer with binary weights, behind a sign or not, whose input may have open sizes."""
    g = FloatGraph()
    x = g.tensor((1, 256))
    weights = np.random.default_rng(0).choice([-1.0, 1.0], (64, 256)).astype(np.float32)
    if not quantizer:
        weights = np.random.default_rng(0).normal(size=(64, 256)).astype(np.float32)
    content = g.build([x], [g.dense(g.sign(x), g.constant(weights))])
    graph = Graph.from_bytes(content)
    if signature is not None:
        graph.subgraph.tensors[x].shapeSignature = np.array(signature, np.int32)
    return graph.to_bytes()


def test_dynamic_shapes_are_refused():
    with pytest.raises(ConversionError, match=r"has the shape \[-1, -1\]: .*fixed sizes"):
        convert_file(dense_file(signature=[-1, -1]))
    assert convert_file(dense_file(signature=[-1, 256])).report.verification.verdict == "exact"


def counting_file(batch=1):
    """A binary layer beside the number of positive inputs, which `[-1, 2]` of WHERE holds."""
    g = FloatGraph()
    x = g.tensor((1, 64))
    positive = g.op("GREATER", x, g.number(0), dtype=np.bool_)
    places, sizes = g.tensor((1, 2), np.int64), g.tensor((2,), np.int32)
    g.operator(CODES.WHERE, [positive], [places])
    options = schema.ShapeOptionsT()
    options.outType = schema.TensorType.INT32
    builtin = (schema.BuiltinOptions.ShapeOptions, options)
    g.operator(CODES.SHAPE, [places], [sizes], builtin=builtin)
    layer = g.dense(g.sign(x), g.constant(binary_weights(np.random.default_rng(0), (6, 64), False)))
    g.graph.tensors[places].shapeSignature = [-1, 2]
    for index in (x, positive, layer):
        g.graph.tensors[index].shapeSignature = [batch, *g.shape(index)[1:]]
    return g.build([x], [layer, g.op("CAST", sizes)])


@pytest.mark.parametrize("batch", [1, -1])
def test_sizes_that_depend_on_numbers_are_not_taken_for_the_stored_ones(batch):
    conversion = convert_file(counting_file(batch))
    assert conversion.report.kinds() == {"binary": 1}
    assert conversion.report.verification.verdict == "exact"


def test_batch_that_became_one_with_another_size_is_refused_in_front_of_a_binary_layer():
    """`[-1, 16, 64]` reshaped to `[-1, 64]` is stored as `[1, 64]`, which it is not."""
    g = FloatGraph()
    x = g.tensor((1, 16, 64))
    rows = g.reshape(x, (1, 64))
    g.graph.operators[-1].inputs[1] = g.constant(np.array([-1, 64], np.int32))
    signs = g.sign(rows)
    weights = g.constant(binary_weights(np.random.default_rng(0), (6, 64), False))
    y = g.dense(signs, weights)
    for tensor in g.graph.tensors[x:]:
        if tensor.buffer == 0:
            tensor.shapeSignature = [-1, *tensor.shape[1:]]
    content = g.build([x], [y])
    with pytest.raises(ConversionError, match="known only when the file runs") as refused:
        convert_file(content)
    assert refused.value.reason == "dynamic-shape"


def test_input_without_a_batch_is_refused_where_samples_are_needed():
    g = FloatGraph()
    factor, x = g.tensor(()), g.tensor((1, 64))
    weights = g.constant(binary_weights(np.random.default_rng(0), (6, 64), False))
    content = g.build([factor, x], [g.dense(g.sign(g.op("MUL", x, factor)), weights)])
    assert convert_file(content, verification=False).report.kinds() == {"binary": 1}
    with pytest.raises(ConversionError, match="input tensor0 is a single number"):
        convert_file(content)


def two_signs(bias):
    g, random = FloatGraph(), np.random.default_rng(0)
    x = g.tensor((1, 64))
    first = g.dense(g.sign(x), g.constant(binary_weights(random, (64, 64), False)), bias(g))
    return g, x, g.dense(g.sign(first), g.constant(binary_weights(random, (6, 64), False)))


@pytest.mark.parametrize("name", ["", "a/Sign;b/Select"])
def test_signs_of_tensors_with_any_names_are_compared(name):
    g, x, y = two_signs(lambda g: g.number(np.random.default_rng(1).normal(size=64)))
    for tensor in g.graph.tensors:
        tensor.name = name
    result = convert_file(g.build([x], [y])).report.verification
    assert result.verdict == "exact"
    assert len(result.compared_layers) == 2


def test_infinity_in_a_layer_explains_no_difference(tmp_path):
    """In the binary file one bias is -∞ instead of +∞, and another one shifted by 8."""
    numbers = np.zeros(64)
    numbers[3] = np.inf
    g, x, y = two_signs(lambda g: g.number(numbers))
    original = Graph.from_bytes(g.build([x], [y]))
    numbers[[3, 5]] = -np.inf, 8
    g, x, y = two_signs(lambda g: g.number(numbers))
    conversion = convert_file(g.build([x], [y]), verification=False)
    samples = Samples([images(10, (64,))])
    result = verify_float_file(original, Graph.from_bytes(conversion.tflite), samples)
    assert result.verdict == "mismatch"
    assert result.unexplained_samples == 10
    assert {flip.margin for flip in result.bit_flips} == {None}
    assert "by a number NaN or infinity from its threshold" in result.summary()
    report = dataclasses.replace(conversion.report, verification=result)
    path = Conversion(conversion.tflite, report).save(tmp_path / "x.tflite", keep_mismatch=True)
    assert read_report(path).verification == result


def test_options_that_are_left_out_are_the_defaults():
    """TensorFlow Lite takes them so, and those of another operator too."""
    g = FloatGraph()
    x = g.tensor((1, 64))
    doubled = g.op("ADD", x, x)
    g.graph.operators[-1].builtinOptions, g.graph.operators[-1].builtinOptionsType = None, 0
    weights = g.constant(binary_weights(np.random.default_rng(0), (6, 64), False))
    y = g.dense(g.sign(doubled), weights)
    cosine = schema.BuiltinOptions.CosOptions, schema.CosOptionsT()
    g.graph.operators[-1].builtinOptionsType, g.graph.operators[-1].builtinOptions = cosine
    conversion = convert_file(g.build([x], [y]))
    assert conversion.report.kinds() == {"binary": 1}
    assert conversion.report.verification.verdict == "exact"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_damaged_bytes_raise_nothing_else():
    g = FloatGraph()
    random = np.random.default_rng(0)
    x = g.tensor((1, 4, 4, 8))
    y = g.conv(g.sign(x), g.constant(binary_weights(random, (8, 3, 3, 8), False)))
    y = g.max_pool(g.multiply(y, g.number(np.arange(8.0))), (2, 2), (2, 2))
    y = g.reshape(g.sign(y), (1, 32))
    y = g.dense(y, g.constant(binary_weights(random, (6, 32), False)))
    for content in scrambled(g.build([x], [y]), 80, seed=3):
        with contextlib.suppress(ConversionError, FlatbufferError):
            convert_file(content, verification=False)


def test_int8_file_is_refused():
    g = FloatGraph()
    x = g.tensor((1, 8), np.int8, scale=0.1)
    y = g.dense(x, g.tensor((4, 8), np.int8, np.ones((4, 8)), scale=0.1))
    with pytest.raises(ConversionError, match="computes in 8-bit integers"):
        convert_file(g.build([x], [y]))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("net.pt", b"PK\x03\x04", "litert-torch"),
        ("net.pth", b"\x80\x02}", "litert-torch"),
        ("net.onnx", b"\x08\x07", "onnx2tf"),
        ("net.tflite", b"\x00" * 64, "is not a .tflite file"),
        ("net.bin", b"\x00" * 64, "is not a Keras model"),
        ("net.tflite", None, "does not exist"),
    ],
)
def test_other_files_are_refused_with_the_next_step(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = run("model", tmp_path / name, "-o", tmp_path / "out.tflite")
    assert result.exit_code == 1
    assert message in result.output
    assert [path.name for path in tmp_path.iterdir()] == ([] if content is None else [name])


def test_float_model_is_converted_with_a_note():
    conversion = convert_file(dense_file(quantizer=False))
    assert conversion.report.kinds() == {"float": 1}
    assert any("no layer has binary weights" in note for note in conversion.report.notes)


def test_plain_file_is_audited_with_the_command_that_makes_it_binary():
    (layer,) = audit(dense_file()).layers
    assert layer.reason_code == Reason.NOT_PACKED
    assert "onebit convert model" in layer.fix


_HOOK = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"tensorflow", "keras", "tf_keras", "larq", "larq_compute_engine",
                                  "h5py", "jax", "torch"}:
            raise ImportError(f"{name} is not to be imported")
sys.meta_path.insert(0, Refuse())
from pathlib import Path
from convert.file_conversion import convert_file
conversion = convert_file(Path(sys.argv[1]).read_bytes(), verification=False)
Path(sys.argv[2]).write_bytes(conversion.tflite)
"""


def test_conversion_imports_neither_tensorflow_nor_lce(float_file, tmp_path):
    source, output = tmp_path / "float.tflite", tmp_path / "binary.tflite"
    source.write_bytes(float_file)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _HOOK, str(source), str(output)]
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)
    content = output.read_bytes()
    assert content == convert_file(float_file, verification=False).tflite
    assert op_names(Graph.from_bytes(content)).count("LceBconv2d") == 5
    LceInterpreter(content)
