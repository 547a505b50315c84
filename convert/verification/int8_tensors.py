"""An int8 file against the float file, tensor by tensor: which one is off by more than it may be?

Errors add up through a network, and behind a sign a small one becomes a large one. So each layer of
the float file is given what the int8 file computed in front of it, and its result is compared with
the int8 file's: a difference arises in that layer and nowhere else.

A tensor is wrong when one of these holds; `docs/converting.md` lists the measurements.

- Its noise is above −`MIN_SNR_DB` dB of its signal, and above what rounding to its scale explains.
  8 bits leave about 6·8 = 48 dB if the range is used evenly, less for a peaked distribution, and
  less where the weights' rounding adds to it. A gate that stays open hardly varies within a range
  that is fixed: then the rounding itself exceeds the signal, and no range would be finer.
- Its range is too narrow: the numbers cut off cost more than `MAX_CUT` times what rounding does.
- Its range is too wide: the numbers fill less than half of it, and one bit or more is lost.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.int8.layer_matching import binary_constants, int8_filter, matched_layers
from convert.int8.observers import with_only_outputs
from convert.int8.select_ops import MOVES
from convert.int8.values import dequantized, representable_range, scale_of, to_file
from convert.report import TensorComparison
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.tflite.graph import FLOAT32, INT8, Graph

MIN_SNR_DB = 15.0
MAX_CUT = 10.0
MIN_USED = 0.5
MAX_ROUNDINGS = 12.0
"""In s²/12, the noise of numbers that are off by one scale s each, as of a table look-up."""

_FIXED_RANGES = ("SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "TANH", "L2_NORMALIZATION", "LceDequantize")
"""Operators whose range in int8 does not follow from samples."""

_SAME_RANGE = (
    *MOVES,
    "AVERAGE_POOL_2D",
    "CONCATENATION",
    "MAXIMUM",
    "MAX_POOL_2D",
    "MINIMUM",
    "PACK",
    "PAD",
    "PADV2",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
)
"""Operators whose inputs and outputs share one range, which has to hold the numbers of all."""


@dataclass
class _Sums:
    """Sums over the samples for one tensor."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    noise: float = 0.0
    cut: float = 0.0
    cut_count: int = 0
    low: float = 0.0
    high: float = 0.0


