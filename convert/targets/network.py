"""The network of a converted file, as what every target reads: operators, shapes and ±1 weights.

A `.tflite` file stores packed words, options of four kinds, filters behind unpacking operators and
numbers that belong to a layer in operators behind it. A `Network` has all of that resolved, with
NumPy only: each operator is a dataclass with its window, its weights as ±1, int8 or float32, its
scales, biases or thresholds, and each value has its true number of channels.

    network = read_network(content, "model.tflite")
    for operator in network.operators:
        match operator:
            case BinaryConv(): …
            case Other(): refuse(operator)

What a target cannot express it refuses by the operator's `name`, which is the layer's in an audit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

DType = Literal["float32", "int8", "uint8", "int16", "int32", "int64", "bool", "bits"]
Activation = Literal["none", "relu", "relu_n1_to_1", "relu6"]

ACTIVATION_RANGES: Mapping[Activation, tuple[float, float]] = {
    "none": (-np.inf, np.inf),
    "relu": (0.0, np.inf),
    "relu_n1_to_1": (-1.0, 1.0),
    "relu6": (0.0, 6.0),
}
"""The ranges that fused activations clamp to."""


@dataclass(frozen=True)
class Quantization:
    """Integers q that stand for `scale·(q − zero_point)`.

    Attributes:
        scale: float32 `[1]`, or one per slice along `axis`.
        zero_point: int64, as long as `scale`.
        axis: The dimension of the slices; 0 where there is one scale.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int = 0


@dataclass(frozen=True)
class Value:
    """A tensor that operators read or write.

    Attributes:
        index: Its number in the network.
        name: The tensor's name in the file.
        shape: Its shape; that of bits counts channels, not words.
        dtype: Its type; `bits` are signs, 1 for −1, least significant first along the last
            dimension, the words' unused high bits 0.
        quantization: What its integers stand for.
        constant: Its value where the file has it or it follows from the file alone.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: DType
    quantization: Quantization | None = None
    constant: NDArray[Any] | None = None


@dataclass(frozen=True)
class Window:
    """A window that moves over the rows and columns of `[N, H, W, C]`; pairs are (rows, columns).

    Attributes:
        size: Its extent in taps.
        strides: The steps between windows.
        dilations: The steps between taps.
        pads: Rows or columns of padding: ((top, bottom), (left, right)).
    """

    size: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int] = (1, 1)
    pads: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))

    @property
    def is_padded(self) -> bool:
        """Whether any window reaches beyond the image."""
        return any(count > 0 for pair in self.pads for count in pair)


@dataclass(frozen=True, kw_only=True)
class Operator:
    """An operator.

    Attributes:
        name: The layer that it is or belongs to, as an audit calls it.
        op: The operator's name in the file, such as `CONV_2D`.
        inputs: The values that it computes with, weights and options excluded.
        output: The value that it computes.
    """

    name: str
    op: str
    inputs: tuple[int, ...]
    output: int


@dataclass(frozen=True, kw_only=True)
class SignBits(Operator):
    """LceQuantize: x → bits; 1 where a float is below zero or an int8 below its zero point."""


@dataclass(frozen=True, kw_only=True)
class SignValues(Operator):
    """LceDequantize: bits → ±1.0, `zero_point ± round(1/scale)`, or true for +1."""


@dataclass(frozen=True, kw_only=True)
class BinaryConv(Operator):
    """LceBconv2d: the convolution of ±1 with ±1, a dense layer too where the window is 1×1.

    With the integer sum `s = Σ a·w` over the taps, its output is
    `multiplier·activation(s) + bias` as float32, that divided by the output's scale plus its zero
    point, rounded half away from zero and saturated, as int8, or a bit that is 1 where
    `(K − s)/2 > threshold` with K = KH·KW·I.

    Attributes:
        weights: int8 ±1 `[O, KH, KW, I]`, I being the channels of a group.
        window: Where it computes.
        pad_value: What stands outside the image: +1, or 0 for taps that count nothing. Always
            +1 where nothing is padded.
        groups: In how many parts channels are divided.
        activation: A clamp of the integer sum.
        multiplier: float32 `[O]`; None for bits.
        bias: float32 `[O]`; None for bits.
        thresholds: int32 `[O]` for bits, or halves of integers in a target; None for others.
    """

    weights: NDArray[np.int8]
    window: Window
    pad_value: Literal[0, 1]
    groups: int
    activation: Activation
    multiplier: NDArray[np.float32] | None
    bias: NDArray[np.float32] | None
    thresholds: NDArray[Any] | None


@dataclass(frozen=True, kw_only=True)
class BinaryMaxPool(Operator):
    """LceBMaxPool2d: the maximum of ±1; a bit is 1 where all in the window are. Pads count not."""

    window: Window


@dataclass(frozen=True, kw_only=True)
class Filtered(Operator):
    """An operator with real inputs and a filter; its output is `act((Σ x·w)·scale + bias)`.

    Attributes:
        weights: float32 or int8, with +1 and −1 only where `is_binary`.
        is_binary: Whether the file has them as bits (float32 files: ±1.0 here).
        weight_quantization: What int8 weights stand for, per output channel or for all.
        scale: float32 `[O]` that the sum is multiplied by, in a rounding of its own; None for 1.
        bias: float32 `[O]`, or int32 `[O]` in steps of input scale × weight scale.
        activation: The clamp at the end.
    """

    weights: NDArray[Any]
    is_binary: bool
    weight_quantization: Quantization | None
    scale: NDArray[np.float32] | None
    bias: NDArray[Any] | None
    activation: Activation


@dataclass(frozen=True, kw_only=True)
class Conv(Filtered):
    """CONV_2D with weights `[O, KH, KW, I]`; taps outside the image count nothing.

    Attributes:
        window: Where it computes.
        groups: In how many parts channels are divided.
    """

    window: Window
    groups: int


@dataclass(frozen=True, kw_only=True)
class DepthwiseConv(Filtered):
    """DEPTHWISE_CONV_2D with weights `[KH, KW, O]`; output o reads input `o // multiplier`.

    Attributes:
        window: Where it computes.
        multiplier: Outputs per input channel.
    """

    window: Window
    multiplier: int


@dataclass(frozen=True, kw_only=True)
class Dense(Filtered):
    """FULLY_CONNECTED with weights `[O, I]`, on rows of I numbers, however the input is shaped."""


@dataclass(frozen=True, kw_only=True)
class Pool(Operator):
    """MAX_POOL_2D or AVERAGE_POOL_2D; averages are over the taps inside the image."""

    kind: Literal["max", "average"]
    window: Window
    activation: Activation


@dataclass(frozen=True, kw_only=True)
class Elementwise(Operator):
    """ADD, SUB, MUL, DIV, MAXIMUM or MINIMUM (`op`) of two values that broadcast."""

    activation: Activation


@dataclass(frozen=True, kw_only=True)
class Unary(Operator):
    """RELU, RELU6, RELU_N1_TO_1, LOGISTIC, TANH, HARD_SWISH, LEAKY_RELU and their like (`op`).

    Attributes:
        alpha: The slope below zero of LEAKY_RELU.
    """

    alpha: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Prelu(Operator):
    """PRELU: x where x ≥ 0, else `alpha·x`.

    Attributes:
        alpha: Broadcasts to the input.
        alpha_quantization: What int8 slopes stand for.
    """

    alpha: NDArray[Any]
    alpha_quantization: Quantization | None


@dataclass(frozen=True, kw_only=True)
class Concat(Operator):
    """CONCATENATION along `axis` (never negative)."""

    axis: int
    activation: Activation


@dataclass(frozen=True, kw_only=True)
class Pad(Operator):
    """PAD or PADV2.

    Attributes:
        pads: (before, after) per dimension.
        value: The number that is put there, as the value's type stores it.
    """

    pads: tuple[tuple[int, int], ...]
    value: float


@dataclass(frozen=True, kw_only=True)
class Reshape(Operator):
    """RESHAPE, SQUEEZE or EXPAND_DIMS: the same numbers under the output's shape."""


