"""Larq Compute Engine: its converter, whose failures are told whole, and its interpreter."""

import json
import re
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.keras_model.signature import input_specs
from convert.runtimes.subprocesses import how_it_ended, worker_command
from convert.tflite.graph import Graph
from onebit.errors import first_line
from onebit.keras import keras, tf
from onebit.streams import held_stderr

import larq_compute_engine as lce  # isort: skip - needs Keras 2, which onebit.keras sets up
from larq_compute_engine.mlir.python import converter  # isort: skip

OPS = ("LceQuantize", "LceDequantize", "LceBconv2d", "LceBMaxPool2d")
"""The custom operators that LCE's interpreter adds to TensorFlow Lite's own."""

VERSION: str = lce.__version__


def convert_with_lce(model: keras.Model) -> bytes:
    """The `.tflite` file that Larq Compute Engine makes of a Keras model.

    By way of a SavedModel and, when that fails, by way of a frozen graph, as LCE itself does; LCE
    shows the cause of the second failure only. The native converter runs in a process of its own.

    Raises:
        ConversionError: Both ways failed (the message has both causes), the converter crashed, an
            input dimension other than the batch is unknown, or the model needs an operator that
            TensorFlow Lite lacks.
    """
    input_specs(model)  # refuses unknown sizes before anything else takes time
    causes = {}
    for way, prepare in (("SavedModel", _saved_model), ("frozen graph", _frozen_graph)):
        with tempfile.TemporaryDirectory(prefix="onebit-") as folder:
            try:
                with warnings.catch_warnings(), held_stderr():
                    warnings.simplefilter("ignore")
                    function, arguments = prepare(model, Path(folder))
                content = _run_converter(function, arguments, Path(folder))
            except _CrashError as crash:
                raise ConversionError(
                    f"Larq Compute Engine's converter crashed on {model.name} ({crash})"
                ) from crash
            except Exception as error:  # Keras and MLIR raise whatever comes up; both are reported
                causes[way] = first_line(error)
                continue
        _check_operators(content, model.name)
        return content
    # Either way ends in the same converter, which often says the same.
    told = [f"by {way}: {cause}" for way, cause in causes.items()]
    reason = "; ".join(told) if len(set(causes.values())) > 1 else causes["SavedModel"]
    raise ConversionError(f"Larq Compute Engine cannot convert {model.name}: {reason}")


class _CrashError(Exception):
    """The converter's process was ended by a signal, whose name is the message."""


