"""Why a layer of a `.tflite` file is not binary: the rule of Larq Compute Engine that it breaks.

LCE makes a convolution binary if its inputs come straight from a sign (padded with 1 at most), if
its weights have one scale per output channel, and if its groups hold a multiple of 32 channels.
Every check below is one of these rules, looked up in what the file still shows.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convert.binariser.elementwise import ELEMENTWISE
from convert.binariser.passes.cancel_straight_through import unbounded_straight_through
from convert.binariser.steps import SIGN, Levels, find_steps
from convert.passes.pack_binary_weights import packing_scales
from convert.report import Kind, Reason
from convert.tflite.filters import constants_behind, stored_filter
from convert.tflite.graph import FILTERED, INT32, Graph, schema
from convert.tflite.moves import JOINS, MOVES, PADS
from convert.tflite.scales import channels_first, has_binary_rows

_USE_SIGN = 'binarise the inputs with a Larq sign such as input_quantizer="ste_sign"'
_TRAIN_SIGN = 'train it with input_quantizer="ste_sign"; first layers mostly keep real inputs'
_OWN_SIGN = 'give the layer its own input_quantizer="ste_sign"'
_OWN_SIGN_DENSE = 'make it a QuantDense with its own input_quantizer="ste_sign"'
_PAD_ONES = 'let the layer pad (padding="same"), or pad with ones (tf.pad, constant_values=1)'
_USE_BINARY_WEIGHTS = 'train it with kernel_quantizer="ste_sign"'
_TRAIN = 'train it as a Larq layer with "ste_sign" quantizers, or convert with --int8'
_TRAIN_WEIGHTS = "train it as a Larq layer with binary weights, or convert with --int8"
_PLUS_FOR_ZERO = "compare with x >= 0, as in where(x >= 0, 1, -1)"
_CLIP = "give the sign a custom gradient, or clip x to [-1, 1] first"
_CONVERT_FILE = "convert the file: onebit convert model FILE.tflite -o BINARY.tflite"
_NO_PRODUCT = "LCE has no binary matrix product"

INTEGERS = {"INT4": "4-bit", "INT8": "8-bit", "UINT8": "8-bit", "INT16": "16-bit"}
"""Types of quantized numbers."""
_MAX_LEVELS = 16


@dataclass(frozen=True)
class Remedies:
    """How to have Onebit change a model or file; None for what it has just done.

    Attributes:
        rewrite: How to have its rewrites change the model.
        passes: How to have its passes find binary layers and pack filters.
    """

    rewrite: str | None = "convert the Keras model, built with the functional API, with Onebit"
    passes: str | None = "convert the Keras model with Onebit"


@dataclass(frozen=True)
class Diagnosis:
    """A layer's kind, why it is not binary, and how to fix that."""

    kind: Kind
    code: Reason
    reason: str
    fix: str | None = None


_Kind = Literal[
    "sign",
    "float sign",
    "tf.sign",
    "minus for zero",
    "step",
    "straight-through",
    "several bits",
    "real",
]
_KIND_OF_LEVELS: dict[Levels, _Kind] = {
    SIGN: "float sign",
    (-1.0, 0.0, 1.0): "tf.sign",
    (-1.0, -1.0, 1.0): "minus for zero",
    (0.0, 1.0, 1.0): "step",
    (0.0, 0.0, 1.0): "step",
}


@dataclass(frozen=True)
class _Inputs:
    """Where a layer's inputs come from.

    Attributes:
        kind: ±1 of LCE's bits or of a sign that is still float, -1, 0, 1 of tf.sign, ±1 with -1
            for 0, 0 and 1, a sign in its straight-through spelling, of several bits, or real.
        pad: The value that a separate operator pads them with, or None.
        moved: The operator that moves them between their sign and the layer, or None.
    """

    kind: _Kind
    pad: float | None = None
    moved: str | None = None


