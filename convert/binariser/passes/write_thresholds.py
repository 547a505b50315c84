"""A sign behind a binary convolution → a threshold in it, and bits as its output.

    bit = (clamp(K − 2a)·m + b < 0)   =   (a > t)

a is the number of differing bits among K. What LceBconv2d computes of it in float32 does not
increase with a where m ≥ 0, so the bits are 0 up to some t and 1 beyond it. Where m < 0 it is the
other way round: with the channel's filter negated, a' = K − a counts, and the bits are 1 from
a' = K − t on, where t is the largest a with a bit of 1. The thresholds are those of the very
arithmetic that they replace, found by bisection.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.binariser.elementwise import clamp
from convert.tflite.filters import binary_filter_shape, is_zero_padded
from convert.tflite.graph import Graph
from convert.tflite.names import joined_name
from onebit import bits


def write_thresholds(graph: Graph) -> list[str]:
    """Has binary convolutions write bits where only a sign reads them; returns the bits' names.

    It does not fire for a border of zeros, whose correction LCE makes in float only.
    """
    changed = []
    for sign in [op for op in graph.operators if graph.op_name(op) == "LceQuantize"]:
        product, (words,) = graph.inputs(sign)[0], graph.outputs(sign)
        op = graph.producer(product)
        if op is None or graph.op_name(op) != "LceBconv2d" or is_zero_padded(graph, op):
            continue
        if len(graph.consumers(product)) > 1 or product in graph.subgraph.outputs:
            continue
        _binarise_output(graph, op)
        name = joined_name(graph.tensor_name(product), graph.tensor_name(words))
        graph.subgraph.tensors[words].name = name.encode()
        graph.set_outputs(op, [words])
        graph.replace_op(sign, [])
        changed.append(name)
    return changed


def _binarise_output(graph: Graph, op: Any) -> None:
    """Gives an LceBconv2d thresholds in the place of multiplier and bias."""
    data, filter_index, *constants = graph.inputs(op)
    multiplier, bias = (graph.constant(i) for i in constants[:2])
    words = graph.constant(filter_index)
    if multiplier is None or bias is None or words is None:
        raise ValueError("a binary convolution with a float output has a multiplier and a bias")
    shape = binary_filter_shape(graph, op)
    terms = int(np.prod(shape[1:]))
    activation = graph.custom_options(op)["fused_activation_function"]
    thresholds, negated = thresholds_of(multiplier, bias, terms, activation)
    name = graph.tensor_name(graph.outputs(op)[0])
    if negated.any():
        signs = bits.unpack(words, shape[-1])
        signs[negated] *= -1
        filter_index = graph.add_constant(f"{name}/bits", bits.pack(signs))
    threshold_index = graph.add_constant(f"{name}/thresholds", thresholds.astype("<i4"))
    graph.set_inputs(op, [data, filter_index, -1, -1, threshold_index])


def thresholds_of(
    multiplier: NDArray[np.float32], bias: NDArray[np.float32], terms: int, activation: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Thresholds `[O]`, and the channels `[O]` whose filter has to be negated for them.

    Args:
        multiplier: m, `[O]`.
        bias: b, `[O]`.
        terms: K, the number of products that are added up.
        activation: The activation of the integer sum.
    """
    negated = multiplier < 0

    def bit(differing: NDArray[np.int64]) -> NDArray[np.bool_]:
        sums = (terms - 2 * differing).astype(np.float32)
        return clamp(sums, activation) * multiplier + bias < 0

    # The largest a whose bit is that of a = 0, by bisection between one that has it and one that
    # has not: everywhere the bits turn at most once.
    first = bit(np.zeros(len(bias), np.int64))
    same, other = np.zeros(len(bias), np.int64), np.full(len(bias), terms + 1)
    while (other - same > 1).any():
        middle = (same + other) // 2
        is_same = bit(middle) == first
        same, other = np.where(is_same, middle, same), np.where(is_same, other, middle)
    # m ≥ 0: 0 up to a = t, so t = same; or 1 from the start, so t = -1.
    plain = np.where(first, -1, same)
    # m < 0: 1 up to a = same, so for a' ≥ K − same; or 0 from the start, so 0 up to a = same, and
    # 1 never, since the bits of a falling function turn from 1 to 0 only.
    mirrored = np.where(first, terms - same - 1, terms)
    return np.where(negated, mirrored, plain), negated
