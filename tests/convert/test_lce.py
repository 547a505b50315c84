import sys

import numpy as np
import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.conversion import convert_model
from convert.errors import ConversionError
from convert.runtimes import lce as lce_module
from convert.runtimes.lce import convert_with_lce
from convert.runtimes.lce import lce as lce_package
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.tflite.graph import Graph
from onebit.keras import keras, lq, tf
from tests.convert.models import BINARY, images, mlp, randomise


def two_inputs():
    """The order of the names is not that of the inputs and outputs."""
    second, first = keras.Input((8,), name="b"), keras.Input((8,), name="a")
    outputs = [
        lq.layers.QuantDense(5, name=n, **BINARY)(x) for n, x in [("z", first), ("y", second)]
    ]
    return randomise(keras.Model([second, first], outputs))


def subclassed(units=4, width=32):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = lq.layers.QuantDense(
                units, input_quantizer="ste_sign", name="dense", **BINARY
            )

        def call(self, inputs):
            return self.dense(inputs)

    model = Subclassed()
    model(tf.zeros((1, width)))
    return model


def computed(content):
    """The operators of a file with all constants, without names and the order of branches."""
    graph = Graph.from_bytes(content)
    return sorted(
        (graph.op_name(op), str(graph.custom_options(op)), *constants_of(graph, op))
        for op in graph.operators
    )


def constants_of(graph, op):
    values = [graph.constant(i) for i in graph.inputs(op) if i >= 0]
    return [v.tobytes() + str(v.shape).encode() for v in values if v is not None]


@pytest.mark.parametrize("build", [mlp, two_inputs, subclassed])
def test_lce_computes_the_same_from_our_saved_model_as_from_keras_own(build, tmp_path):
    model = build()
    model.save(tmp_path, save_format="tf")
    ours, theirs = convert_with_lce(model), lce_package.convert_saved_model(str(tmp_path))
    assert computed(ours) == computed(theirs)
    assert len(ours) <= len(theirs) + 16


def planted_worker(monkeypatch, code):
    """Has a process that runs `code` stand in for LCE's converter."""
    monkeypatch.setattr(
        lce_module, "worker_command", lambda *arguments: [sys.executable, "-c", code, *arguments]
    )


def test_failure_reports_the_causes_of_all_attempts(monkeypatch, capfd):
    # As MLIR does: a diagnostic, and then an exception that says less.
    planted_worker(
        monkeypatch,
        "import sys\n"
        "sys.stderr.write('loc(\"dense_1\"): error: op is neither a custom op nor a flex op\\n')\n"
        "print(f'cause in {sys.argv[2][:13]}\\nand much more')\n"
        "sys.exit(1)",
    )
    with pytest.raises(ConversionError) as error:
        convert_with_lce(mlp())
    message = str(error.value)
    first = "by SavedModel: op is neither a custom op nor a flex op; cause in convert_saved"
    assert first in message
    assert "by SavedModel with a batch of 1: " in message
    assert "by frozen graph: " in message
    assert message.endswith("cause in convert_graph")
    assert "\n" not in message
    assert capfd.readouterr().err == ""


def test_crash_of_the_converter_is_one_line_and_leaves_nothing(monkeypatch, tmp_path):
    planted_worker(monkeypatch, "import os; os.abort()")
    mlp().save(tmp_path / "m.keras")
    command = ["model", str(tmp_path / "m.keras"), "-o", str(tmp_path / "out" / "m.tflite")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert result.stderr == "error: Larq Compute Engine's converter crashed on mlp (SIGABRT)\n"
    assert not (tmp_path / "out").exists()


def test_crash_on_kernels_that_are_too_large_names_them(monkeypatch):
    planted_worker(monkeypatch, "import os; os.abort()")
    monkeypatch.setattr(sys.modules["convert.conversion"], "MAX_FOLDED_WEIGHTS", 36 * 48 - 1)
    with pytest.raises(
        ConversionError, match=r"SIGABRT\); it cannot take .*, as dense_1, dense_2 "
    ):
        convert_model(mlp())


@pytest.mark.slow
def test_kernel_beyond_the_limit_in_a_subclassed_model_is_named():
    # LCE 0.16 crashes here; of still larger kernels it says "max_size()".
    model = subclassed(units=1024, width=33000)
    with pytest.raises(ConversionError, match=r"(SIGSEGV|max_size).*; it .* as dense has"):
        convert_model(model)


def test_frozen_graph_counts_when_the_saved_model_fails(monkeypatch):
    def fail(*_):
        raise RuntimeError("first cause")

    model = mlp()
    expected = convert_with_lce(model)
    monkeypatch.setattr(lce_module, "_saved_model", fail)
    inputs = [images(3)]
    np.testing.assert_array_equal(
        LceInterpreter(convert_with_lce(model)).run(inputs)[0],
        LceInterpreter(expected).run(inputs)[0],
    )


def test_unknown_dimensions_are_refused_because_lce_would_take_one():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(4, 3)(image))
    with pytest.raises(ConversionError, match=r"\[None, None, None, 3\].*fixed sizes"):
        convert_model(model)


def test_operator_that_nothing_runs_is_named():
    class Incomplete(keras.layers.Layer):
        def call(self, inputs):
            return tf.raw_ops.Betainc(a=inputs, b=inputs, x=inputs)

    image = keras.Input((8,))
    with pytest.raises(ConversionError, match="uses TensorFlow's Betainc"):
        convert_model(keras.Model(image, Incomplete()(image)))


def test_interpreter_says_why_it_refuses_a_file():
    content = bytearray(convert_with_lce(mlp()))
    # Another name for the operator: the interpreter does not know it.
    position = content.index(b"LceQuantize")
    content[position : position + 3] = b"Xyz"
    with pytest.raises(ConversionError, match=r"refuses the file: .*XyzQuantize"):
        LceInterpreter(bytes(content))


def test_kernels_agree():
    model = mlp()
    content = convert_model(model).tflite
    inputs = [images(6)]
    outputs = [LceInterpreter(content, k).run(inputs)[0] for k in ("default", "reference")]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], LceInterpreter(content).run(inputs)[0])


def test_conversion_works_beside_files_that_bear_our_modules_names(tmp_path, monkeypatch):
    for name in ("convert", "onebit", "numpy", "lce_worker", "zoo"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the user ran')\n")
    monkeypatch.chdir(tmp_path)
    assert convert_with_lce(mlp())[4:8] == b"TFL3"
