"""Why a layer of a `.tflite` file is not binary: the rule of Larq Compute Engine that it breaks.

LCE makes a convolution binary if its inputs come straight from a sign (padded with 0 or 1 at most),
if its weights have one magnitude per output channel, and if its groups hold a multiple of 32
channels. Every check below is one of these rules, looked up in what the file still shows.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convert.passes.pack_binary_weights import PACKABLE, packing_scales
from convert.report import Kind
from convert.tflite.filters import stored_filter
from convert.tflite.graph import INT8, INT32, Graph
from convert.tflite.scales import channels_first, has_binary_rows

CONVERT = "convert the Keras model with Onebit"
_USE_SIGN = 'binarise the inputs with a Larq sign such as input_quantizer="ste_sign"'
_MOVES = ("RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS", "STRIDED_SLICE", "SPLIT")
_NO_PRODUCT = "LCE has no binary matrix product"
_PADS = ("PAD", "PADV2")
_MAX_LEVELS = 16


@dataclass(frozen=True)
class Judgement:
    """A layer's kind, why it is not binary, and what would mend it."""

    kind: Kind
    reason: str
    mend: str | None = None


@dataclass(frozen=True)
class _Inputs:
    """Where a layer's inputs come from.

    Attributes:
        kind: ±1 of a Larq sign, -1, 0, 1 of tf.sign, 0 and 1, of several bits, or real.
        pad: The value that they are padded with by an operator of its own, or None.
        moved: Whether a reshape or the like stands between.
    """

    kind: Literal["sign", "tf.sign", "step", "several bits", "real"]
    pad: float | None = None
    moved: bool = False


def judge(graph: Graph, op: Any) -> Judgement:
    """What a multiplying operator other than LceBconv2d is, and why it is not one."""
    name, inputs = graph.op_name(op), graph.inputs(op)
    data, filter_index = inputs[2 if name == "TRANSPOSE_CONV" else 0], inputs[1]
    source, unpacking = stored_filter(graph, filter_index)
    origin = _origin(graph, data)
    if unpacking == "computed":
        return Judgement("float", product_reason(graph, data, filter_index))
    if unpacking == "DEQUANTIZE":
        return Judgement(
            "float", "its filter is stored in fewer bits and computed with in float32", CONVERT
        )
    if graph.subgraph.tensors[filter_index].type == INT8:
        if unpacking == "LceDequantize":
            return Judgement("binary_weights", "its inputs are 8-bit numbers")
        if graph.subgraph.tensors[data].type == INT8:
            return Judgement("int8", "its weights and inputs are 8-bit numbers")
        return Judgement("int8", "its weights are 8-bit numbers, its inputs real ones")
    if unpacking == "LceDequantize":
        return Judgement("binary_weights", *_broken_rule(graph, op, name, origin, data))
    weights = graph.constant(source)
    if weights is None:
        return Judgement("float", "its filter is of a type that LCE does not know")
    rows = channels_first(name, weights)
    scales = packing_scales(name, weights)
    if (scales is not None or has_binary_rows(rows)) and rows[0].size > 1:
        if name not in PACKABLE:
            return Judgement("float", f"binary weights, but LCE has no binary {name}")
        if scales is None:
            return Judgement("float", "binary weights, but too few for packing to save room")
        reason, mend = _broken_rule(graph, op, name, origin, data)
        return Judgement("float", f"binary weights, stored as float32: {reason}", mend or CONVERT)
    return Judgement("float", *_real_weights(rows, origin))


def product_reason(graph: Graph, left: int, right: int) -> str:
    """Why a product of two activations, such as attention's, is float."""
    if all(_is_binarised(graph, index) for index in (left, right)):
        return "both operands are binarised activations, multiplied in float32: " + _NO_PRODUCT
    return "both operands are activations: " + _NO_PRODUCT


def _is_binarised(graph: Graph, index: int) -> bool:
    """Whether a tensor holds two levels: signs that were scaled, shifted and moved about."""
    op = graph.producer(index)
    while op is not None and graph.op_name(op) in (*_MOVES, "MUL", "ADD"):
        computed = [i for i in graph.inputs(op) if not graph.is_constant(i)]
        if len(computed) != 1:
            return False
        op = graph.producer(computed[0])
    return op is not None and graph.op_name(op) == "LceDequantize"


