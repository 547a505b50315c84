"""int8 for float `.tflite` files: the same layers as by way of LCE, verified, faults found."""

import functools
import json

import numpy as np
import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.errors import ConversionError
from convert.file_conversion import convert_file, float_graph, verify_converted_file
from convert.int8.settings import Int8
from convert.int8.values import is_quantized
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.samples import Samples
from convert.tflite.graph import Graph
from convert.tflite.signature import input_names, output_names, write_signature
from onebit.keras import keras
from tests.convert.int8_models import SHAPE, binary_connect, converted, float_net, mixed_net
from tests.convert.models import images, randomise
from tests.support.float_graphs import FloatGraph
from tests.support.plain_tflite import plain_tflite

CALIBRATION = images(64, SHAPE, 7)


@functools.cache
def float_file(build):
    return plain_tflite(build())


@functools.cache
def converted_file(build, **settings):
    return convert_file(float_file(build), int8=Int8(CALIBRATION, **settings), name="net")


@pytest.mark.parametrize(
    ("build", "scope"),
    [
        (mixed_net, "layers"),
        (float_net, "all"),
        *(
            pytest.param(build, scope, marks=pytest.mark.slow)
            for build, scope in (
                (mixed_net, "all"),
                (float_net, "layers"),
                (binary_connect, "layers"),
                (binary_connect, "all"),
            )
        ),
    ],
)
def test_layers_and_answers_are_those_of_the_way_by_lce(build, scope):
    conversion, by_lce = converted_file(build, scope=scope), converted(build, scope=scope)
    assert conversion.report.kinds() == by_lce.report.kinds()
    assert conversion.report.verification.verdict == by_lce.report.verification.verdict
    quantization = conversion.report.verification.quantization
    assert quantization is None or quantization.float_file.startswith(("exact", "rounding"))
    outputs, expected = (
        LceInterpreter(c.tflite).run([images(32, SHAPE, 9)])[0] for c in (conversion, by_lce)
    )
    # To the rounding of float32: the two converters multiply scales of a layer in another order.
    assert np.abs(outputs - expected).max() <= 2**-22 * np.ptp(expected)


def test_integers_go_in_and_out_where_wanted():
    graph = Graph.from_bytes(converted_file(mixed_net, io="int8").tflite)
    assert {graph.type_name(int(i)) for i in graph.subgraph.inputs} == {"INT8"}
    assert {graph.type_name(int(i)) for i in graph.subgraph.outputs} == {"INT8"}


def two_ends():
    """Inputs and outputs whose names are neither sorted nor different."""
    b, a = keras.Input((8,), name="b"), keras.Input((6,), name="a")
    outputs = {"b": keras.layers.Dense(5)(a), "a": keras.layers.Dense(4)(b)}
    return randomise(keras.Model({"b": b, "a": a}, outputs))


@pytest.mark.parametrize("signature", ["mine", None])
def test_ends_keep_their_order_and_names(signature):
    graph = Graph.from_bytes(plain_tflite(two_ends()))
    write_signature(graph, ["b", "a"], ["a", "b"], b"mine")
    if signature is None:
        graph.model.signatureDefs = None
    shapes = [graph.shape(int(i)) for i in (*graph.subgraph.inputs, *graph.subgraph.outputs)]
    samples = [images(32, shape[1:]) for shape in shapes[:2]]
    conversion = convert_file(graph.to_bytes(), int8=Int8(samples, scope="all"))
    assert conversion.report.verification.verdict == "quantised"
    found = Graph.from_bytes(conversion.tflite)
    ends = (*found.subgraph.inputs, *found.subgraph.outputs)
    assert [found.shape(int(i)) for i in ends] == shapes
    assert (input_names(found), output_names(found)) == (input_names(graph), output_names(graph))
    key = b"serving_default" if signature is None else b"mine"
    assert found.signatures()[0].signatureKey == key


def test_planted_fault_is_named():
    graph = Graph.from_bytes(converted_file(mixed_net).tflite)
    stem = next(op for op in graph.operators if graph.op_name(op) == "CONV_2D")
    quantization = graph.subgraph.tensors[graph.outputs(stem)[0]].quantization
    quantization.scale = quantization.scale * np.float32(0.25)
    original = float_graph(float_file(mixed_net), "net")
    result = verify_converted_file(original, graph, Samples([images(16, SHAPE, 9)]))
    assert result.verdict == "mismatch"
    assert "its range is too narrow" in result.quantization.faults[0]


def test_samples_that_show_nothing_are_refused():
    with pytest.raises(ConversionError, match="the representative samples"):
        convert_file(float_file(mixed_net), int8=Int8(np.zeros((4, *SHAPE), np.float32)))


@pytest.mark.parametrize("number", [0, 1])
def test_input_that_never_changes_beside_others_is_taken(number):
    """As an attention mask of sentences without gaps."""
    g, random = FloatGraph(), np.random.default_rng(0)
    x, mask = g.tensor((1, 64)), g.tensor((1, 64))
    weights = g.constant(random.normal(size=(6, 64)).astype(np.float32))
    content = g.build([x, mask], [g.dense(g.op("ADD", g.multiply(x, mask), mask), weights)])
    arrays = [images(40, (64,)), np.full((40, 64), number, np.float32)]
    conversion = convert_file(content, int8=Int8(arrays))
    assert conversion.report.kinds() == {"int8": 1}
    assert conversion.report.verification.verdict == "quantised"
    with pytest.raises(ConversionError, match="are all the same"):
        convert_file(content, int8=Int8([images(1, (64,)).repeat(40, 0), arrays[1]]))


def test_command_quantizes_and_verifies(tmp_path):
    source, output = tmp_path / "float.tflite", tmp_path / "int8.tflite"
    source.write_bytes(float_file(mixed_net))
    np.savez(tmp_path / "samples.npz", inputs=CALIBRATION)

    def run(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    data = ["--int8", "--representative-data", tmp_path / "samples.npz"]
    result = run("model", source, "-o", output, *data)
    assert result.exit_code == 0, result.output
    assert "against the float file on 64 representative samples" in result.stdout
    report = json.loads((tmp_path / "int8.report.json").read_text())
    assert report["verification"]["verdict"] == "quantised"
    assert is_quantized(Graph.from_bytes(output.read_bytes()))
    verified = run("verify", source, output, "--verify-data", tmp_path / "samples.npz")
    assert verified.exit_code == 0, verified.output
