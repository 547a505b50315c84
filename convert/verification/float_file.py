"""A binary file against the float file that it was made of.

The same comparison as with Keras, on the same terms (`verify_file.py`): the bits of every sign that
became LceQuantize or a threshold are compared with the sign in the float file, which runs on stock
LiteRT, and where one differs, its distance from the threshold decides. Needs no TensorFlow; LCE's
interpreter takes part where it is installed, the delegate where it is built.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from convert.binariser.steps import Steps, find_steps
from convert.report import Comparison, Verification
from convert.runtimes.lce_extension import is_installed
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.runtimes.litert import running_on_litert
from convert.samples import Samples
from convert.tflite.damage import refusing_damage
from convert.tflite.extra_outputs import with_extra_outputs
from convert.tflite.graph import FILTERED, FILTERED_3D, Graph
from convert.tflite.names import find_bits
from convert.tflite.scales import channels_first
from convert.tflite.signature import output_names
from convert.verification.comparison import (
    Batch,
    DelegateComparison,
    Interpreter,
    RuntimeComparison,
)
from onebit import bits

_BATCH = 16
"""Samples at a time: the numbers in front of every sign are kept for each of them."""
_KERNEL = "indirect_bgemm"


class Reference(Protocol):
    """The original that a binary file is compared with.

    Attributes:
        name: What reports call it.
    """

    name: str

    def reading(
        self, signs: Sequence[str]
    ) -> contextlib.AbstractContextManager[tuple[Interpreter, list[str]]]:
        """Its interpreter, and the signs that it observes, by their names in the float file.

        The outputs are followed by the numbers in front of each of these signs.
        """


class FloatFile:
    """A float file on stock LiteRT as the reference.

    Args:
        graph: The file.
    """

    name = "the float file"

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    @contextlib.contextmanager
    def reading(self, signs: Sequence[str]) -> Iterator[tuple[Interpreter, list[str]]]:
        """LiteRT with the numbers in front of signs as further outputs."""
        sources = {self._graph.tensor_name(i): s.source for i, s in find_steps(self._graph).items()}
        content = with_extra_outputs(self._graph, [sources[sign] for sign in signs])
        with running_on_litert(content) as interpreter:
            yield interpreter, list(signs)


def verify_float_file(
    original: Graph,
    graph: Graph,
    samples: Samples,
    with_delegate: bool = True,
    reference: Reference | None = None,
) -> Verification | str:
    """Compares a binary file with the float file that it was made of, or with the model behind it.

    Args:
        original: The float file.
        graph: The binary file, whose bits have the names that the binariser gave them.
        samples: The samples, checked.
        with_delegate: Whether to run the file with the delegate too, if it is installed.
        reference: What to compare with; the float file itself when absent.

    Returns:
        The comparison, or why there is none: neither LCE's interpreter nor the delegate is here.

    Raises:
        ConversionError: A runtime refuses a file, or their outputs have other shapes.
    """
    reference = reference or FloatFile(original)
    with refusing_damage("the float file", "compared"):
        found = find_sign_probes(original, graph)
        roundings = 12 * 2.0**-24 * max(_terms(original), 1)
    names, count = output_names(original), len(original.subgraph.outputs)
    content = graph.to_bytes()
    with contextlib.ExitStack() as stack:
        reader, observed = stack.enter_context(reference.reading([probe.sign for probe in found]))
        probes = [probe for probe in found if probe.sign in observed]
        bits_content = None
        if probes:
            bits_content = with_extra_outputs(graph, [probe.tensors[0] for probe in probes])
        delegate = DelegateComparison(content, bits_content, stack, with_delegate)
        lce = None
        if is_installed():
            bit_reader = None if bits_content is None else LceInterpreter(bits_content, _KERNEL)
            lce = RuntimeComparison(LceInterpreter(content, _KERNEL), bit_reader)
        elif delegate.skipped is not None:
            return f"LCE's interpreter is not installed, and the delegate: {delegate.skipped}"
        for start in range(0, len(samples), _BATCH):
            inputs = [array[start : start + _BATCH] for array in samples.arrays]
            computed = reader.run(inputs)
            for probe, values in zip(probes, computed[count:], strict=True):
                probe.recorded = [values]
            rows = len(inputs[0])
            batch = Batch(start, inputs, computed[:count], names, list(range(count)), rows)
            if lce is not None:
                lce.compare(batch, probes, roundings)
            delegate.compare(batch, probes, roundings)
        on_delegate = delegate.result(roundings, samples, probes)
        if lce is not None:
            return Verification(
                **lce.result(roundings, samples.labels, samples.split, probes),
                kernel=_KERNEL,
                delegate=on_delegate,
                delegate_label=delegate.label,
                delegate_skipped=delegate.skipped,
                reference=reference.name,
                warnings=_warnings(probes),
            )
    if on_delegate is None:
        return f"LCE's interpreter is not installed, and the delegate: {delegate.skipped}"
    fields = {f.name: getattr(on_delegate, f.name) for f in dataclasses.fields(Comparison)}
    return Verification(
        **fields,
        kernel=delegate.label or "",
        delegate=on_delegate,
        delegate_label=delegate.label,
        reference=reference.name,
        warnings=_warnings(probes),
    )


def _warnings(probes: Sequence["SignProbe"]) -> list[str]:
    found = []
    for probe in probes:
        if probe.all_negative is not None and probe.all_negative == probe.any_negative:
            level = "-1" if probe.all_negative else "+1"
            found.append(f"{probe.name} never changes: it is {level} in all samples")
    return found


@dataclass
class SignProbe:
    """A sign of the float file whose bits are in the binary file.

    Attributes:
        sign: The name of its ±1 in the float file.
        threshold: What that is compared with.
        tensors: The binary file's tensor of bits.
        recorded: The float tensor of the last run.
        compared: Whether the last run could be compared.
        all_negative: Whether every number was below the threshold, in all runs; None before the
            first.
        any_negative: Whether any was.
    """

    sign: str
    threshold: NDArray[np.float32]
    tensors: list[int]
    recorded: list[NDArray[Any]] = field(default_factory=list)
    compared: bool = False
    all_negative: bool | None = None
    any_negative: bool | None = None

    @property
    def name(self) -> str:
        """The sign's label."""
        return self.sign.split(";")[0]

    def expected_levels(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """Whether each number is below the threshold."""
        return values < self.threshold

    def file_levels(self, stored: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """Whether each bit is 1, wherever reshapes have put it."""
        rows = stored.reshape(-1, stored.shape[-1])
        channels = math.prod(shape) // len(rows)
        return (bits.unpack(rows, channels) < 0).reshape(shape)

    def count(self, levels: NDArray[Any]) -> None:
        """Keeps whether all numbers, or any, were below the threshold."""
        self.all_negative = bool(levels.all()) and self.all_negative is not False
        self.any_negative = bool(levels.any()) or bool(self.any_negative)

    def distance(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """How far each number is from the threshold."""
        return np.abs(values.astype(np.float64) - self.threshold)


def find_sign_probes(original: Graph, graph: Graph) -> list[SignProbe]:
    """The signs of a float file whose bits a binary file holds, in its order of execution."""
    known = find_bits(graph)
    found = []
    for index, steps in find_steps(original).items():
        name = original.tensor_name(index)
        if name in known:
            threshold = _threshold(original, steps)
            tensors = [known.pop(name)]
            found.append(SignProbe(name, threshold, tensors))
    return found


def _threshold(graph: Graph, steps: Steps) -> NDArray[np.float32]:
    constant = None if steps.threshold is None else graph.constant(steps.threshold)
    return np.zeros((), np.float32) if constant is None else constant


def _terms(graph: Graph) -> int:
    """How many products one output of each layer adds up, over all layers of a file.

    Weights may be quantized in the file, and then are not constants of it. So every product of
    matrices counts, those of attention included.
    """
    terms = 0
    for op in graph.operators:
        name = graph.op_name(op)
        if name == "BATCH_MATMUL":
            terms += graph.shape(graph.inputs(op)[0])[-2 if op.builtinOptions.adjX else -1]
        weights = graph.inputs(op)[1] if name in (*FILTERED, *FILTERED_3D) else -1
        if weights >= 0:
            shape = channels_first(name, np.empty(graph.shape(weights), np.bool_)).shape
            terms += math.prod(shape[1:])
    return terms
