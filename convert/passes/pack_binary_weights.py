"""Weight-only binary filters → one bit per weight.

Larq Compute Engine stores a layer with binary weights and real inputs (BinaryConnect, the first
layer of every binary network) as float32, after folding batch normalisation into the filter: row o
holds s[o]·±1. This pass stores the signs as a bitpacked constant and the magnitudes apart:

    before   y = act(conv(x, W) + b)                          W[o, …] = s[o]·sign(W[o, …])
    after    y = act(conv(x, LceDequantize(bits))·s + b)      bits = pack(W)

s[o] = |W[o, 0]| is exact, as multiplying by ±1 is; what differs is the rounding of the sum, by at
most K·2^-24 of Σ|x|·s for K terms. A row of zeros (its gamma is 0) packs with s[o] = 0.

The interpreter unpacks the filter on each call, into memory that it may reuse: the file shrinks up
to 32×, the time does not.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.flatbuffer import FLOAT32, Graph, schema
from onebit import bits

PACKABLE = ("CONV_2D", "FULLY_CONNECTED")
"""Operators whose input 1 is a filter `[O, …, I]` and whose input 2 is an optional bias `[O]`."""


def pack_binary_weights(graph: Graph) -> list[str]:
    """Packs every filter of one magnitude per output channel; returns the layers' output tensors.

    It does not fire for int8 or computed filters, for filters with more than one magnitude in a
    channel, nor where the packed form is not smaller.
    """
    packed_filters: dict[int, int] = {}
    changed = []

    @functools.cache
    def zero_bias(channels: int) -> int:
        return graph.add_constant(f"zero_bias_{channels}", np.zeros(channels, "<f4"))

    for op in list(graph.operators):
        if graph.op_name(op) not in PACKABLE or not _is_plain_float(graph, op):
            continue
        filter_index = graph.inputs(op)[1]
        weights = graph.constant(filter_index)
        if weights is None or not is_worth_packing(weights):
            continue
        unpack: list[Any] = []
        if filter_index not in packed_filters:
            unpack, packed_filters[filter_index] = _unpacking(graph, filter_index, weights)
        signs = packed_filters[filter_index]
        scale_and_bias = _split(graph, op, signs, magnitudes(weights), zero_bias)
        graph.replace_op(op, [*unpack, *scale_and_bias])
        changed.append(graph.tensor_name(graph.outputs(scale_and_bias[-1])[0]))
    return changed


def magnitudes(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """s[o], the magnitude of the first weight of each channel: `[O, …]` → `[O]`."""
    return np.abs(weights.reshape(len(weights), -1)[:, 0])


def has_binary_rows(weights: NDArray[np.float32]) -> bool:
    """Whether each output channel of `[O, …]` holds one magnitude, and not all of them zero."""
    s = magnitudes(weights)
    rows = np.abs(weights.reshape(len(weights), -1))
    return bool(s.any() and np.isfinite(s).all() and (rows == s[:, np.newaxis]).all())


def packed_shape(shape: tuple[int, ...]) -> list[int]:
    """The shape under which a filter `[O, …, I]` packs into the fewest words.

    Bits are packed along the last dimension, so few input channels waste most of a word: a 3×3
    filter over 3 channels takes 9 words as `[O, 3, 3, 3]` and 1 as `[O, 27]`.
    """
    flat = [shape[0], math.prod(shape[1:])]
    return min(list(shape), flat, key=_words)


def _words(shape: list[int]) -> int:
    return math.prod(shape[:-1]) * bits.packed_length(shape[-1])


def is_worth_packing(weights: NDArray[np.float32]) -> bool:
    """Whether a filter is binary and takes less room as bits and one scale per channel."""
    return has_binary_rows(weights) and _words(packed_shape(weights.shape)) + len(weights) < (
        weights.size
    )


def _is_plain_float(graph: Graph, op: Any) -> bool:
    types = [graph.subgraph.tensors[i].type for i in graph.inputs(op) if i >= 0]
    options = op.builtinOptions
    return all(t == FLOAT32 for t in types) and getattr(options, "weightsFormat", 0) == 0


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
    graph: Graph,
    op: Any,
    signs: int,
    scale: NDArray[np.float32],
    zero_bias: Callable[[int], int],
) -> list[Any]:
    """The operator on ±1 weights, then the multiplication by the scale and the bias's addition."""
    inputs, (output,) = graph.inputs(op), graph.outputs(op)
    name, shape = graph.tensor_name(output), graph.shape(output)
    has_bias = len(inputs) > 2 and inputs[2] >= 0
    activation = op.builtinOptions.fusedActivationFunction

    if (scale == 1).all():
        op.inputs = np.array([inputs[0], signs, *inputs[2:]], np.int32)
        return [op]

    steps = [("MUL", graph.add_constant(f"{name}/scale", scale.astype("<f4")))]
    if has_bias:
        steps.append(("ADD", inputs[2]))
    op.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.NONE
    # TensorFlow Lite's CONV_2D demands a bias; FULLY_CONNECTED does without.
    bias = [zero_bias(len(scale))] if graph.op_name(op) == "CONV_2D" else []
    op.inputs = np.array([inputs[0], signs, *bias], np.int32)
    current = graph.add_tensor(f"{name}/product", shape)
    op.outputs = np.array([current], np.int32)
    result = [op]
    for index, (kind, operand) in enumerate(steps):
        last = index == len(steps) - 1
        options = schema.MulOptionsT() if kind == "MUL" else schema.AddOptionsT()
        options.fusedActivationFunction = activation if last else 0
        target = output if last else graph.add_tensor(f"{name}/scaled", shape)
        result.append(graph.make_op(kind, [current, operand], [target], options))
        current = target
    return result