@dataclass(frozen=True, kw_only=True)
class Softmax(Operator):
    """SOFTMAX along the last dimension: `exp(beta·x)`, normalised."""

    beta: float


@dataclass(frozen=True, kw_only=True)
class Mean(Operator):
    """MEAN over `axes` (never negative)."""

    axes: tuple[int, ...]
    keep_dims: bool


@dataclass(frozen=True, kw_only=True)
class Rescale(Operator):
    """QUANTIZE or DEQUANTIZE: a number in the output's type and scale."""


@dataclass(frozen=True, kw_only=True)
class Other(Operator):
    """An operator that no target knows.

    Attributes:
        options: Its options in the file by name.
    """

    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """A network: values, and operators in execution order.

    Attributes:
        values: By their index; those that no operator reads any more are left out.
        operators: In execution order.
        inputs: What the caller gives, in the file's order.
        outputs: What the caller gets, in the file's order.
        input_names: Of the file's signature.
        output_names: Of the file's signature.
    """

    values: Mapping[int, Value]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]

    def input_of(self, operator: Operator) -> Value:
        """The first value that an operator reads."""
        return self.values[operator.inputs[0]]

    def output_of(self, operator: Operator) -> Value:
        """The value that an operator computes."""
        return self.values[operator.output]

    def readers(self, index: int) -> list[Operator]:
        """The operators that read a value."""
        return [operator for operator in self.operators if index in operator.inputs]

    def producer(self, index: int) -> Operator | None:
        """The operator that computes a value; None for inputs and constants."""
        return next((o for o in self.operators if o.output == index), None)