def diagnose(graph: Graph, op: Any, remedies: Remedies) -> Diagnosis:
    """The kind of an operator with a filter other than LceBconv2d, and why it is not that."""
    name, data, filter_index = graph.op_name(op), graph.data_input(op), graph.inputs(op)[1]
    source, unpacking = stored_filter(graph, filter_index)
    origin = _origin(graph, data)
    if unpacking == "computed":
        return computed_operand(graph, data, filter_index, remedies)
    if unpacking == "DEQUANTIZE":
        return Diagnosis(
            "float",
            Reason.STORED_SMALLER,
            "its filter is stored in fewer bits and computed with in float32",
        )
    if graph.type_name(filter_index) in INTEGERS:
        if unpacking == "LceDequantize":
            return Diagnosis("binary_weights", Reason.INT8_INPUTS, "its inputs are 8-bit numbers")
        return int8_diagnosis(graph, filter_index, data)
    if unpacking == "LceDequantize":
        return Diagnosis("binary_weights", *_broken_rule(graph, op, origin, remedies))
    weights = graph.constant(source)
    if weights is None or weights.dtype.kind != "f":
        return unknown_type(graph, source)
    rows = channels_first(name, weights)
    scales = packing_scales(name, weights)
    if (scales is not None or has_binary_rows(rows)) and rows[0].size > 1:
        if name not in FILTERED:
            reason = f"binary weights, but LCE has no binary {name}"
            return Diagnosis("float", Reason.NO_BINARY_OPERATOR, reason)
        if scales is None:
            reason = "binary weights, but too few for packing to save room"
            return Diagnosis("float", Reason.TOO_SMALL, reason)
        code, reason, fix = _broken_rule(graph, op, origin, remedies)
        reason = f"binary weights, stored as float32: {reason}"
        # Packing is the smaller change than other inputs.
        if code == Reason.REAL_INPUTS:
            fix = remedies.passes or fix
        return Diagnosis("float", Reason.NOT_PACKED, reason, fix or remedies.passes)
    return Diagnosis("float", *_real_weights(name, rows, origin))


def int8_diagnosis(graph: Graph, weights: int, data: int) -> Diagnosis:
    """A layer with integer weights, and inputs of whatever type."""
    weight_bits, input_bits = (INTEGERS.get(graph.type_name(i)) for i in (weights, data))
    if weight_bits is None:
        return unknown_type(graph, weights)
    if input_bits == weight_bits:
        reason = f"its weights and inputs are {weight_bits} numbers"
        return Diagnosis("int8", Reason.INT8, reason)
    inputs = f"{input_bits} ones" if input_bits else "real ones"
    code = Reason.INT8 if input_bits else Reason.INT8_WEIGHTS
    return Diagnosis("int8", code, f"its weights are {weight_bits} numbers, its inputs {inputs}")


def unknown_type(graph: Graph, index: int) -> Diagnosis:
    """A layer with weights of a type that neither LCE nor int8 has."""
    reason = f"unknown: its weights are of the type {graph.type_name(index)}"
    return Diagnosis("float", Reason.UNKNOWN_TYPE, reason)


def computed_operand(graph: Graph, data: int, weights: int, remedies: Remedies) -> Diagnosis:
    """A layer whose filter is not a constant.

    An operator computes it, perhaps of constants, or it is the other operand that holds weights, or
    it comes from a variable or from outside a loop.
    """
    if constants_behind(graph, weights):
        reason = "its filter is computed from constants on every call, as LCE leaves large ones"
        return Diagnosis("float", Reason.COMPUTED_FILTER, reason, remedies.rewrite)
    if constants_behind(graph, data):
        reason = "its weights are the left operand of a product: " + _NO_PRODUCT
        return Diagnosis("float", Reason.NO_BINARY_OPERATOR, reason)
    above = graph.producer(weights)
    if above is not None and graph.op_name(above) == "READ_VARIABLE":
        reason = "its filter is not a constant: it comes from a variable"
        return Diagnosis("float", Reason.PASSED_IN, reason)
    if above is None and graph.number:
        reason = "its filter is not a constant here: it comes from outside the loop"
        return Diagnosis("float", Reason.PASSED_IN, reason)
    return Diagnosis("float", Reason.PRODUCT, product_reason(graph, data, weights))


def product_reason(graph: Graph, left: int, right: int) -> str:
    """Why a product of two activations, such as attention's, is float."""
    if all(_is_binarised(graph, index) for index in (left, right)):
        return "both operands are binarised activations, multiplied in float32: " + _NO_PRODUCT
    return "both operands are activations: " + _NO_PRODUCT


def _is_binarised(graph: Graph, index: int) -> bool:
    """Whether a tensor holds two levels: signs that were scaled, shifted and moved about."""
    op = graph.producer(index)
    while op is not None and graph.op_name(op) in (*MOVES, "MUL", "ADD"):
        computed = [i for i in graph.inputs(op) if not graph.is_constant(i)]
        if len(computed) != 1:
            return False
        op = graph.producer(computed[0])
    return op is not None and graph.op_name(op) == "LceDequantize"


