"""Files on stock LiteRT with the delegate: right, wrong, refused, crashed and absent."""

import shutil
import subprocess

import numpy as np
import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.conversion import convert_model
from convert.errors import ConversionError
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.runtimes.litert import running_on_litert, usable_delegate
from convert.samples import Samples
from convert.tflite.graph import Graph
from convert.verification import comparison, verify
from onebit.keras import keras, lq
from tests.convert.models import BINARY, images, mlp, randomise


@pytest.fixture(scope="module")
def model():
    return mlp(units=(64, 96, 64), activation="relu")


@pytest.fixture(scope="module")
def content(model):
    return convert_model(model).tflite


def test_delegate_is_compared_bit_by_bit(model, content, delegate):
    samples = Samples([images(100)], np.zeros(100, np.int64), "test")
    result = verify(model, content, samples)
    assert result.delegate is not None
    assert (result.delegate.verdict, result.delegate.samples) == ("exact", 100)
    assert result.delegate.compared_layers == ["dense_2", "dense_3", "dense_4"]
    assert result.delegate.accuracy_file == result.accuracy_file
    assert result.delegate_label.startswith("onebit-delegate ")
    assert result.delegate_skipped is None


def test_several_inputs_and_outputs_keep_their_order(delegate):
    first, second = keras.Input((32,), name="b"), keras.Input((64,), name="a")
    layers = [lq.layers.QuantDense(n, input_quantizer="ste_sign", **BINARY) for n in (5, 7)]
    outputs = [layer(x) for layer, x in zip(layers, (first, second), strict=True)]
    tflite = convert_model(randomise(keras.Model([first, second], outputs))).tflite
    inputs = [
        images(3, tuple(shape))
        for shape in (Graph.from_bytes(tflite).shape(i)[1:] for i in input_tensors(tflite))
    ]
    with running_on_litert(tflite, usable_delegate()[0]) as interpreter:
        answers = interpreter.run(inputs)
    for answer, expected in zip(answers, LceInterpreter(tflite).run(inputs), strict=True):
        np.testing.assert_array_equal(answer, expected)


def input_tensors(tflite):
    return [int(i) for i in Graph.from_bytes(tflite).subgraph.inputs]


def with_shifted_threshold(content):
    """The same file with the thresholds of its first binary layer 3 higher."""
    graph = Graph.from_bytes(content)
    op = next(op for op in graph.operators if graph.op_name(op) == "LceBconv2d")
    tensor = graph.subgraph.tensors[graph.inputs(op)[4]]
    shifted = graph.constant(graph.inputs(op)[4]) + np.int32(3)
    graph.model.buffers[tensor.buffer].data = np.frombuffer(shifted.tobytes(), np.uint8)
    return graph.to_bytes()


@pytest.fixture
def _wrong_delegate(delegate, monkeypatch):
    """A delegate that computes with other thresholds than the file has."""
    monkeypatch.setattr(
        comparison,
        "running_on_litert",
        lambda content, delegate: running_on_litert(with_shifted_threshold(content), delegate),
    )


@pytest.mark.usefixtures("_wrong_delegate")
def test_wrong_delegate_is_a_mismatch_at_the_layer_behind_it(model, content):
    result = verify(model, content, [images(100)])
    assert result.verdict == "exact"
    assert result.delegate.verdict == "mismatch"
    assert {flip.layer for flip in result.delegate.bit_flips} == {"dense_3"}
    assert result.mismatches() == [f"with the delegate: {result.delegate.summary()}"]


@pytest.mark.usefixtures("_wrong_delegate")
def test_wrong_delegate_fails_the_command_and_nothing_is_written(model, tmp_path):
    model.save(tmp_path / "m.keras")
    arguments = ["model", str(tmp_path / "m.keras"), "-o", str(tmp_path / "out" / "m.tflite")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "error: the converted file disagrees with Keras: with the delegate: mismatch (" in (
        result.stderr
    )
    assert not (tmp_path / "out").exists()
    assert CliRunner().invoke(main, [*arguments, "--no-delegate"]).exit_code == 0


def test_command_prints_the_verdict_with_the_delegate(model, content, delegate, tmp_path):
    model.save(tmp_path / "m.keras")
    (tmp_path / "m.tflite").write_bytes(content)
    command = ["verify", str(tmp_path / "m.keras"), str(tmp_path / "m.tflite")]
    lines = CliRunner().invoke(main, command).stdout.splitlines()
    assert lines[1].startswith("with the delegate (onebit-delegate ")
    assert lines[1].endswith("): exact")


def test_missing_delegate_is_reported_with_the_fix(model, content):
    result = verify(model, content, [images(2)])
    assert result.delegate is None
    assert "it is not there; in a checkout run `make delegate`" in result.delegate_skipped
    assert result.mismatches() == []


def test_missing_litert_is_reported(model, content, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert verify(model, content, [images(2)]).delegate_skipped == "ai-edge-litert is not installed"


def test_no_library_is_refused_in_one_line(model, content, monkeypatch, tmp_path):
    (tmp_path / "text.so").write_text("no library")
    monkeypatch.setenv("ONEBIT_DELEGATE_LIBRARY", str(tmp_path / "text.so"))
    result = verify(model, content, [images(2)])
    assert (result.verdict, result.delegate) == ("exact", None)
    assert "refuses the file: " in result.delegate_skipped
    assert "\n" not in result.delegate_skipped


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_crashing_delegate_is_reported_and_does_no_harm(model, content, monkeypatch, tmp_path):
    source, library = tmp_path / "crash.c", tmp_path / "crash.so"
    source.write_text(
        "#include <stdlib.h>\n"
        "void *tflite_plugin_create_delegate(void) { abort(); }\n"
        "void tflite_plugin_destroy_delegate(void *delegate) { (void)delegate; }\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", source, "-o", library], check=True)
    monkeypatch.setenv("ONEBIT_DELEGATE_LIBRARY", str(library))
    result = verify(model, content, [images(2)])
    assert (result.verdict, result.delegate) == ("exact", None)
    assert "its process was ended by SIGABRT" in result.delegate_skipped


def test_delegate_that_dies_in_between_is_reported(content, delegate):
    with running_on_litert(content, usable_delegate()[0]) as interpreter:
        interpreter.run([images(2)])
        interpreter._process.terminate()
        interpreter._process.wait()
        with pytest.raises(ConversionError, match="ended by SIGTERM"):
            interpreter.run([images(2)])
