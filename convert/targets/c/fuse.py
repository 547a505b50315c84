"""Operators merged into kernels of their own before lowering; the answers stay as they are.

- max-pooling and then the sign → the sign and then the pooling of bits, 32 times less memory:
  the largest number is below zero where all are.
- 8-bit numbers → float → a layer with ±1 weights [→ sign]: sums and differences of integers. The
  file computes `fl(fl(s·S·scale) + bias)` of the integer sum S; that is monotone in S, so that its
  sign is a comparison of S with an integer, found here in the file's own rounding.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.targets.network import (
    ACTIVATION_RANGES,
    BinaryMaxPool,
    Conv,
    Dense,
    DType,
    Network,
    Operator,
    Pool,
    Rescale,
    Reshape,
    SignBits,
    Value,
    Window,
)

_MOST = 255
"""The largest difference of two 8-bit numbers."""


@dataclass(frozen=True, kw_only=True)
class PixelLayer(Operator):
    """A layer with ±1 weights on 8-bit inputs q, with the integer sum `S = Σ (q − zero_point)·w`.

    Attributes:
        weights: int8 ±1 `[O, KH, KW, I]`.
        window: Where it computes; None for a dense layer.
        zero_point: Of the inputs.
        limits: int32 `[O]`: the output is a bit that is 1 where `S < limit`; None for floats.
        step: The inputs' scale; the float output is `clamp(S·step·scale + bias)`.
        scale: float32 `[O]` or None.
        bias: float32 `[O]` or None.
        clamp: Of the float output.
    """

    weights: NDArray[np.int8]
    window: Window | None
    zero_point: int
    limits: NDArray[np.int32] | None
    step: np.float32
    scale: NDArray[np.float32] | None
    bias: NDArray[np.float32] | None
    clamp: tuple[float, float]


def fuse(network: Network) -> Network:
    """The network with merged operators."""
    for change in (_sign_before_pool, _integer_pixels, _integer_signs):
        network = change(network)
    return _without_unread(network)


def _changed(network: Network, operators: list[Operator], *values: Value) -> Network:
    return dataclasses.replace(
        network,
        operators=tuple(operators),
        values={**network.values, **{value.index: value for value in values}},
    )


def _only_reader(network: Network, index: int) -> Operator | None:
    readers = network.readers(index)
    return readers[0] if len(readers) == 1 and index not in network.outputs else None


def _sign_before_pool(network: Network) -> Network:
    operators = list(network.operators)
    values = []
    for position, operator in enumerate(operators):
        if not isinstance(operator, Pool) or operator.kind != "max":
            continue
        sign = _only_reader(network, operator.output)
        if not isinstance(sign, SignBits) or operator.activation != "none":
            continue
        if network.input_of(operator).dtype != "float32":
            continue
        # The pooled numbers' value is given to the bits before pooling.
        source = network.input_of(operator)
        bits = Value(operator.output, f"{source.name}/signs", source.shape, "bits")
        values.append(bits)
        operators[position] = dataclasses.replace(sign, inputs=(source.index,), output=bits.index)
        operators[operators.index(sign)] = BinaryMaxPool(
            name=operator.name,
            op="LceBMaxPool2d",
            inputs=(bits.index,),
            output=sign.output,
            window=operator.window,
        )
    return _changed(network, operators, *values)


def _integer_pixels(network: Network) -> Network:
    operators = list(network.operators)
    for position, operator in enumerate(operators):
        if not isinstance(operator, Conv | Dense) or not operator.is_binary:
            continue
        if network.output_of(operator).dtype != "float32" or getattr(operator, "groups", 1) != 1:
            continue
        source = _eight_bits(network, operator.inputs[0])
        if source is None or source.quantization is None:
            continue
        weights = operator.weights.astype(np.int8)
        operators[position] = PixelLayer(
            name=operator.name,
            op=operator.op,
            inputs=(source.index,),
            output=operator.output,
            weights=weights.reshape(len(weights), 1, 1, -1) if weights.ndim == 2 else weights,
            window=operator.window if isinstance(operator, Conv) else None,
            zero_point=int(source.quantization.zero_point[0]),
            limits=None,
            step=source.quantization.scale[0],
            scale=operator.scale,
            bias=operator.bias,
            clamp=ACTIVATION_RANGES[operator.activation],
        )
    return _changed(network, operators)


def _eight_bits(network: Network, index: int) -> Value | None:
    """The 8-bit numbers that a float value is dequantized from, through changes of shape."""
    shape = network.values[index].shape
    producer = network.producer(index)
    while isinstance(producer, Reshape):
        index = producer.inputs[0]
        producer = network.producer(index)
    if not isinstance(producer, Rescale):
        return None
    source = network.input_of(producer)
    if source.dtype not in ("int8", "uint8"):
        return None
    if source.shape == shape or len(shape) == 2:  # a dense layer does not ask for the shape
        return source
    return None


def _integer_signs(network: Network) -> Network:
    operators = list(network.operators)
    changed: list[Value] = []
    for position, operator in enumerate(operators):
        if not isinstance(operator, PixelLayer):
            continue
        target, path = network.output_of(operator), []
        reader = _only_reader(network, target.index)
        while isinstance(reader, Reshape):  # a dense layer's output as an image
            path.append(reader)
            reader = _only_reader(network, reader.output)
        last = path[-1].output if path else target.index
        if not isinstance(reader, SignBits) or network.values[last].shape[-1] != target.shape[-1]:
            continue
        weights, limits = _limits(operator)
        changed += [_as_bits(network.values[i]) for i in (target.index, *(r.output for r in path))]
        operators[position] = dataclasses.replace(operator, weights=weights, limits=limits)
        # The bits are those that the sign would give.
        index = operators.index(reader)
        operators[index] = Reshape(
            name=reader.name, op="RESHAPE", inputs=reader.inputs, output=reader.output
        )
    return _changed(network, operators, *changed)


def _as_bits(value: Value) -> Value:
    dtype: DType = "bits"
    return dataclasses.replace(value, dtype=dtype, quantization=None)


def _limits(layer: PixelLayer) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Weights and limits with which a bit is 1 where S < limit.

    Where the scale is below zero, the float falls with S: the weights, and so S, change their sign.
    """
    outputs = len(layer.weights)
    scale = np.ones(outputs, np.float32) if layer.scale is None else layer.scale
    bias = np.zeros(outputs, np.float32) if layer.bias is None else layer.bias
    flips = scale < 0
    most = _MOST * int(np.prod(layer.weights.shape[1:]))

    def negative(sums: NDArray[np.int64]) -> NDArray[np.bool_]:
        floats = (np.where(flips, -sums, sums) * float(layer.step)).astype(np.float32)
        values = floats * scale + bias
        return np.clip(values, *layer.clamp) < 0

    limits = _first_false(negative, np.full(outputs, -most), np.full(outputs, most + 1))
    weights = np.where(flips[:, np.newaxis, np.newaxis, np.newaxis], -layer.weights, layer.weights)
    return weights.astype(np.int8), limits.astype(np.int32)


def _first_false(
    holds: Callable[[NDArray[np.int64]], NDArray[np.bool_]],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The least number in [low, high] for which `holds` is false, if it falls once; else high."""
    while (low < high).any():
        middle = (low + high) // 2
        true = holds(middle)
        low = np.where((low < high) & true, middle + 1, low)
        high = np.where((low <= high) & ~true & (low <= middle), np.minimum(high, middle), high)
    return low


def _without_unread(network: Network) -> Network:
    """The network without operators whose outputs nothing reads."""
    read, kept = {*network.outputs}, []
    for operator in reversed(network.operators):
        if operator.output in read:
            read.update(operator.inputs)
            kept.append(operator)
    used = {*network.inputs, *read}
    values = {index: value for index, value in network.values.items() if index in used}
    return dataclasses.replace(network, operators=tuple(kept[::-1]), values=values)
