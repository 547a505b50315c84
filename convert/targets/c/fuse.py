"""Operators merged into kernels of their own before lowering; the answers stay as they are.

- max-pooling or a change of shape and then the sign → the sign first, and bits from there on, 32
  times less memory: the largest number is below zero where all are.
- a binary layer and then the sign → a comparison of its integer sum: the float is monotone in it.
- 8-bit numbers → float → a layer with ±1 weights [→ sign]: sums and differences of integers. The
  file computes `fl(fl(s·S·scale) + bias)` of the integer sum S; that is monotone in S, so that its
  sign is a comparison of S with an integer, found here in the file's own rounding.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.targets.c.pixels import (
    Integers,
    PixelNumbers,
    PixelSigns,
    integers_of,
    sign_threshold,
)
from convert.targets.network import (
    ACTIVATION_RANGES,
    BinaryConv,
    BinaryMaxPool,
    Conv,
    Dense,
    Network,
    Operator,
    Pool,
    Rescale,
    Reshape,
    SignBits,
    Value,
    Window,
)
from onebit.bits import WORD_BITS

_MOST = 255
"""The largest difference of two 8-bit numbers."""


@dataclass(frozen=True, kw_only=True)
class PixelLayer(Operator):
    """A layer with ±1 weights on 8-bit inputs q: the sum is `S = Σ (factor·q − zero_point)·w`.

    Attributes:
        weights: int8 ±1 `[O, KH, KW, I]`.
        window: Where it computes; None for a dense layer.
        factor: 1, or 2 where the zero lies between two inputs.
        zero_point: Of the inputs times the factor.
        limits: int32 `[O]`: the output is a bit that is 1 where `S > limit`; None for floats.
        step: What 1 of S stands for; the float output is `clamp(S·step·scale + bias)`.
        scale: float32 `[O]` or None.
        bias: float32 `[O]` or None.
        clamp: Of the float output.
    """

    weights: NDArray[np.int8]
    window: Window | None
    factor: int
    zero_point: int
    limits: NDArray[np.int32] | None
    step: np.float32
    scale: NDArray[np.float32] | None
    bias: NDArray[np.float32] | None
    clamp: tuple[float, float]


def fuse(network: Network) -> Network:
    """The network with merged operators."""
    for change in (_signs_first, _binary_signs, _integer_pixels, _integer_signs, _pixel_signs):
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


def _signs_first(network: Network) -> Network:
    """Takes signs before poolings and changes of shape in front of them, one at a time."""
    while True:
        changed = _sign_first(network)
        if changed is None:
            return network
        network = changed


def _sign_first(network: Network) -> Network | None:
    for position, operator in enumerate(network.operators):
        sign = _only_reader(network, operator.output)
        if not isinstance(sign, SignBits) or network.input_of(operator).dtype != "float32":
            continue
        source, target = network.input_of(operator), network.output_of(operator)
        if isinstance(operator, Pool):
            if operator.kind != "max" or operator.activation != "none":
                continue
        elif not isinstance(operator, Reshape) or not _keeps_words(source, target):
            continue
        # The value between them is from now on the bits in front.
        bits = Value(target.index, f"{source.name}/signs", source.shape, "bits")
        first = dataclasses.replace(sign, inputs=(source.index,), output=bits.index)
        common: dict[str, Any] = {
            "name": operator.name,
            "inputs": (bits.index,),
            "output": sign.output,
        }
        second: Operator = Reshape(**common, op="RESHAPE")
        if isinstance(operator, Pool):
            second = BinaryMaxPool(**common, op="LceBMaxPool2d", window=operator.window)
        operators = list(network.operators)
        operators[position] = first
        operators[operators.index(sign)] = second
        return _changed(network, operators, bits)
    return None


def _keeps_words(source: Value, target: Value) -> bool:
    """Whether bits of one shape lie in memory as those of the other."""
    return source.shape[-1] == target.shape[-1] or (
        source.shape[-1] % WORD_BITS == 0 and target.shape[-1] % WORD_BITS == 0
    )


def _binary_signs(network: Network) -> Network:
    operators = list(network.operators)
    changed: list[Value] = []
    for position, operator in enumerate(operators):
        if not isinstance(operator, BinaryConv) or operator.multiplier is None:
            continue
        target = network.output_of(operator)
        sign = _only_reader(network, target.index)
        if not isinstance(sign, SignBits) or target.dtype != "float32":
            continue
        weights, thresholds = _thresholds(operator)
        operators[position] = dataclasses.replace(
            operator,
            weights=weights,
            multiplier=None,
            bias=None,
            thresholds=thresholds,
            output=sign.output,
        )
        changed.append(network.output_of(sign))
    kept = [o for o in operators if not (isinstance(o, SignBits) and _is_orphan(o, operators))]
    return _changed(network, kept, *changed)


def _is_orphan(sign: SignBits, operators: list[Operator]) -> bool:
    """Whether another operator computes a sign's output already."""
    return any(o is not sign and o.output == sign.output for o in operators)


