"""The audit for hardware: which nodes each layer becomes, or why it has no counterpart."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from convert.errors import ConversionError
from convert.targets.network import Network
from convert.targets.thresholds.network import InputSigns, Layer, Stage, ThresholdNetwork
from onebit.console import print_table

HEADINGS = ("layer", "sums of", "hardware", "note")


@dataclass(frozen=True)
class Row:
    """One layer.

    Attributes:
        layer: Its name.
        products: Products of ±1 or integers that make one of its sums, and the number of sums.
        hardware: The nodes that a tool makes of it; None where there are none.
        note: What is particular, or why there are none.
    """

    layer: str
    products: str
    hardware: str | None
    note: str


_FINN = {
    "input": "Thresholding",
    "sign": "Thresholding",
    "threshold": "",
    "dense": "MVAU",
    "conv": "ConvolutionInputGenerator, MVAU",
    "padding": "FMPadding, ",
    "pool": "ConvolutionInputGenerator, Pool",
    "affine": "ElementwiseMul, ElementwiseAdd",
}
_HLS4ML = {
    "input": "Activation (fixed point)",
    "sign": "Activation (binary)",
    "threshold": ", Activation (binary)",
    "dense": "Dense",
    "conv": "Conv2D",
    "padding": "ZeroPadding2D, ",
    "pool": "Pooling2D",
    "affine": "ApplyAlpha",
}
NODES: Mapping[str, Mapping[str, str]] = {"finn": _FINN, "hls4ml": _HLS4ML}
"""Tool → what a stage is → the tool's nodes, as its own conversion names them (tested)."""


def audit_rows(
    network: ThresholdNetwork,
    tool: str,
    refused: Mapping[str, ConversionError],
    integer_input: bool = False,
) -> list[Row]:
    """The rows of a network.

    Args:
        network: The network.
        tool: "finn" or "hls4ml".
        refused: Stages that the tool does not take, by their names.
        integer_input: Whether the input is integers, which nothing rounds.
    """
    nodes, grid = NODES[tool], network.grid
    note = f"{grid.bits} bits, steps of {grid.scale:g}"
    hardware = "the stream itself" if integer_input else nodes["input"]
    rows = [Row(network.input_name, "", hardware, note)]
    for stage in network.stages:
        row = _row(stage, nodes)
        if stage.name in refused:
            note = refused[stage.name].message.partition(": ")[2]
            row = dataclasses.replace(row, hardware=None, note=note)
        rows.append(row)
    if network.float_steps:
        one = "one scale for all, which no class depends on"
        note = one if network.has_one_scale else "a scale per output"
        rows.append(Row("output", "", nodes["affine"], note))
    return rows


def refused_rows(network: Network, refused: Mapping[int, ConversionError]) -> list[Row]:
    """The rows of a network that the tool does not take: what is in the way, operator by operator.

    Args:
        network: The file's network.
        refused: Operators' outputs → why they have no counterpart.
    """
    return [
        Row(operator.name, "", None, refused[operator.output].message.partition(": ")[2])
        for operator in network.operators
        if operator.output in refused
    ]


def print_rows(rows: list[Row], title: str) -> None:
    """Prints the table to standard output."""
    cells = [(row.layer, row.products, row.hardware, row.note) for row in rows]
    print_table(cells, HEADINGS, title, optional=["sums of"])


def _row(stage: Stage, nodes: Mapping[str, str]) -> Row:
    if isinstance(stage, InputSigns):
        return Row(stage.name, "", nodes["sign"], "signs of the input")
    if not isinstance(stage, Layer):
        return Row(stage.name, "", nodes["pool"], "")
    height, width, channels = stage.output_shape
    products = f"{stage.fan_in} × {height * width * channels:,}"
    hardware = nodes["dense" if stage.is_dense else "conv"]
    if stage.thresholds is not None:
        hardware += nodes["threshold"]
    notes = []
    if stage.reads == "integers":
        notes.append("reads the input's integers")
    if stage.thresholds is None:
        notes.append("its sums are the output")
    if stage.window.is_padded:
        hardware = nodes["padding"] + hardware
        notes.append(
            "padding of zeros"
            if stage.pad_value == 0
            else "padding +1 as negated bits padded with -1"
            if stage.pad_value == 1
            else "padding -1"
        )
    return Row(stage.name, products, hardware, "; ".join(notes))
