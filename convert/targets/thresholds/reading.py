"""A file's network → its threshold network, or why there is none."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.targets.network import (
    BinaryConv,
    BinaryMaxPool,
    Conv,
    Dense,
    Elementwise,
    Network,
    Operator,
    Pad,
    Pool,
    Prelu,
    Reshape,
    SignBits,
    SignValues,
    Unary,
    Window,
)
from convert.targets.refusals import refusal, require_images
from convert.targets.thresholds.float_steps import (
    clamp_steps,
    each_channel,
    float_steps,
    folded_bias,
    signs_and_scales,
)
from convert.targets.thresholds.limits import limited, with_thresholds
from convert.targets.thresholds.network import (
    FloatStep,
    InputGrid,
    InputSigns,
    Layer,
    MaxPool,
    PadValue,
    Shape,
    Stage,
    ThresholdNetwork,
)

_ONE_TAP = Window((1, 1), (1, 1))


def threshold_network(network: Network, grid: InputGrid | None = None) -> ThresholdNetwork:
    """The chain of a converted file.

    Raises:
        ConversionError: An operator is not a step of such a network; it names the way out.
    """
    return _Walk(network, grid or InputGrid()).result()


def refused_operators(network: Network) -> dict[int, ConversionError]:
    """The reasons why a network is not a threshold network: operators' outputs → errors."""
    walk = _Walk(network, InputGrid())
    walk.go()
    return walk.refused


Form = Literal["integers", "bits", "signs", "sums"]
"""The value at hand: the input, packed signs, ±1.0, or a layer's sums in floats."""


