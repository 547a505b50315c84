"""The steps that each float file goes through, whoever wrote it: binary layers, int8, packing."""

from dataclasses import dataclass

from convert.binariser import binarise
from convert.int8.quantize import quantize
from convert.int8.settings import Int8
from convert.passes import run_passes
from convert.result import Stage
from convert.tflite.graph import Graph


@dataclass(frozen=True)
class Completed:
    """A file whose layers are what they will be.

    Attributes:
        graph: The file.
        reference: The file before it was quantized, with its binary layers; itself without int8.
        fired: Step → the tensors that it changed.
        warnings: What makes the samples of int8 poor ones.
    """

    graph: Graph
    reference: Graph
    fired: dict[str, list[str]]
    warnings: list[str]


def complete(graph: Graph, int8: Int8 | None, on_stage: Stage, *, passes: bool = True) -> Completed:
    """Makes layers binary, the rest int8 where wanted, and packs weights.

    Args:
        graph: The float file; it is changed.
        int8: How to make the float layers int8, its samples checked; they stay float when absent.
        on_stage: Called with the name of each stage.
        passes: Whether to do more than int8.

    Raises:
        ConversionError: No ranges can be learnt from the samples of `int8`.
    """
    fired: dict[str, list[str]] = {}
    warnings: list[str] = []
    if passes:
        on_stage("finding binary layers")
        fired = binarise(graph)
    reference = graph
    if int8 is not None:
        on_stage(f"calibrating on {len(int8.inputs[0])} samples")
        reference = Graph.from_bytes(graph.to_bytes())
        quantized = quantize(graph, int8)
        graph, warnings = quantized.graph, quantized.warnings
        fired |= quantized.fired
    if passes:
        on_stage("packing")
        # int8 has packed some layers before.
        for step, changed in run_passes(graph).items():
            fired[step] = [*fired.get(step, []), *changed]
    return Completed(graph, reference, fired, warnings)