def judge_table(graph: Graph, op: Any) -> Judgement:
    """What a look-up of rows is: an embedding's table, packed or not."""
    index = graph.inputs(op)[0]
    if graph.subgraph.tensors[index].type == INT32:
        return Judgement("binary_weights", "its rows are looked up, not multiplied")
    table = graph.constant(index)
    if table is not None and has_binary_rows(table) and table.shape[1] > 1:
        return Judgement("float", "binary rows, stored as float32", CONVERT)
    return Judgement("float", "its rows are real numbers")


def _origin(graph: Graph, index: int) -> _Inputs:
    """Follows a tensor up through operators that move numbers, pad them or pick the largest."""
    pad, moved = None, False
    op = graph.producer(index)
    while op is not None and graph.op_name(op) in (*_MOVES, *_PADS, "MAX_POOL_2D"):
        name, inputs = graph.op_name(op), graph.inputs(op)
        moved |= name in _MOVES
        if name in _PADS:
            value = graph.constant(inputs[2]) if len(inputs) > 2 else np.zeros(1)
            pad = None if value is None else float(value.reshape(-1)[0])
        op = graph.producer(inputs[1 if name == "SPLIT" else 0])
    if op is None:
        return _Inputs("real", pad, moved)
    if graph.op_name(op) == "LceDequantize":
        return _Inputs("sign", pad, moved)
    if graph.op_name(op) == "SIGN":
        before = graph.producer(graph.inputs(op)[0])
        step = before is not None and graph.op_name(before) == "RELU"
        return _Inputs("step" if step else "tf.sign", pad, moved)
    # A multi-bit quantizer rounds; the factor behind it may be folded or stand apart.
    for _ in range(2):
        if op is not None and graph.op_name(op) == "ROUND":
            return _Inputs("several bits", pad, moved)
        op = graph.producer(graph.inputs(op)[0]) if op is not None and graph.inputs(op) else None
    return _Inputs("real", pad, moved)


def _broken_rule(
    graph: Graph, op: Any, name: str, origin: _Inputs, data: int
) -> tuple[str, str | None]:
    """The rule that keeps a layer with binary weights from being binary, and the mend."""
    if origin.kind == "tf.sign":
        return "its inputs come from tf.sign, which gives 0 for 0", _USE_SIGN
    if origin.kind == "step":
        return "its inputs are 0 and 1", _USE_SIGN
    if origin.kind == "several bits":
        return "its inputs have several bits (DoReFa)", _USE_SIGN
    if origin.kind == "real":
        return "its inputs are real numbers", None
    if name == "FULLY_CONNECTED":
        return "LCE leaves dense layers float", CONVERT
    if name != "CONV_2D":
        return f"LCE has no binary {name}", None
    if origin.pad not in (None, 0, 1):
        return f"padded with {origin.pad:g}: LCE knows 0 and 1", "pad_values=1"
    group_channels = graph.shape(graph.inputs(op)[1])[-1]
    if group_channels != graph.shape(data)[-1] and group_channels % 32:
        return (
            f"{group_channels} channels per group: LCE needs 32 or a multiple",
            "take fewer groups or more channels",
        )
    if origin.moved:
        return "a reshape stands between its sign and it", CONVERT
    return "its inputs are binary, but LCE did not take it", None


def _real_weights(rows: NDArray[np.float32], origin: _Inputs) -> tuple[str, str | None]:
    """What weights that are not binary are, and the mend."""
    levels = _levels(rows)
    if levels == 3:
        return "ternary weights: LCE knows -1 and +1", 'kernel_quantizer="ste_sign"'
    if levels is not None:
        bits = (levels - 1).bit_length()
        return f"{bits}-bit weights (DoReFa): LCE knows -1 and +1", 'kernel_quantizer="ste_sign"'
    if origin.kind == "sign":
        return "its inputs are binary, its weights are not", "give the layer a kernel_quantizer"
    return "its weights and inputs are real numbers", None


def _levels(rows: NDArray[np.float32]) -> int | None:
    """How many different weights the channels of `[O, …]` hold at most; None for real weights."""
    flat = rows.reshape(len(rows), -1)
    # A layer of few weights has few different ones anyway.
    if flat.shape[1] < 2 * _MAX_LEVELS or not np.isfinite(flat).all():
        return None
    peak = np.abs(flat).max(1, keepdims=True)
    # Folding a scale into a channel rounds each weight once: 2^-20 keeps equal weights together.
    steps = np.sort(np.round(flat / np.where(peak == 0, 1, peak) * 2.0**20), axis=1)
    count = int(1 + (np.diff(steps, axis=1) > 1).sum(1).max())
    return count if 2 < count <= _MAX_LEVELS else None