def compare_tensors(
    reference: Graph,
    graph: Graph,
    float_inputs: Sequence[NDArray[Any]],
    int8_inputs: Sequence[NDArray[Any]],
) -> list[TensorComparison]:
    """Compares the tensors that both files compute, in the order of the int8 file.

    Args:
        reference: The float file.
        graph: The int8 file.
        float_inputs: One array per input, float32 `[N, …]`, in the float file's order.
        int8_inputs: The same in the int8 file's order.
    """
    pairs = _pairs(reference, graph)
    if not pairs:
        return []
    int8_side = LceInterpreter(with_only_outputs(graph, [new for _, new in pairs]))
    float_side = LceInterpreter(_cut(reference, [old for old, _ in pairs]))
    sums = [_Sums() for _ in pairs]
    for sample in range(len(float_inputs[0])):
        window = slice(sample, sample + 1)
        one = [array[window] for array in float_inputs]
        stored = int8_side.run_once(to_file(graph, [array[window] for array in int8_inputs]))
        found = [dequantized(graph, n, v) for (_, n), v in zip(pairs, stored, strict=True)]
        fed = [
            value.reshape(reference.shape(old))
            for (old, _), value in zip(pairs, found, strict=True)
        ]
        recomputed = float_side.run_once([*one, *fed])
        for entry, (_, new), q, f in zip(sums, pairs, found, recomputed, strict=True):
            _add(entry, f.reshape(q.shape), q, representable_range(graph, new))
    shared = _shared_ranges(graph)
    spans: dict[int, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for (_, new), entry in zip(pairs, sums, strict=True):
        low, high = spans[shared.get(new, new)]
        spans[shared.get(new, new)] = min(low, entry.low), max(high, entry.high)
    return [
        _compared(graph, new, entry, spans[shared.get(new, new)])
        for (_, new), entry in zip(pairs, sums, strict=True)
    ]


def _shared_ranges(graph: Graph) -> dict[int, int]:
    """int8 tensor → one that stands for all whose range it shares."""
    stands_for: dict[int, int] = {}
    for op in graph.operators:
        if graph.op_name(op) not in _SAME_RANGE:
            continue
        output = graph.outputs(op)[0]
        for index in graph.inputs(op):
            own = representable_range(graph, index) if index >= 0 else None
            if own is not None and own == representable_range(graph, output):
                old, new = stands_for.get(output, output), stands_for.get(index, index)
                stands_for |= {i: new for i, root in stands_for.items() if root == old}
                stands_for[output], stands_for[index] = new, new
    return stands_for


def _pairs(reference: Graph, graph: Graph) -> list[tuple[int, int]]:
    """(float, int8) tensors of one name and size that are computed in both."""
    old, new = _by_name(reference, (FLOAT32,)), _by_name(graph, (FLOAT32, INT8))
    pairs = [(old[key], new[key]) for key in new if key in old]
    order = {index: i for i, op in enumerate(graph.operators) for index in graph.outputs(op)}
    return sorted(pairs, key=lambda pair: order[pair[1]])


def _by_name(graph: Graph, types: Sequence[int]) -> dict[tuple[str, int], int]:
    found = defaultdict(list)
    for op in graph.operators:
        # The quantizer moves reshapes and gives their names to others; filters are not activations.
        name = graph.op_name(op)
        if name in (*MOVES, "QUANTIZE", "DEQUANTIZE") or _reads_constants_alone(graph, op):
            continue
        for index in graph.outputs(op):
            if graph.subgraph.tensors[index].type in types:
                key = graph.tensor_name(index), int(np.prod(graph.shape(index)))
                found[key].append(index)
    return {key: indices[0] for key, indices in found.items() if len(indices) == 1}


def _reads_constants_alone(graph: Graph, op: object) -> bool:
    return all(graph.is_constant(i) for i in graph.inputs(op) if i >= 0)


def _cut(reference: Graph, tensors: Sequence[int]) -> bytes:
    """The float file with tensors cut: they become outputs, and what reads one takes an input."""
    copy = Graph.from_bytes(reference.to_bytes())
    fed = []
    for index in tensors:
        new = copy.add_tensor(f"{copy.tensor_name(index)}/fed", copy.shape(index))
        for op in copy.consumers(index):
            copy.set_inputs(op, [new if i == index else i for i in copy.inputs(op)])
        fed.append(new)
    copy.subgraph.inputs = np.array([*copy.subgraph.inputs, *fed], np.int32)
    return with_only_outputs(copy, tensors)


def _add(
    sums: _Sums,
    f: NDArray[Any],
    q: NDArray[np.float32],
    ends: tuple[float, float, float] | None,
) -> None:
    f = f.astype(np.float64)
    sums.count += f.size
    sums.total += float(f.sum())
    sums.squares += float((f**2).sum())
    sums.noise += float(((f - q) ** 2).sum())
    sums.low, sums.high = min(sums.low, float(f.min())), max(sums.high, float(f.max()))
    if ends is not None:
        low, high, scale = ends
        cut = np.maximum(low - scale / 2 - f, 0) + np.maximum(f - high - scale / 2, 0)
        sums.cut += float((cut**2).sum())
        sums.cut_count += int((cut > 0).sum())


def _compared(graph: Graph, index: int, sums: _Sums, span: tuple[float, float]) -> TensorComparison:
    signal = sums.squares / sums.count - (sums.total / sums.count) ** 2
    noise = sums.noise / sums.count
    snr = None
    if signal > 0:
        snr = round(10 * float(np.log10(signal / noise)), 1) if noise > 0 else None
    scale, used, fault = scale_of(graph, index), None, None
    ends = representable_range(graph, index)
    rounding = 0.0 if scale is None else scale**2 / 12
    if snr is not None and snr < MIN_SNR_DB and noise > MAX_ROUNDINGS * rounding:
        fault = f"its noise is {snr:.0f} dB below its signal; int8 should reach {MIN_SNR_DB:.0f}"
    op = graph.producer(index)
    free = op is not None and graph.op_name(op) not in _FIXED_RANGES
    if ends is not None and scale is not None and free and signal > 0:
        used = (span[1] - span[0]) / (ends[1] - ends[0])
        if sums.cut / sums.count > MAX_CUT * rounding:
            fault = (
                f"its range is too narrow: {ends[0]:.3g} to {ends[1]:.3g}, its numbers go from "
                f"{sums.low:.3g} to {sums.high:.3g}"
            )
        elif used < MIN_USED:
            fault = (
                f"its range is too wide: {ends[0]:.3g} to {ends[1]:.3g}, its numbers go from "
                f"{span[0]:.3g} to {span[1]:.3g}"
            )
    return TensorComparison(
        name=graph.tensor_name(index),
        op=graph.op_name(op) if op is not None else "",
        scale=scale,
        snr_db=snr,
        cut_off=sums.cut_count / sums.count if ends is not None else None,
        range_used=None if used is None else round(used, 3),
        fault=fault,
    )


def foreign_layers(reference: Graph, graph: Graph) -> list[str]:
    """Layers of the int8 file whose weights are none of the float file's, by name."""
    matched = {id(new) for _, new in matched_layers(reference, graph)}
    foreign = [
        graph.tensor_name(graph.outputs(op)[0])
        for op in graph.operators
        if int8_filter(graph, op) is not None and id(op) not in matched
    ]
    known = {binary_constants(reference, op) for op in reference.operators}
    for op in graph.operators:
        if graph.op_name(op) == "LceBconv2d" and binary_constants(graph, op) not in known:
            foreign.append(graph.tensor_name(graph.outputs(op)[0]))
    return foreign