class _Walk:
    """Goes along the operators and collects stages."""

    def __init__(self, network: Network, grid: InputGrid) -> None:
        self.network, self.grid = network, grid
        self.stages: list[Stage] = []
        self.form: Form = "integers"
        self.pending: Layer | None = None
        self.steps: list[FloatStep] = []
        self.pool: MaxPool | None = None
        self.border: tuple[tuple[tuple[int, int], ...], float] | None = None
        self.refused: dict[int, ConversionError] = {}
        self.is_lost = False

    def result(self) -> ThresholdNetwork:
        network = self.network
        require_images(network)
        if len(network.inputs) != 1 or len(network.outputs) != 1 or not network.operators:
            first = network.operators[0] if network.operators else None
            raise refusal(first, "the network needs one input and one output")
        self._check_input(network.operators[0])
        self.go()
        for error in self.refused.values():
            raise error
        current = network.operators[-1].output
        if current != network.outputs[0]:
            raise refusal(network.operators[-1], "its output is not the network's")
        self._finish()
        return ThresholdNetwork(
            network.input_names[0],
            network.values[network.inputs[0]].shape,
            network.output_names[0],
            network.values[current].shape,
            self.grid,
            tuple(self.stages),
            tuple(self.steps),
        )

    def go(self) -> None:
        """Takes every step that it can, and goes on behind the others at the next bits."""
        for operator in self.network.operators:
            try:
                self._check_chain(operator)
                if not self.is_lost:
                    self._step(operator)
            except ConversionError as error:
                self.refused[operator.output] = error
                self.is_lost = True
            if self.is_lost and self.network.output_of(operator).dtype == "bits":
                self.is_lost, self.form = False, "bits"
                self.pending, self.steps, self.pool, self.border = None, [], None, None

    def _check_input(self, first: Operator) -> None:
        value = self.network.values[self.network.inputs[0]]
        if value.dtype == "int8":
            raise _int8_refusal(first)
        if value.dtype != "float32" or value.shape[:1] != (1,):
            raise refusal(
                first,
                f"it reads {value.dtype} {list(value.shape)}, not a float image or vector",
                "export a network of one image or vector at a time",
            )

    def _check_chain(self, operator: Operator) -> None:
        computed = [i for i in operator.inputs if self.network.values[i].constant is None]
        if len(computed) != 1 or len(self.network.readers(computed[0])) > 1:
            raise refusal(
                operator,
                "it joins or splits branches, and only chains of layers become hardware",
                "use a network without shortcuts, gates or concatenations, such as zoo's cnv_w1a1",
            )

    def _step(self, operator: Operator) -> None:
        ends = (*operator.inputs, operator.output)
        if any(self.network.values[index].dtype == "int8" for index in ends):
            raise _int8_refusal(operator)
        match operator:
            case Reshape():
                pass
            case Pad():
                self._pad(operator)
            case SignBits():
                self._sign(operator)
            case SignValues():
                self._require(operator, "bits")
                self.form = "signs"
            case BinaryConv():
                self._require(operator, "bits")
                self._binary_conv(operator)
            case Conv() | Dense():
                self._filtered(operator)
            case BinaryMaxPool():
                self._require(operator, "bits")
                self._finish()
                self.stages.append(self._max_pool(operator))
            case Pool() if operator.kind == "max" and self.form == "sums":
                self._pool_sums(operator)
            case Elementwise() | Unary() | Prelu():
                self._require(operator, "sums")
                self.steps += float_steps(
                    self.network, operator, len(self._layer(operator).weights)
                )
            case _:
                raise refusal(operator, "it has no counterpart in a chain of ±1 layers")

    def _require(self, operator: Operator, form: Form) -> None:
        if self.form != form:
            raise refusal(operator, f"it reads {_WORDS[self.form]}, where {_WORDS[form]} can stand")

    def _pool_sums(self, operator: Pool) -> None:
        """Pools the signs instead: sign(max x) = max sign(x)."""
        index = self.network.operators.index(operator)
        behind = [o for o in self.network.operators[index + 1 :] if not isinstance(o, Reshape)]
        if not behind or not isinstance(behind[0], SignBits) or operator.activation != "none":
            raise refusal(
                operator,
                "it pools real numbers",
                "put batch normalisation before the pooling and a sign straight behind it",
            )
        self.pool = self._max_pool(operator)

    def _max_pool(self, operator: BinaryMaxPool | Pool) -> MaxPool:
        before = self.pending or self.stages[-1]
        ends = _ends(self.network, operator) | {"name": f"{before.name}_pool"}
        return MaxPool(**ends, window=operator.window)

    def _layer(self, operator: Operator) -> Layer:
        """The layer whose sums are at hand."""
        if self.pending is None:
            raise refusal(operator, "it reads the output of no layer")
        return self.pending

    def _pad(self, operator: Pad) -> None:
        if self.form not in ("integers", "signs") or self.border is not None:
            raise refusal(operator, f"it pads {_WORDS[self.form]}")
        rows = operator.pads
        if len(rows) != 4 or rows[0] != (0, 0) or rows[3] != (0, 0):
            raise refusal(operator, "it pads something else than rows and columns")
        allowed = (0.0,) if self.form == "integers" else (-1.0, 1.0)
        if operator.value not in allowed:
            raise refusal(
                operator,
                f"it pads {_WORDS[self.form]} with {operator.value:g}",
                f"pad with {' or '.join(f'{value:g}' for value in allowed)}",
            )
        self.border = (rows[1:3], operator.value)

    def _sign(self, operator: SignBits) -> None:
        if self.border is not None:
            raise refusal(operator, "the sign of a padded image is not a step of the chain")
        if self.form == "integers":
            shape = _image_shape(self.network.output_of(operator).shape)
            self.stages.append(InputSigns(name="input", input_shape=shape, output_shape=shape))
        elif self.form == "sums":
            layer = self._layer(operator)
            self.stages.append(with_thresholds(operator, layer, self.steps, self.grid))
            self.pending, self.steps = None, []
            if self.pool is not None:
                self.stages.append(self.pool)
                self.pool = None
        self.form = "bits"

    def _binary_conv(self, operator: BinaryConv) -> None:
        if operator.groups != 1:
            raise refusal(operator, f"it has {operator.groups} groups", "use groups=1")
        padded = operator.window.is_padded
        if padded and operator.pad_value == 0:
            raise refusal(
                operator,
                "it pads ±1 with zeros, which are not bits",
                'train with pad_values=1 or padding="valid"',
            )
        layer = Layer(
            **_ends(self.network, operator),
            weights=operator.weights,
            window=operator.window,
            pad_value=1 if padded else 0,
            reads="bits",
            thresholds=None,
        )
        if operator.thresholds is not None:
            # A bit is 1 (negative) where (K − s)/2 > t, so +1 where s ≥ K − 2t.
            limits = layer.fan_in - 2 * operator.thresholds.astype(np.int64)
            self.stages.append(dataclasses.replace(layer, thresholds=limited(layer, limits, 1)))
            self.form = "bits"
            return
        if operator.multiplier is None or operator.bias is None:
            raise refusal(operator, "it has neither thresholds nor a scale")
        self._sums(layer)
        self._clamp(operator.activation)
        self._affine(layer.fan_in, operator.multiplier, operator.bias)

    def _filtered(self, operator: Conv | Dense) -> None:
        if self.form not in ("integers", "signs"):
            raise refusal(operator, f"it reads {_WORDS[self.form]}")
        weights, scales = signs_and_scales(operator)
        if isinstance(operator, Conv) and operator.groups != 1:
            raise refusal(operator, f"it has {operator.groups} groups", "use groups=1")
        reads: Literal["bits", "integers"] = "bits" if self.form == "signs" else "integers"
        window = operator.window if isinstance(operator, Conv) else _ONE_TAP
        pad_value: PadValue = 0
        if window.is_padded and reads == "bits":
            raise refusal(
                operator,
                "it pads ±1 with zeros, which are not bits",
                'train with pad_values=1 or padding="valid"',
            )
        ends = _ends(self.network, operator)
        if self.border is not None:
            if window.is_padded or not isinstance(operator, Conv):
                raise refusal(operator, "it pads a padded image")
            pads, value = self.border
            window = dataclasses.replace(window, pads=(pads[0], pads[1]))
            height, width, channels = ends["input_shape"]
            ends["input_shape"] = (height - sum(pads[0]), width - sum(pads[1]), channels)
            pad_value = int(value)  # type: ignore[assignment]
            self.border = None
        if isinstance(operator, Dense):
            weights = weights[:, np.newaxis, np.newaxis]
            ends |= {"input_shape": (1, 1, weights.shape[-1]), "output_shape": (1, 1, len(weights))}
        self._sums(
            Layer(
                **ends,
                weights=weights,
                window=window,
                pad_value=pad_value,
                reads=reads,
                thresholds=None,
            )
        )
        if reads == "integers":
            self.steps.append(FloatStep("mul", each_channel(self.grid.scale, len(weights))))
        for factors in (scales, operator.scale):
            if factors is not None:
                self.steps.append(FloatStep("mul", factors.astype(np.float32)))
        if operator.bias is not None:
            self.steps.append(FloatStep("add", operator.bias.astype(np.float32)))
        self._clamp(operator.activation)

    def _sums(self, layer: Layer) -> None:
        self._finish()
        self.pending, self.steps, self.form = layer, [], "sums"

    def _affine(
        self, fan_in: int, multiplier: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> None:
        """LCE's scaling: where K − s = 2a, it computes 2a·(−m) + (K·m + b)."""
        if (multiplier == 1).all() and not bias.any():
            return
        fan_ins = each_channel(fan_in, len(multiplier))
        self.steps += [
            FloatStep("sub", fan_ins),
            FloatStep("mul", multiplier),
            FloatStep("add", folded_bias(fan_in, multiplier, bias)),
        ]

    def _clamp(self, activation: str) -> None:
        self.steps += clamp_steps(activation)

    def _finish(self) -> None:
        """Takes the layer whose sums are the output as it is."""
        if self.pending is not None:
            self.stages.append(self.pending)
            self.pending = None


def _int8_refusal(operator: Operator) -> ConversionError:
    return refusal(
        operator,
        "it computes in int8, and hardware here has layers of ±1 weights only",
        "give layers of real weights a kernel_quantizer and convert without --int8; "
        "--to qonnx --for generic and --to qcdq take int8 layers",
    )


_WORDS = {
    "integers": "the network's real inputs",
    "bits": "bits",
    "signs": "±1",
    "sums": "real numbers of a layer without a sign behind it",
}


def _ends(network: Network, operator: Operator) -> dict[str, Any]:
    return {
        "name": operator.name,
        "input_shape": _image_shape(network.input_of(operator).shape),
        "output_shape": _image_shape(network.output_of(operator).shape),
    }


def _image_shape(shape: Sequence[int]) -> Shape:
    """`[1, H, W, C]` as `[H, W, C]`; anything else as one pixel."""
    if len(shape) == 4:
        return (shape[1], shape[2], shape[3])
    return (1, 1, math.prod(shape[1:]))