def diagnose_table(graph: Graph, index: int, remedies: Remedies) -> Diagnosis:
    """The kind of a table whose rows are looked up: an embedding's, packed or not."""
    if graph.subgraph.tensors[index].type == INT32:
        reason = "its rows are looked up, not multiplied"
        return Diagnosis("binary_weights", Reason.LOOKED_UP, reason)
    table = graph.constant(index)
    if table is not None and table.dtype == np.float32 and has_binary_rows(table):
        return Diagnosis(
            "float", Reason.NOT_PACKED, "binary rows, stored as float32", remedies.passes
        )
    if graph.type_name(index) in INTEGERS:
        reason = f"its rows are {INTEGERS[graph.type_name(index)]} numbers"
        return Diagnosis("int8", Reason.INT8, reason)
    return Diagnosis("float", Reason.REAL, "its rows are real numbers")


def _origin(graph: Graph, index: int) -> _Inputs:
    """Follows a tensor up through operators that move numbers, pad them or pick the largest."""
    op = graph.producer(index)
    if op is None:
        return _Inputs("real")
    name = graph.op_name(op)
    if name == "LceDequantize":
        return _Inputs("sign")
    if name in JOINS:
        parts = [_origin(graph, i) for i in graph.inputs(op)]
        kinds = {part.kind for part in parts}
        pads = [part.pad for part in parts if part.pad is not None]
        kind = kinds.pop() if len(kinds) == 1 else "real"
        return _Inputs(kind, pads[0] if pads else None, name)
    if name in (*MOVES, *PADS, "MAX_POOL_2D"):
        below = _origin(graph, graph.data_input(op))
        pad = _padded_with(graph, op) if name in PADS else None
        moved = below.moved or (name if name in MOVES else None)
        return _Inputs(below.kind, below.pad if pad is None else pad, moved)
    if name == "SIGN":
        before = graph.producer(graph.inputs(op)[0])
        step = before is not None and graph.op_name(before) == "RELU"
        if step:
            return _Inputs("step")
    if name in ELEMENTWISE:
        step_kind = _step_kind(graph, index)
        if step_kind is not None:
            return _Inputs(step_kind)
    # A multi-bit quantizer rounds; the factor behind it may be folded or separate.
    for _ in range(2):
        if op is not None and graph.op_name(op) == "ROUND":
            return _Inputs("several bits")
        op = graph.producer(graph.inputs(op)[0]) if op is not None and graph.inputs(op) else None
    return _Inputs("real")


def _step_kind(graph: Graph, index: int) -> _Kind | None:
    """The kind of a tensor that depends on the side of a threshold only; None of any other."""
    steps = find_steps(graph).get(index)
    if steps is not None:
        return _KIND_OF_LEVELS.get(steps.levels)
    return "straight-through" if index in unbounded_straight_through(graph) else None


def _padded_with(graph: Graph, op: Any) -> float | None:
    """The number that an operator adds at the border; None for none or an unknown one."""
    inputs, name = graph.inputs(op), graph.op_name(op)
    widths = graph.constant(inputs[2 if name == "SPACE_TO_BATCH_ND" else 1])
    if widths is not None and not widths.any():
        return None
    if name != "PADV2":
        return 0.0
    value = graph.constant(inputs[2])
    return None if value is None else float(value.reshape(-1)[0])


