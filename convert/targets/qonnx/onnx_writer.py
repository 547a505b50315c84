"""Writing one ONNX file: nodes and constants with readable names, shapes, checks and origin."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from onebit import __version__

if TYPE_CHECKING:
    import onnx

OPSET = 13
IR_VERSION = 8
"""The newest that FINN's and hls4ml's pinned versions of onnx all read."""

QONNX = "qonnx.custom_op.general"
CHANNELS_LAST = "qonnx.custom_op.channels_last"

DOMAIN_VERSIONS = {QONNX: 1, CHANNELS_LAST: OPSET}
"""Operators for channels-last images are ONNX's own under another domain, at ONNX's version."""

PRODUCER = "onebit"
"""The mark of our own files, which may be overwritten."""


class OnnxWriter:
    """Collects the nodes and constants of a graph, in execution order.

    Every tensor is float32 unless it says otherwise, and has a static shape.
    """

    def __init__(self, name: str) -> None:
        self.name = identifier(name)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, NDArray[Any]] = {}
        self._names: set[str] = set()
        self._dtypes: dict[str, type] = {}
        self._datatypes: dict[str, str] = {}

    def input(self, name: str, shape: Sequence[int], datatype: str | None = None) -> str:
        """Declares the graph's input and returns its name.

        Args:
            name: Its name, if nothing else has it.
            shape: Its shape.
            datatype: QONNX's name of the numbers that it holds, such as `INT8`.
        """
        label = self._unused(name)
        self.shapes[label] = tuple(shape)
        if datatype is not None:
            self._datatypes[label] = datatype
        return label

    def constant(self, name: str, value: Any, dtype: type = np.float32) -> str:
        """Stores a constant for one node: hls4ml loses those that several nodes share."""
        label = self._unused(name)
        array: NDArray[Any] = np.asarray(value, dtype)
        self._constants[label] = array
        return label

    def node(
        self,
        op: str,
        inputs: Sequence[str],
        output: str,
        shape: Sequence[int],
        domain: str = "",
        *,
        dtype: type = np.float32,
        **attributes: Any,
    ) -> str:
        """Adds a node and returns the name of its output.

        Args:
            op: The operator.
            inputs: Names of tensors.
            output: What the output and the node are called, if nothing else is.
            shape: The output's.
            domain: The operator's domain; empty for ONNX's own.
            dtype: The output's type.
            attributes: The operator's.
        """
        from onnx import helper

        label = self._unused(output)
        self._nodes.append(
            helper.make_node(op, list(inputs), [label], name=label, domain=domain, **attributes)
        )
        self.shapes[label] = tuple(shape)
        self._dtypes[label] = dtype
        return label

    def finish(
        self, inputs: Sequence[str], outputs: Sequence[str], content: bytes, metadata: Mapping
    ) -> bytes:
        """The checked file.

        Args:
            inputs: Names of the graph's inputs.
            outputs: Names of its outputs.
            content: The `.tflite` file that it was made of.
            metadata: What else the file says about itself.

        Raises:
            ConversionError: ONNX's checker refuses it.
        """
        import onnx
        from onnx import helper, numpy_helper

        sha256 = hashlib.sha256(content).hexdigest()
        graph = helper.make_graph(
            self._nodes,
            self.name,
            [self._described(name) for name in inputs],
            [self._described(name) for name in outputs],
            [numpy_helper.from_array(array, name) for name, array in self._constants.items()],
            doc_string=f"Written by Onebit {__version__} from a .tflite file of SHA-256 {sha256}.",
            value_info=[
                self._described(name) for name in self.shapes if name not in (*inputs, *outputs)
            ],
        )
        for name, datatype in self._datatypes.items():
            note = onnx.TensorAnnotation(tensor_name=name)
            note.quant_parameter_tensor_names.add(key="finn_datatype", value=datatype)
            graph.quantization_annotation.append(note)
        domains = dict.fromkeys(node.domain for node in self._nodes if node.domain)
        model = helper.make_model(
            graph,
            opset_imports=[
                helper.make_opsetid("", OPSET),
                *(helper.make_opsetid(domain, DOMAIN_VERSIONS[domain]) for domain in domains),
            ],
            ir_version=IR_VERSION,
            producer_name=PRODUCER,
            producer_version=__version__,
        )
        helper.set_model_props(
            model,
            {
                "source_sha256": sha256,
                "onebit_version": __version__,
                **metadata,
            },
        )
        try:
            onnx.checker.check_model(model, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise ConversionError(f"ONNX's checker refuses the graph: {error}") from error
        return model.SerializeToString()

    def _described(self, name: str) -> "onnx.ValueInfoProto":
        from onnx import helper

        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self._dtypes.get(name, np.float32)))
        return helper.make_tensor_value_info(name, kind, self.shapes[name])

    def _unused(self, name: str) -> str:
        """The name as an identifier that nothing else has, with a number behind it if need be."""
        base = label = identifier(name)
        count = 2
        while label in self._names:
            label, count = f"{base}_{count}", count + 1
        self._names.add(label)
        return label


def identifier(name: str) -> str:
    """A name that is an identifier in C, as FINN and hls4ml make of layers' names."""
    stem = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_")
    return f"layer_{stem}" if not stem or stem[0].isdigit() else stem
