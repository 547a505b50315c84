"""The numbers in a float file's tensors: it runs on LCE's interpreter, every tensor an output."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.int8.ranges import BINS, Histogram
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.tflite.graph import Graph

Inputs = Sequence[NDArray[Any]]


def observe(graph: Graph, tensors: Sequence[int], inputs: Inputs) -> dict[int, Histogram]:
    """The histograms of a file's float tensors over samples.

    Args:
        graph: The float file.
        tensors: Which tensors; inputs of the file may be among them.
        inputs: One array per input, `[N, …]`.

    Raises:
        ConversionError: A tensor becomes NaN or infinite, or LCE's interpreter refuses the file.
    """
    runner = TensorReader(graph, tensors)
    lows = dict.fromkeys(tensors, 0.0)
    highs = dict.fromkeys(tensors, 0.0)
    for values in runner.each(inputs):
        for index, array in values.items():
            if not np.isfinite(array).all():
                raise ConversionError(
                    f"{graph.tensor_name(index)} becomes NaN or infinite on the representative "
                    "samples: int8 has neither"
                )
            lows[index] = min(lows[index], float(array.min()))
            highs[index] = max(highs[index], float(array.max()))
    # A second run, since the bins follow from the extremes; keeping all numbers would take memory.
    counts = {index: np.zeros(BINS, np.int64) for index in tensors}
    for values in runner.each(inputs):
        for index, array in values.items():
            edges = lows[index], max(highs[index], lows[index] + 1e-30)
            counts[index] += np.histogram(array, BINS, edges)[0]
    return {i: Histogram(lows[i], highs[i], counts[i]) for i in tensors}


class TensorReader:
    """Runs a file and reads its tensors.

    Args:
        graph: The file; it is not changed.
        tensors: Indices of computed tensors, and of inputs.
    """

    def __init__(self, graph: Graph, tensors: Sequence[int]) -> None:
        self._fed = [int(i) for i in graph.subgraph.inputs]
        self._computed = [i for i in tensors if i not in self._fed]
        self._wanted = list(tensors)
        content = with_only_outputs(graph, self._computed)
        self._interpreter = LceInterpreter(content)

    def each(self, inputs: Inputs) -> Iterator[dict[int, NDArray[Any]]]:
        """For each sample, the values of the tensors `[1, …]` by their indices."""
        for sample in range(len(inputs[0])):
            one = [array[sample : sample + 1] for array in inputs]
            found: dict[int, NDArray[Any]] = dict(zip(self._fed, one, strict=True))
            if self._computed:
                found |= zip(self._computed, self._interpreter.run_once(one), strict=True)
            yield {index: found[index] for index in self._wanted}


def with_only_outputs(graph: Graph, tensors: Sequence[int]) -> bytes:
    """The file with the given tensors as its only outputs, or with its own where none are given."""
    copy = Graph.from_bytes(graph.to_bytes())
    if tensors:
        copy.subgraph.outputs = np.array(tensors, np.int32)
        copy.model.signatureDefs = None  # they name the outputs one by one
    return copy.to_bytes()