def _broken_rule(
    graph: Graph, op: Any, origin: _Inputs, remedies: Remedies
) -> tuple[Reason, str, str | None]:
    """The rule that keeps a layer with binary weights from being binary, and the fix."""
    name = graph.op_name(op)
    if name not in ("CONV_2D", "FULLY_CONNECTED"):
        return Reason.NO_BINARY_OPERATOR, f"LCE has no binary {name}", None
    if origin.kind == "tf.sign":
        reason = "its inputs come from tf.sign, which gives 0 for 0"
        return Reason.TF_SIGN_INPUTS, reason, _USE_SIGN
    if origin.kind == "minus for zero":
        reason = "its inputs come from a sign that gives -1 for 0, where LCE's gives +1"
        return Reason.MINUS_FOR_ZERO, reason, _PLUS_FOR_ZERO
    if origin.kind == "straight-through":
        reason = "its inputs are x + (sign(x) - x), which differs from a sign where |x| > 2^24"
        return Reason.STRAIGHT_THROUGH, reason, _CLIP
    if origin.kind == "float sign":
        reason = "its inputs are binary, computed in float32"
        return Reason.NOT_TAKEN, reason, _CONVERT_FILE
    if origin.kind == "step":
        return Reason.ZERO_ONE_INPUTS, "its inputs are 0 and 1", _USE_SIGN
    if origin.kind == "several bits":
        return Reason.SEVERAL_BIT_INPUTS, "its inputs have several bits (DoReFa)", _USE_SIGN
    if origin.kind == "real":
        return Reason.REAL_INPUTS, "its inputs are real numbers", _TRAIN_SIGN
    if origin.pad == 0:
        reason = "zeros are added between its sign and it, and a bit is -1 or +1"
        return Reason.ZEROS_BETWEEN, reason, _PAD_ONES
    if origin.pad not in (None, 1):
        reason = f"padded with {origin.pad:g}: LCE knows 0 and 1"
        return Reason.PADDING_VALUE, reason, "pad_values=1"
    if name == "FULLY_CONNECTED":
        fix = remedies.passes or _OWN_SIGN_DENSE
        return Reason.DENSE, "LCE leaves dense layers float", fix
    group_channels = graph.shape(graph.inputs(op)[1])[-1]
    if group_channels != graph.shape(graph.data_input(op))[-1] and group_channels % 32:
        reason = f"{group_channels} channels per group: LCE needs 32 or a multiple"
        return Reason.FEW_CHANNELS_PER_GROUP, reason, "take fewer groups or more channels"
    if _pads_itself(graph, op):
        # LCE takes a layer's own zeros; these came from an operator that is part of it by now.
        reason = "zeros are added between its sign and it, and a bit is -1 or +1"
        return Reason.ZEROS_BETWEEN, reason, _PAD_ONES
    if origin.moved is not None:
        reason = f"a {origin.moved} stands between its sign and it"
        return Reason.MOVED, reason, remedies.passes or _OWN_SIGN
    return Reason.NOT_TAKEN, "its inputs are binary, but LCE did not take it", None


def _pads_itself(graph: Graph, op: Any) -> bool:
    """Whether a CONV_2D adds zeros at its border."""
    taps = graph.shape(graph.inputs(op)[1])[1:3]
    return op.builtinOptions.padding == schema.Padding.SAME and taps != [1, 1]


def _real_weights(
    name: str, rows: NDArray[np.float32], origin: _Inputs
) -> tuple[Reason, str, str | None]:
    """The nature of weights that are not binary, and the fix."""
    levels = _levels(rows)
    if levels == 3:
        reason = "ternary weights: LCE knows -1 and +1"
        return Reason.TERNARY_WEIGHTS, reason, _USE_BINARY_WEIGHTS
    if levels is not None:
        reason = f"{(levels - 1).bit_length()}-bit weights (DoReFa): LCE knows -1 and +1"
        return Reason.SEVERAL_BIT_WEIGHTS, reason, _USE_BINARY_WEIGHTS
    if origin.kind == "sign":
        reason = "its inputs are binary, its weights are not"
        return Reason.REAL_WEIGHTS, reason, _USE_BINARY_WEIGHTS
    fix = _TRAIN if name in ("CONV_2D", "FULLY_CONNECTED") else _TRAIN_WEIGHTS
    reason = "its weights and inputs are real numbers"
    return Reason.REAL, reason, fix if name in FILTERED else None


def _levels(rows: NDArray[np.float32]) -> int | None:
    """The most different weights that a channel of `[O, …]` holds; None for real weights."""
    flat = rows.reshape(len(rows), -1)
    # A layer of few weights has few different ones anyway.
    if flat.shape[1] < 2 * _MAX_LEVELS or not np.isfinite(flat).all():
        return None
    peak = np.abs(flat).max(1, keepdims=True)
    # Folding a scale into a channel rounds each weight once: 2^-20 keeps equal weights together.
    scaled = np.sort(np.round(flat / np.where(peak == 0, 1, peak) * 2.0**20), axis=1)
    count = int(1 + (np.diff(scaled, axis=1) > 1).sum(1).max())
    return count if 2 < count <= _MAX_LEVELS else None
