"""Weight-only binary filters → one bit per weight.

Larq Compute Engine stores a layer with binary weights and real inputs (BinaryConnect, the first
layer of every binary network) as float32, after folding batch normalisation into the filter: row o
holds r[o]·±1. This pass stores the signs as a bitpacked constant, and the scales separately:

    before   y = act(conv(x, W) + b)                          W[o, …] = r[o]·sign(W[o, …])
    after    y = act(conv(x, LceDequantize(bits))·r + b)      bits = pack(W)

r[o] = |W[o, 0]| is exact, as multiplying by ±1 is; what differs is the rounding of the sum, by at
most K·2^-24 of Σ|x|·r for K terms. A row of zeros (its gamma is 0) packs with r[o] = 0.

Where a normalisation stands *in front of* a dense layer, LCE folds that too, and W[o, i] is
r[o]·c[i]·±1; then x is multiplied by c first (see `convert/tflite/scales.py` for how near that is).

The interpreter unpacks the filter on each call, into memory that it may reuse: the file shrinks up
to 32×, the time does not.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.tflite.graph import FILTERED, FLOAT32, Graph, schema
from convert.tflite.scales import (
    channels_first,
    has_binary_rows,
    row_and_column_scales,
    row_scales,
)
from onebit import bits

_GRAPH_BYTES = 512
"""Bytes of the operators and tensors of a packed filter in the file: 430 to 440 were measured."""

# MUL and ADD can fuse only these.
_ACTIVATIONS = (
    schema.ActivationFunctionType.NONE,
    schema.ActivationFunctionType.RELU,
    schema.ActivationFunctionType.RELU6,
    schema.ActivationFunctionType.RELU_N1_TO_1,
)


@dataclass(frozen=True)
class Scales:
    """The scales of a binary filter: `|W[o, …, i]| = rows[o]·columns[i]`.

    Attributes:
        rows: `[O]`.
        columns: `[I]`, or None when they are all 1.
    """

    rows: NDArray[np.float32]
    columns: NDArray[np.float32] | None = None

    @property
    def fits_int8(self) -> bool:
        """Whether ±1 in 8 bits with a step per output channel says all: steps are above zero."""
        return self.columns is None and bool((self.rows > 0).all())


def pack_binary_weights(graph: Graph, only_if: Callable[[Scales], bool] | None = None) -> list[str]:
    """Packs every filter that is ±1 times scales per channel; returns the layers' output tensors.

    It does not fire for int8 or computed filters, for filters that are not ±scales, nor where the
    packed form is not smaller.

    Args:
        graph: The file; it is changed.
        only_if: Asked of each filter's scales whether to pack it; all are packed when absent.
    """
    packed_filters: dict[tuple[int, tuple[int, ...]], int] = {}
    changed = []

    @functools.cache
    def zero_bias(channels: int) -> int:
        return graph.add_constant(f"zero_bias_{channels}", np.zeros(channels, "<f4"))

    for op in list(graph.operators):
        if graph.op_name(op) not in FILTERED or not _is_plain_float(graph, op):
            continue
        filter_index = graph.inputs(op)[1]
        weights = graph.constant(filter_index)
        if weights is None:
            continue
        scales = packing_scales(graph.op_name(op), weights)
        if scales is None or (
            scales.columns is not None
            and graph.shape(graph.data_input(op))[-1] != len(scales.columns)
        ):
            continue
        if only_if is not None and not only_if(scales):
            continue
        unpack: list[Any] = []
        # Layers that share a filter, or hold equal ones, share its bits.
        key = graph.subgraph.tensors[filter_index].buffer, weights.shape
        if key not in packed_filters:
            unpack, packed_filters[key] = _unpacking(graph, filter_index, weights)
        steps = _split(graph, op, packed_filters[key], scales, zero_bias)
        graph.replace_op(op, [*unpack, *steps])
        changed.append(graph.tensor_name(graph.outputs(steps[-1])[0]))
    return changed


def packing_scales(op_name: str, weights: NDArray[np.float32]) -> Scales | None:
    """The scales of a filter that is binary and takes less room as bits; None for any other."""
    rows = channels_first(op_name, weights)
    scales = None
    if has_binary_rows(rows):
        scales = Scales(row_scales(rows))
    elif op_name == "FULLY_CONNECTED":  # LCE folds what stands in front into dense layers only
        factors = row_and_column_scales(weights)
        scales = None if factors is None else Scales(*factors)
    if scales is None or packed_bytes(weights.shape, scales) + _GRAPH_BYTES > weights.nbytes:
        return None
    return scales


def packed_shape(shape: tuple[int, ...]) -> list[int]:
    """The shape under which a filter `[O, …, I]` packs into the fewest words.

    Bits are packed along the last dimension, so few input channels waste most of a word: a 3×3
    filter over 3 channels takes 9 words as `[O, 3, 3, 3]` and 1 as `[O, 27]`.
    """
    flat = [shape[0], math.prod(shape[1:])]
    return min(list(shape), flat, key=_words)


def _words(shape: list[int]) -> int:
    return math.prod(shape[:-1]) * bits.packed_length(shape[-1])


def packed_bytes(shape: tuple[int, ...], scales: Scales) -> int:
    """Bytes of a packed filter and its scales."""
    filter_bytes = bits.WORD_BITS // 8 * _words(packed_shape(shape))
    if scales.columns is not None:
        return filter_bytes + 4 * (len(scales.rows) + len(scales.columns))
    return filter_bytes + (0 if (scales.rows == 1).all() else 4 * len(scales.rows))


def _is_plain_float(graph: Graph, op: Any) -> bool:
    operands = graph.data_input(op), graph.inputs(op)[1]
    types = [graph.subgraph.tensors[i].type for i in operands]
    options = op.builtinOptions
    return (
        all(t == FLOAT32 for t in types)
        and getattr(options, "weightsFormat", 0) == 0
        and options.fusedActivationFunction in _ACTIVATIONS
    )


def _unpacking(
    graph: Graph, filter_index: int, weights: NDArray[np.float32]
) -> tuple[list[Any], int]:
    """The operators that unpack a filter, and the tensor that they give."""
    name = graph.tensor_name(filter_index)
    shape = packed_shape(weights.shape)
    words = graph.add_constant(f"{name}/bits", bits.pack(weights.reshape(shape)))
    signs = graph.add_tensor(f"{name}/signs", shape)
    unpack = [graph.make_op("LceDequantize", [words], [signs])]
    if shape != list(weights.shape):
        target = graph.add_constant(f"{name}/shape", np.array(weights.shape, "<i4"))
        reshaped = graph.add_tensor(f"{name}/filter", weights.shape)
        options = schema.ReshapeOptionsT()
        options.newShape = np.array(weights.shape, np.int32)
        unpack.append(graph.make_op("RESHAPE", [signs, target], [reshaped], options))
        signs = reshaped
    return unpack, signs


def _split(
    graph: Graph, op: Any, signs: int, scales: Scales, zero_bias: Callable[[int], int]
) -> list[Any]:
    """The operator on ±1 weights, the multiplications by the scales, the bias's addition."""
    kind, (output,), weights = graph.op_name(op), graph.outputs(op), graph.inputs(op)[1]
    name, shape = graph.tensor_name(output), graph.shape(output)
    data, bias = graph.data_input(op), graph.bias_input(op)
    graph.set_inputs(op, [signs if i == weights else i for i in graph.inputs(op)])
    if scales.columns is None and (scales.rows == 1).all():
        return [op]

    before: list[Any] = []
    inputs = graph.inputs_before_bias(op)
    if scales.columns is not None:
        columns = graph.add_constant(f"{name}/columns", scales.columns.astype("<f4"))
        scaled = graph.add_tensor(f"{name}/scaled_input", graph.shape(data))
        before = [graph.make_op("MUL", [data, columns], [scaled], schema.MulOptionsT())]
        inputs = [scaled if i == data else i for i in inputs]
    steps = [("MUL", graph.add_constant(f"{name}/scale", scales.rows.astype("<f4")))]
    if bias >= 0:
        steps.append(("ADD", bias))
    activation = op.builtinOptions.fusedActivationFunction
    op.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.NONE
    # TensorFlow Lite's CONV_2D demands a bias; dense and transposed layers do without.
    zeros = [zero_bias(len(scales.rows))] if kind in ("CONV_2D", "DEPTHWISE_CONV_2D") else []
    graph.set_inputs(op, [*inputs, *zeros])
    current = graph.add_tensor(f"{name}/product", shape)
    graph.set_outputs(op, [current])
    result = [*before, op]
    for index, (step, operand) in enumerate(steps):
        last = index == len(steps) - 1
        options = schema.MulOptionsT() if step == "MUL" else schema.AddOptionsT()
        options.fusedActivationFunction = activation if last else 0
        target = output if last else graph.add_tensor(f"{name}/scaled", shape)
        result.append(graph.make_op(step, [current, operand], [target], options))
        current = target
    return result
