"""Larq Compute Engine: its converter, whose failures are told whole, and its interpreter."""

import re
import tempfile
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.flatbuffer import Graph
from onebit.errors import first_line
from onebit.keras import keras
from onebit.streams import held_stderr

import larq_compute_engine as lce  # isort: skip - needs Keras 2, which onebit.keras sets up

OPS = ("LceQuantize", "LceDequantize", "LceBconv2d", "LceBMaxPool2d")
"""The custom operators that LCE's interpreter adds to TensorFlow Lite's own."""

VERSION: str = lce.__version__


def convert_with_lce(model: keras.Model) -> bytes:
    """The `.tflite` file that Larq Compute Engine makes of a Keras model.

    LCE converts by way of a SavedModel and, when that fails, by way of a frozen graph; it shows the
    cause of the second failure only.

    Raises:
        ConversionError: Both ways failed (the message has both causes), an input dimension other
            than the batch is unknown, or the model needs an operator that TensorFlow Lite lacks.
    """
    _check_input_shapes(model)
    with tempfile.TemporaryDirectory(prefix="onebit-") as folder:

        def by_saved_model() -> bytes:
            model.save(folder, save_format="tf")
            return lce.convert_saved_model(folder)

        content, first_cause = _attempt(by_saved_model)
    if content is None:
        content, second_cause = _attempt(lambda: lce.convert_keras_model(model))
        if content is None:
            raise ConversionError(
                f"Larq Compute Engine cannot convert {model.name}; "
                f"by SavedModel: {first_cause}; by frozen graph: {second_cause}"
            )
    _check_operators(content, model.name)
    return content


def lce_alone(model: keras.Model) -> bytes:
    """What `larq_compute_engine.convert_keras_model` itself makes of a model, for comparison.

    Raises:
        ConversionError: It fails.
    """
    content, cause = _attempt(lambda: lce.convert_keras_model(model))
    if content is None:
        raise ConversionError(f"Larq Compute Engine cannot convert {model.name}: {cause}")
    return content


def _attempt(convert: Callable[[], bytes]) -> tuple[bytes | None, str]:
    """A conversion's result, or None and its cause, taken from native code's output too."""
    with warnings.catch_warnings(), held_stderr() as held:
        warnings.simplefilter("ignore")
        try:
            return convert(), ""
        except Exception as error:  # LCE and MLIR raise whatever comes up; the caller reports it
            cause = first_line(error)
    # MLIR prints its diagnostics as "loc(...): error: ..." and raises something less telling.
    diagnostics = re.findall(r"error: (.+)", held())
    return None, "; ".join(dict.fromkeys([*diagnostics[:3], cause]))


def _check_input_shapes(model: keras.Model) -> None:
    for tensor in model.inputs or []:
        shape = tensor.shape.as_list()
        if None in shape[1:]:
            raise ConversionError(
                f"input {tensor.name} of {model.name} has the shape {shape}: a .tflite file for "
                "LCE needs fixed sizes, so build the model with keras.Input(shape=(…numbers…))"
            )


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