def _thresholds(layer: BinaryConv) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Weights and thresholds with which a bit is 1 where (K − s)/2 is above the threshold.

    LCE computes `fl(fl(clamp(t))·fl(−m) + fl(b + K·m))` of t = K − s, which falls with t where m is
    above zero. Where it is below, all weights change their sign, and t becomes 2K − t. Thresholds
    are halves of t, and not whole where zeros are padded.
    """
    assert layer.multiplier is not None  # noqa: S101 (the caller looked)
    assert layer.bias is not None  # noqa: S101
    outputs = len(layer.weights)
    products = int(np.prod(layer.weights.shape[1:]))
    multiplier = layer.multiplier.astype(np.float64)
    factor = (-multiplier).astype(np.float32)
    offset = (layer.bias + products * multiplier).astype(np.float32)
    flips = multiplier < 0
    low, high = ACTIVATION_RANGES[layer.activation]
    least, most = max(products - high, 0), min(products - low, 2 * products)

    def positive(t: NDArray[np.int64]) -> NDArray[np.bool_]:
        own = np.where(flips, 2 * products - t, t)
        return np.clip(own, least, most).astype(np.float32) * factor + offset >= 0

    first = _first_false(positive, np.zeros(outputs, np.int64), np.full(outputs, 2 * products + 1))
    weights = np.where(flips[:, np.newaxis, np.newaxis, np.newaxis], -layer.weights, layer.weights)
    return weights.astype(np.int8), (first - 1) / 2


def _integer_pixels(network: Network) -> Network:
    operators = list(network.operators)
    for position, operator in enumerate(operators):
        if not isinstance(operator, Conv | Dense) or not operator.is_binary:
            continue
        if network.output_of(operator).dtype != "float32" or getattr(operator, "groups", 1) != 1:
            continue
        source = _eight_bits(network, operator.inputs[0])
        if source is None:
            continue
        weights = operator.weights.astype(np.int8)
        operators[position] = PixelLayer(
            name=operator.name,
            op=operator.op,
            inputs=(source.value.index,),
            output=operator.output,
            weights=weights.reshape(len(weights), 1, 1, -1) if weights.ndim == 2 else weights,
            window=operator.window if isinstance(operator, Conv) else None,
            factor=source.factor,
            zero_point=source.zero_point,
            limits=None,
            step=source.step,
            scale=operator.scale,
            bias=operator.bias,
            clamp=ACTIVATION_RANGES[operator.activation],
        )
    return _changed(network, operators)


def _eight_bits(network: Network, index: int) -> Integers | None:
    """The 8-bit numbers that a float value is made of, through changes of shape."""
    shape = network.values[index].shape
    producer = network.producer(index)
    while isinstance(producer, Reshape):
        index = producer.inputs[0]
        producer = network.producer(index)
    if not isinstance(producer, Rescale | PixelNumbers):
        return None
    source = network.input_of(producer)
    if source.shape != shape and len(shape) != 2:  # a dense layer does not ask for the shape
        return None
    if isinstance(producer, PixelNumbers):
        return integers_of(producer, source)
    if source.dtype not in ("int8", "uint8") or source.quantization is None:
        return None
    zero_point = int(source.quantization.zero_point[0])
    return Integers(source, 1, zero_point, source.quantization.scale[0])


def _integer_signs(network: Network) -> Network:
    operators = list(network.operators)
    changed: list[Value] = []
    for position, operator in enumerate(operators):
        if not isinstance(operator, PixelLayer):
            continue
        target = network.output_of(operator)
        sign = _only_reader(network, target.index)
        if not isinstance(sign, SignBits):
            continue
        weights, limits = _limits(operator)
        operators[position] = dataclasses.replace(
            operator, weights=weights, limits=limits, output=sign.output
        )
        changed.append(network.output_of(sign))
    kept = [o for o in operators if not (isinstance(o, SignBits) and _is_orphan(o, operators))]
    return _changed(network, kept, *changed)


def _limits(layer: PixelLayer) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Weights and limits with which a bit is 1 where S > limit.

    Where the scale is not below zero, the float rises with S: the weights, and so S, change their
    sign there.
    """
    outputs = len(layer.weights)
    scale = np.ones(outputs, np.float32) if layer.scale is None else layer.scale
    bias = np.zeros(outputs, np.float32) if layer.bias is None else layer.bias
    flips = scale >= 0
    most = _MOST * int(np.prod(layer.weights.shape[1:]))

    def positive(sums: NDArray[np.int64]) -> NDArray[np.bool_]:
        floats = (np.where(flips, -sums, sums) * float(layer.step)).astype(np.float32)
        values = floats * scale + bias
        return np.clip(values, *layer.clamp) >= 0

    limits = _first_false(positive, np.full(outputs, -most), np.full(outputs, most + 1)) - 1
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


def _pixel_signs(network: Network) -> Network:
    """Takes the signs of pixels by a comparison of the pixels themselves."""
    operators = list(network.operators)
    for position, operator in enumerate(operators):
        if not isinstance(operator, SignBits):
            continue
        producer = network.producer(operator.inputs[0])
        if not isinstance(producer, PixelNumbers):
            continue
        source = network.input_of(producer)
        threshold = sign_threshold(producer, source)
        if threshold is not None:
            operators[position] = PixelSigns(
                name=operator.name,
                op=operator.op,
                inputs=(source.index,),
                output=operator.output,
                threshold=threshold,
            )
    return _changed(network, operators)


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
