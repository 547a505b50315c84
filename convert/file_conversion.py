"""Float `.tflite` file → bitpacked `.tflite`: binariser, passes, audit, verification.

No TensorFlow and no Larq Compute Engine: a conversion takes NumPy and flatbuffers only, whichever
Python they run on. What compares the files are their runtimes. Only int8 takes both, for its ranges
and TensorFlow Lite's quantizer.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from convert.auditing.diagnosis import Remedies
from convert.auditing.layers import audit_of, audited_layers
from convert.binariser import binarise
from convert.completion import complete
from convert.errors import ConversionError
from convert.int8.quantize import left_float
from convert.int8.settings import Int8
from convert.int8.values import is_quantized
from convert.metadata import with_metadata, with_metadata_of
from convert.report import Layer, Report, Verification
from convert.result import Conversion, Stage
from convert.samples import Arrays, Expected, Input, Samples, checked, class_output
from convert.tflite.damage import refusing_damage
from convert.tflite.graph import DTYPES, FILTERED, INT8, Graph
from convert.tflite.names import known_layer, sign_parts
from convert.tflite.open_sizes import fix_batch
from convert.tflite.signature import input_names, unique_names
from convert.verification.float_file import FloatFile, Reference, verify_float_file
from convert.verification.int8_file import verify_int8_file
from onebit.metadata import Metadata

RANDOM_SAMPLES = 16
"""The number of random inputs on which a file without data is verified."""

_LCE_OPS = ("LceQuantize", "LceDequantize", "LceBconv2d", "LceBMaxPool2d")


def convert_file(
    content: bytes,
    *,
    samples: Samples | Arrays | None = None,
    verification: bool = True,
    name: str = "the file",
    source: str | None = None,
    metadata: Metadata | None = None,
    with_delegate: bool = True,
    reference: Reference | None = None,
    layer_names: Sequence[str] = (),
    int8: Int8 | None = None,
    on_stage: Stage = lambda stage: None,
) -> Conversion:
    """Converts a float `.tflite` file to one with bitpacked layers that LCE's interpreter runs.

    Args:
        content: The file, whoever wrote it.
        samples: Inputs on which the two files are compared, or `Samples` with labels. When absent,
            those of `int8` are taken, else a few random ones.
        verification: Whether to compare the files at all.
        name: The model's name in the report and in messages.
        source: The file as the user named it, for the report.
        metadata: What the file shall say about itself; what it says already when None.
        with_delegate: Whether samples are run with Onebit's delegate too, where it is installed.
        reference: The model that the file was made from, to compare with; the file itself when
            absent.
        layer_names: The names of that model's layers that multiply, for the report.
        int8: How to make the float layers int8; they stay float when absent.
        on_stage: Called with the name of each stage.

    Returns:
        The file and its report. A `mismatch` in the verification is reported, not raised, and then
        `Conversion.save` refuses to write the file.

    Raises:
        ConversionError: The file is binary already, computes in integers, or has unknown sizes; or
            no ranges can be learnt from the samples of `int8`.
        FlatbufferError: The content is not a well-formed `.tflite` file.
        SourceError: The samples or the metadata don't fit the file.
    """
    original = float_graph(content, source or name)
    if samples is not None:
        samples = checked(samples, expected_of_file(original), "samples")
    if int8 is not None:
        calibration = checked(Samples(int8.inputs), expected_of_file(original), "int8.inputs")
        int8 = dataclasses.replace(int8, inputs=calibration.arrays)
    with refusing_damage(source or name, "converted"):
        completed = complete(Graph.from_bytes(original.to_bytes()), int8, on_stage)
    graph = completed.graph
    if metadata is None:
        converted = with_metadata_of(graph, content, source or name)
    else:
        converted = with_metadata(graph, metadata)
    on_stage("auditing")
    layers = _audited(graph, layer_names)
    parts = audit_of(converted, layers)
    report = Report(
        file=parts.file,
        layers=parts.layers,
        totals=parts.totals,
        name=name,
        source=source,
        lce_version=None,
        rewrites={},
        passes=completed.fired,
        notes=[*completed.warnings, *_notes(graph, layers, int8)],
    )
    if verification:
        samples = samples or default_file_samples(original, int8)
        reference = reference or FloatFile(original)
        on_stage(f"comparing with {reference.name} on {len(samples)} samples")
        result: Verification | str
        if is_quantized(graph):
            result = verify_int8_file(
                original, completed.reference, graph, samples, reference, layer_names
            )
        else:
            result = verify_float_file(original, graph, samples, with_delegate, reference)
        if isinstance(result, str):
            report.notes.append(f"not verified: {result}")
        else:
            report = dataclasses.replace(report, verification=result)
    return Conversion(converted, report)


def verify_converted_file(
    original: Graph,
    graph: Graph,
    samples: Samples,
    with_delegate: bool = True,
    reference: Reference | None = None,
    layer_names: Sequence[str] = (),
) -> Verification | str:
    """Compares an existing file with the float file that it was made of.

    An int8 file is also compared with the binary file before it, which is made again for this.

    Args:
        original: The float file.
        graph: The file to judge.
        samples: The samples, checked.
        with_delegate: Whether to run the file with the delegate too, if it is installed.
        reference: The model that the float file was made from; the float file itself when absent.
        layer_names: The names of that model's layers that multiply, for what is said of int8.

    Returns:
        The comparison, or why there is none.

    Raises:
        ConversionError: A runtime refuses a file, or their outputs have other shapes.
    """
    if not is_quantized(graph):
        return verify_float_file(original, graph, samples, with_delegate, reference)
    binary = Graph.from_bytes(original.to_bytes())
    binarise(binary)
    return verify_int8_file(original, binary, graph, samples, reference, layer_names)


def float_graph(content: bytes, name: str) -> Graph:
    """The graph of a float file, its batch fixed to what its shapes say, its tensors all named.

    Args:
        content: The file.
        name: What error messages call it.

    Raises:
        ConversionError: The file is binary already, computes in integers, or has unknown sizes.
        FlatbufferError: The content is not a well-formed `.tflite` file.
    """
    graph = Graph.from_bytes(content, name)
    names = [sub.op_name(op) for sub in graph.subgraphs() for op in sub.operators]
    binary = [each for each in names if each in _LCE_OPS]
    if binary:
        count = names.count("LceBconv2d")
        layers = f"{count} LceBconv2d" if count else ", ".join(sorted(set(binary)))
        raise ConversionError(
            f"{name} is binary already ({layers})",
            hint="give the float file or the Keras model; `onebit convert audit` lists its layers",
            reason="already-binary",
        )
    with refusing_damage(name, "converted"):
        _check_shapes(graph, name)
        in_integers = _computes_in_integers(graph)
    _name_tensors(graph)
    if in_integers:
        raise ConversionError(
            f"{name} computes in 8-bit integers, and a binary layer is found in float numbers",
            hint="convert the float file, before quantization",
            reason="int8",
        )
    return graph


def _check_shapes(graph: Graph, name: str) -> None:
    """Fixes an unknown batch to the size that is stored, mostly 1, and refuses other unknown sizes.

    Raises:
        ConversionError: A dimension other than the batch is unknown.
    """
    for index in map(int, graph.subgraph.inputs):
        sizes = graph.subgraph.tensors[index].shapeSignature
        sizes = [] if sizes is None else [int(size) for size in sizes]
        if -1 in sizes[1:]:
            label = dict(zip(map(int, graph.subgraph.inputs), input_names(graph), strict=True))
            raise ConversionError(
                f"input {label[index]} of {name} has the shape {sizes}: LCE's operators need fixed "
                "sizes",
                hint="export the model with fixed sizes (only the batch may be open)",
                reason="dynamic-shape",
            )
    fix_batch(graph)


def _name_tensors(graph: Graph) -> None:
    """Gives each tensor a name of its own: by them the signs of two files are compared."""
    tensors = graph.subgraph.tensors
    names = [graph.tensor_name(index) or "tensor" for index in range(len(tensors))]
    for tensor, name in zip(tensors, unique_names(names), strict=True):
        tensor.name = name.encode()


def _computes_in_integers(graph: Graph) -> bool:
    """Whether filters meet quantized inputs; weights alone may be quantized."""
    return any(
        graph.subgraph.tensors[graph.data_input(op)].type == INT8
        for op in graph.operators
        if graph.op_name(op) in FILTERED
    )


def expected_of_file(graph: Graph) -> Expected:
    """The samples that a file takes.

    Raises:
        ConversionError: NumPy does not have an input's type, or an input is a single number.
    """
    inputs = []
    for name, index in zip(input_names(graph), map(int, graph.subgraph.inputs), strict=True):
        dtype = DTYPES.get(graph.subgraph.tensors[index].type)
        if dtype is None:
            raise ConversionError(
                f"input {name} has the type {graph.type_name(index)}, which NumPy does not have"
            )
        if not graph.shape(index):
            raise ConversionError(
                f"input {name} is a single number, and samples are [N, …]",
                hint="export the model with the shape [1] there, or convert without a comparison "
                "(--samples 0, verification=False)",
            )
        inputs.append(Input(name, graph.tensor_name(index), graph.shape(index)[1:], dtype))
    shapes = [graph.shape(int(index)) for index in graph.subgraph.outputs]
    labelled = class_output(shapes)
    return Expected(tuple(inputs), classes=None if labelled is None else shapes[labelled][-1])


def default_file_samples(graph: Graph, int8: Int8 | None) -> Samples:
    """Samples for a file that came without: those that int8 ranges come from, or random ones."""
    if int8 is not None:
        return Samples(int8.inputs, None, "representative")
    return random_file_samples(graph, RANDOM_SAMPLES)


def random_file_samples(graph: Graph, count: int, seed: int = 0) -> Samples:
    """Uniform random inputs of a file: floats in [-1, 1), bytes from 0 to 255, other integers 0, 1.

    Args:
        graph: The file.
        count: The number of samples.
        seed: The random seed.
    """
    generator = np.random.default_rng(seed)
    arrays = [_random(generator, each, count) for each in expected_of_file(graph).inputs]
    return Samples(arrays, None, "random")


def _random(generator: np.random.Generator, each: Input, count: int) -> np.ndarray[Any, Any]:
    shape = (count, *each.shape)
    if each.dtype.kind == "f":
        return generator.uniform(-1, 1, shape).astype(each.dtype)
    most = 256 if each.dtype == np.uint8 else 2
    return generator.integers(0, most, size=shape).astype(each.dtype)


def _audited(graph: Graph, names: Sequence[str]) -> list[Layer]:
    """The layers of a file, called after the model's layers whose names their tensors' names hold.

    Where the output has another name, as one of the whole model, that of its input's sign says it.
    """
    found = []
    for subgraph, op, layer in audited_layers(graph, Remedies(rewrite=None, passes=None)):
        texts = [subgraph.tensor_name(i) for i in subgraph.outputs(op)]
        for index in subgraph.inputs(op):
            texts += sign_parts(subgraph.tensor_name(index)) if index >= 0 else []
        name = known_layer(";".join(texts), names) or layer.name
        found.append(dataclasses.replace(layer, name=name))
    return found


def _notes(graph: Graph, layers: Sequence[Layer], int8: Int8 | None) -> list[str]:
    if int8 is not None:
        return left_float(graph, layers)
    if any(layer.kind in ("binary", "binary_weights") for layer in layers):
        return []
    return ["no layer has binary weights: the file is as large as before"]
