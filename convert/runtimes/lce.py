"""Larq Compute Engine's converter, with complete error messages."""

import contextlib
import json
import re
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from convert.errors import ConversionError
from convert.keras_model.samples import random_samples
from convert.keras_model.signature import Signature, keras_batch, output_names, signature_of
from convert.runtimes.lce_interpreter import OPS
from convert.runtimes.subprocesses import how_it_ended
from convert.tflite.graph import Graph
from convert.tflite.signature import order_ends, write_signature
from onebit.errors import first_line
from onebit.keras import keras, tf
from onebit.processes import worker_command
from onebit.streams import held_stderr

import larq_compute_engine as lce  # isort: skip - needs Keras 2, which onebit.keras sets up
from larq_compute_engine.mlir.python import converter  # isort: skip

VERSION: str = lce.__version__

# LCE's converter is TensorFlow Lite's, and advises switches that only that one has.
_FOREIGN_ADVICE = ("target_spec", "Select TF ops", "_experimental_lower", "tf.lite.OpsSet")


def convert_with_lce(model: keras.Model) -> bytes:
    """The `.tflite` file that Larq Compute Engine makes of a Keras model.

    By way of a SavedModel and, when that fails, by way of a frozen graph, as LCE itself does; LCE
    shows the cause of the second failure only. Models that fail with any batch size, as recurrent
    layers do, are tried with a batch of 1 between the two. The native converter runs in a separate
    process.

    The file's inputs and outputs are in Keras' order, and its signature has Keras' names.

    Raises:
        ConversionError: All ways failed (the message has the causes), the converter crashed, an
            input dimension other than the batch is unknown, or the model needs an operator that
            TensorFlow Lite lacks.
    """
    signature = signature_of(model)
    causes: dict[str, str] = {}
    for way, prepare, batch in _ways(model, signature):
        with tempfile.TemporaryDirectory(prefix="onebit-") as folder:
            exported = _Exported(model, signature, batch)
            try:
                with warnings.catch_warnings(), held_stderr(), _recurrent_layers_as_loops(model):
                    warnings.simplefilter("ignore")
                    function, arguments = prepare(exported, Path(folder))
                content = _run_converter(function, arguments, Path(folder))
            except _CrashError as crash:
                raise ConversionError(
                    f"Larq Compute Engine's converter crashed on {model.name} ({crash})"
                ) from crash
            except Exception as error:  # Keras and MLIR raise whatever comes up; all are reported
                causes[way] = _without_foreign_advice(first_line(error))
                continue
        _check_operators(content, model.name)
        return _in_keras_order(content, exported)
    # All ways end in the same converter, which often says the same.
    different = dict.fromkeys(causes.values())
    reasons = [f"by {way}: {cause}" for way, cause in causes.items()]
    reason = "; ".join(reasons) if len(different) > 1 else next(iter(different))
    raise ConversionError(f"Larq Compute Engine cannot convert {model.name}: {reason}")


class _CrashError(Exception):
    """The converter's process was ended by a signal, whose name is the message."""