def _run_converter(function: str, arguments: list[Any], folder: Path) -> bytes:
    """What a function of LCE's native converter gives.

    Raises:
        _CrashError: It crashed.
        RuntimeError: It failed; the message has the cause, MLIR's diagnostics first.
    """
    output = folder / "model.tflite"
    (folder / "arguments.json").write_text(json.dumps(arguments))
    result = subprocess.run(
        worker_command(
            "convert.runtimes.lce_worker", function, str(folder / "arguments.json"), str(output)
        ),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if result.returncode < 0:
        raise _CrashError(signal.Signals(-result.returncode).name)
    if result.returncode > 0:
        # MLIR prints its diagnostics as "loc(...): error: ..." and raises something less telling.
        said = re.findall(r"error: (.+)", result.stderr)[:3]
        raised = first_line(Exception(result.stdout or how_it_ended(1, result.stderr)))
        raise RuntimeError("; ".join(dict.fromkeys([*said, raised])))
    return output.read_bytes()


def _saved_model(model: keras.Model, folder: Path) -> tuple[str, list[Any]]:
    """Saves what a model computes at inference, and nothing else; gives the converter's call.

    `model.save` also saves every layer as a thing of its own, which traces each of them four times:
    it takes most of the time of a conversion. LCE makes the same bytes of both.
    """

    def serve(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = tf.nest.flatten(
            model(tf.nest.pack_sequence_as(structure, inputs), training=False)
        )
        names = model.output_names or [f"output_{i}" for i in range(1, len(outputs) + 1)]
        return dict(zip(names, outputs, strict=True))

    structure, specs = model.save_spec()[0][0], input_specs(model)
    module = tf.Module()
    module.variables_of_model = list(model.variables)  # what is not tracked is not saved
    # Larq's and Keras' layers need no conversion by AutoGraph; layers in need of it ask for it.
    signature = tf.function(serve, input_signature=specs, autograph=False)
    tf.saved_model.save(module, str(folder), signatures=signature)
    names = [tf.saved_model.SERVING], [tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY]
    return "convert_saved_model_to_tflite_flatbuffer", [str(folder), *names, 1, "arm", None]


def _frozen_graph(model: keras.Model, folder: Path) -> tuple[str, list[Any]]:
    """Writes a model as a graph without variables, as LCE does; gives the converter's call."""
    function = converter.concrete_function_from_keras_model(model)
    frozen = converter.convert_variables_to_constants_v2(function, lower_control_flow=False)
    inputs = [tensor for tensor in frozen.inputs if tensor.dtype != tf.resource]
    graph = frozen.graph.as_graph_def()
    file = folder / "graph.pb"
    file.write_bytes(graph.SerializeToString())
    return "convert_graphdef_to_tflite_flatbuffer", [
        {"file": str(file)},
        [converter.get_tensor_name(tensor) for tensor in inputs],
        [converter.DataType.Name(tensor.dtype.as_datatype_enum) for tensor in inputs],
        # LCE fixes an unknown batch to 1.
        [[size or 1 for size in tensor.shape.as_list()] for tensor in inputs],
        [converter.get_tensor_name(tensor) for tensor in frozen.outputs],
        converter._contains_training_quant_op(graph),
        "arm",
        None,
    ]


def lce_alone(model: keras.Model) -> bytes:
    """What `larq_compute_engine.convert_keras_model` itself makes of a model, for comparison.

    Raises:
        ConversionError: It fails.
    """
    with warnings.catch_warnings(), held_stderr():
        warnings.simplefilter("ignore")
        try:
            return lce.convert_keras_model(model)
        except Exception as error:  # LCE and MLIR raise whatever comes up
            raise ConversionError(
                f"Larq Compute Engine cannot convert {model.name}: {first_line(error)}"
            ) from error


def _check_operators(content: bytes, name: str) -> None:
    graph = Graph.from_bytes(content, name)
    for op in graph.operators:
        code = graph.model.operatorCodes[op.opcodeIndex]
        if code.customCode and graph.op_name(op) not in OPS:
            where = graph.tensor_name(graph.outputs(op)[0]) if graph.outputs(op) else name
            raise ConversionError(
                f"{name} uses TensorFlow's {graph.op_name(op)} (at {where}), which neither "
                "TensorFlow Lite nor LCE has: replace it by layers that they have"
            )


class LceInterpreter:
    """LCE's own interpreter, the oracle for every file that is written here.

    Args:
        content: A `.tflite` file.
        kernel: `indirect_bgemm` is the fastest and takes grouped convolutions too; `default`,
            `reference`.

    Raises:
        ConversionError: The interpreter refuses the file; the message has its reason.
    """

    def __init__(self, content: bytes, kernel: str = "indirect_bgemm") -> None:
        with held_stderr() as held:
            try:
                self._interpreter = lce.testing.Interpreter(
                    content,
                    use_indirect_bgemm=kernel == "indirect_bgemm",
                    use_reference_bconv=kernel == "reference",
                )
                reason = None
            except RuntimeError as error:
                reason = first_line(error)
        if reason is not None:
            said = re.findall(r"ERROR: (.+)", held())
            raise ConversionError(
                f"LCE's interpreter refuses the file: {'; '.join(said) or reason}"
            )

    def run(
        self,
        samples: Sequence[NDArray[Any]],
        tick: Callable[[], None] | None = None,
    ) -> list[NDArray[np.generic]]:
        """The outputs for samples that are fed one at a time.

        Args:
            samples: One array per input, `[N, …]`.
            tick: Called after every sample.

        Returns:
            One array per output, `[N, …]`.
        """
        rows = []
        for sample in zip(*samples, strict=True):
            rows.append(self._interpreter.interpreter.predict([s[np.newaxis] for s in sample]))
            if tick:
                tick()
        return [np.concatenate(column) for column in zip(*rows, strict=True)]