class _Exported:
    """A model as a function of flat inputs, in Keras' order, to a dict of its outputs.

    Inputs and outputs are numbered, which identifies them whatever their names.

    Args:
        model: The model.
        signature: Its signature.
        batch: The batch size; None for any.

    Attributes:
        output_names: Keras' names of the outputs, known once the function is traced.
    """

    def __init__(self, model: keras.Model, signature: Signature, batch: int | None) -> None:
        self.model, self.signature = model, signature
        self.output_names: list[str] = []
        specs = [
            tf.TensorSpec([batch, *spec.shape[1:]], spec.dtype, f"input_{i:03}")
            for i, spec in enumerate(signature.specs)
        ]
        # Larq's and Keras' layers need no conversion by AutoGraph; layers in need of it ask for it.
        self.function = tf.function(self._serve, input_signature=specs, autograph=False)

    def _serve(self, *inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = self.signature.call(self.model, inputs)
        self.output_names = output_names(self.model, outputs)
        return {f"output_{i:03}": tensor for i, tensor in enumerate(tf.nest.flatten(outputs))}


_Prepare = Callable[[_Exported, Path], tuple[str, list[Any]]]


def _ways(model: keras.Model, signature: Signature) -> Iterator[tuple[str, _Prepare, int | None]]:
    """The ways to convert a model, best first: name, what prepares it, batch size."""
    batch = signature.batch
    if batch is not None and batch > 1:
        # Any batch is better than a fixed one, but only the latter may be right.
        batch = keras_batch(model, signature, random_samples(model, batch + 1).arrays)
    yield "SavedModel", _saved_model, batch
    if batch is None:
        yield "SavedModel with a batch of 1", _saved_model, 1
    yield "frozen graph", _frozen_graph, batch


@contextlib.contextmanager
def _recurrent_layers_as_loops(model: keras.Model) -> Iterator[None]:
    """While the block traces a model, its LSTMs and GRUs are plain loops over their steps.

    Else the converter fuses each LSTM into one operator, and makes two errors: hidden state and
    cell state share one tensor, and they keep their values from one inference to the next, where
    Keras begins at zero. Of a GRU's loop it loses the layer's name.
    """
    switch = "_could_use_gpu_kernel"  # which Keras computes once, in the constructor
    layers = [
        layer
        for layer in model.submodules
        if isinstance(layer, keras.layers.GRU | keras.layers.LSTM) and getattr(layer, switch, False)
    ]
    for layer in layers:
        setattr(layer, switch, False)
    try:
        yield
    finally:
        for layer in layers:
            setattr(layer, switch, True)


def _run_converter(function: str, arguments: list[Any], folder: Path) -> bytes:
    """The result of a function of LCE's native converter.

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
        # MLIR prints its diagnostics as "loc(...): error: ..." and raises something vaguer.
        diagnostics = re.findall(r"error: (.+)", result.stderr)[:3]
        raised = first_line(Exception(result.stdout or how_it_ended(1, result.stderr)))
        raise RuntimeError("; ".join(dict.fromkeys([*diagnostics, raised])))
    return output.read_bytes()


def _without_foreign_advice(message: str) -> str:
    """A message without the sentences that advise what LCE's users cannot follow."""
    sentences = re.split(r"(?<=[.;!]) ", message)
    kept = [s for s in sentences if not any(word in s for word in _FOREIGN_ADVICE)]
    return " ".join(kept).rstrip(" ;") or message


def _saved_model(exported: _Exported, folder: Path) -> tuple[str, list[Any]]:
    """Saves what a model computes at inference, and nothing else; gives the converter's call.

    `model.save` also saves every layer separately, which traces each of them four times: it takes
    most of the time of a conversion. LCE computes the same from both.
    """
    module = tf.Module()
    module.variables_of_model = list(exported.model.variables)  # what is not tracked is not saved
    tf.saved_model.save(module, str(folder), signatures=exported.function)
    names = [tf.saved_model.SERVING], [tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY]
    return "convert_saved_model_to_tflite_flatbuffer", [str(folder), *names, 1, "arm", None]


def _frozen_graph(exported: _Exported, folder: Path) -> tuple[str, list[Any]]:
    """Writes a model as a graph without variables, as LCE does; gives the converter's call."""
    function = exported.function.get_concrete_function()
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


def _in_keras_order(content: bytes, exported: _Exported) -> bytes:
    """The file with inputs and outputs in Keras' order, and a signature with Keras' names."""
    graph = Graph.from_bytes(content)
    # The frozen graph's are in order already, and have no signature.
    order_ends(
        graph,
        [f"input_{i:03}" for i in range(len(exported.signature.specs))],
        [f"output_{i:03}" for i in range(len(exported.output_names))],
    )
    for index, name in zip(graph.subgraph.inputs, exported.signature.names, strict=True):
        graph.subgraph.tensors[int(index)].name = name.encode()
    write_signature(graph, exported.signature.names, exported.output_names)
    return graph.to_bytes()


def plain_lce(model: keras.Model) -> bytes:
    """The file that `larq_compute_engine.convert_keras_model` itself makes, for comparison.

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
    for graph in Graph.from_bytes(content, name).subgraphs():
        for op in graph.operators:
            code = graph.model.operatorCodes[op.opcodeIndex]
            if code.customCode and graph.op_name(op) not in OPS:
                where = graph.tensor_name(graph.outputs(op)[0]) if graph.outputs(op) else name
                raise ConversionError(
                    f"{name} uses TensorFlow's {graph.op_name(op)} (at {where}), which neither "
                    "TensorFlow Lite nor LCE has",
                    hint="replace it by layers that they have",
                )
