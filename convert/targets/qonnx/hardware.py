"""QONNX for hardware: a threshold chain as FINN and as hls4ml read it.

Both get float32 tensors, static shapes and batch 1. Each layer is MatMul or Conv with ±1 weights,
then a BatchNormalization that subtracts the threshold, then BipolarQuant. A threshold t stands
halfway between sums, at t − 1/2, so that no rounding of a tool meets a tie.

| | FINN | hls4ml |
|---|---|---|
| weights | BipolarQuant | Quant, signed, narrow, 2 bits: with BipolarQuant hls4ml 1.3.0 quantises
  them twice and all become +1 |
| convolutions | NCHW, ONNX's own operators | NHWC, `qonnx.custom_op.channels_last` |
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.targets.qonnx.onnx_writer import CHANNELS_LAST, OnnxWriter
from convert.targets.qonnx.quantizers import Bipolar, NarrowWeights, Quantizers, quant
from convert.targets.refusals import refusal
from convert.targets.thresholds.network import (
    InputSigns,
    Layer,
    MaxPool,
    Shape,
    Stage,
    ThresholdNetwork,
)


@dataclass(frozen=True)
class Dialect:
    """How a tool wants to read the chain.

    Attributes:
        name: The tool.
        quantizers: How ±1 is written.
        channels_last: Whether images are NHWC.
    """

    name: str
    quantizers: Quantizers
    channels_last: bool


FINN = Dialect("finn", Bipolar(), channels_last=False)
HLS4ML = Dialect("hls4ml", NarrowWeights(), channels_last=True)


def write_chain(
    network: ThresholdNetwork, dialect: Dialect, writer: OnnxWriter, *, integer_input: bool = False
) -> tuple[str, str]:
    """Writes the chain and returns the names of its input and its output.

    A network that begins with a dense layer reads vectors `[1, D]`: the numbers of its image in the
    file's order.

    Args:
        network: The chain.
        dialect: The tool's.
        writer: Where it is written.
        integer_input: Whether the input holds the integers themselves (annotated as `INT8` and so
            on) instead of floats that a Quant rounds to them.

    Raises:
        ConversionError: The tool would compute something else.
    """
    for error in refused_stages(network).values():
        raise error
    return _Chain(with_negative_padding(network), dialect, writer, integer_input).write()


def refused_stages(network: ThresholdNetwork) -> dict[str, ConversionError]:
    """Stages that a tool would compute wrongly, by their names."""
    refused = {}
    for index, stage in enumerate(network.stages):
        if isinstance(stage, MaxPool) and (
            stage.window.size != stage.window.strides or stage.window.is_padded
        ):
            refused[stage.name] = refusal(
                stage.name,
                "it pools windows that overlap or reach over the border",
                "use a pooling whose strides equal its size, without padding",
            )
        if not _pads_with_one(stage):
            continue
        before = network.stages[index - 1] if index else None
        if not isinstance(before, Layer):
            refused[stage.name] = refusal(
                stage.name,
                "it pads with +1 behind a pooling or the input; hardware pads bits with -1, and "
                "only a layer's own bits can be negated",
                'use padding="valid" there, as zoo\'s cnv_w1a1 does',
            )
    return refused


def with_negative_padding(network: ThresholdNetwork) -> ThresholdNetwork:
    """The same network with −1 outside images, which is what a zero means in hardware's bits.

    A layer that pads with +1 gets the negated bits and negated weights, whose products are the
    same: the layer before it turns its sums and thresholds round. Nothing of `refused_stages` may
    be in the network.
    """
    stages = list(network.stages)
    for index, stage in enumerate(stages):
        if not isinstance(stage, Layer) or not _pads_with_one(stage):
            continue
        before = stages[index - 1]
        if isinstance(before, Layer) and before.thresholds is not None:
            # −1 where s ≥ t is +1 where −s ≥ 1 − t.
            limits = 1 - before.thresholds
            stages[index - 1] = dataclasses.replace(
                before, weights=-before.weights, thresholds=limits
            )
            stages[index] = dataclasses.replace(stage, weights=-stage.weights, pad_value=-1)
    return dataclasses.replace(network, stages=tuple(stages))


def _pads_with_one(stage: Stage) -> bool:
    return isinstance(stage, Layer) and stage.window.is_padded and stage.pad_value == 1


class _Chain:
    """Writes stage by stage."""

    def __init__(
        self,
        network: ThresholdNetwork,
        dialect: Dialect,
        writer: OnnxWriter,
        integer_input: bool,
    ) -> None:
        self.network, self.dialect, self.writer = network, dialect, writer
        self.integer_input = integer_input
        self.last: Shape = network.stages[0].input_shape
        self.is_flat = self.last[:2] == (1, 1)
        self.tensor = ""

    def write(self) -> tuple[str, str]:
        network = self.network
        source = self._input()
        for stage in network.stages:
            self._write(stage)
        steps = network.float_steps
        if network.layers[-1].reads == "integers" and not self.integer_input:
            steps = steps[1:]  # the sums are of floats already
        for step in steps:
            self._float_step(step.op, step.operand)
        return source, self.tensor

    def _input(self) -> str:
        name, grid = self.network.input_name, self.network.grid
        shape = self._shape(self.last)
        if self.integer_input:
            self.tensor = self.writer.input(name, shape, f"INT{grid.bits}")
            return self.tensor
        source = self.writer.input(name, shape)
        self.tensor = quant(
            self.writer, source, f"{name}_quant", shape, scale=grid.scale, bits=grid.bits
        )
        return source

    def _write(self, stage: Stage) -> None:
        if stage.input_shape != self.last and not (isinstance(stage, Layer) and stage.is_dense):
            raise refusal(
                stage.name,
                f"the image before it is reshaped from {list(self.last)} to "
                f"{list(stage.input_shape)}",
            )
        match stage:
            case InputSigns():
                self.tensor = self._bits(stage)
            case MaxPool():
                self.tensor = self._node(
                    "MaxPool", [self.tensor], stage.name, stage.output_shape, **_window(stage)
                )
            case Layer():
                self._layer(stage)
        self.last = stage.output_shape

    def _layer(self, layer: Layer) -> None:
        name, weights = layer.name, layer.weights.astype(np.float32)
        if layer.is_dense:
            matrix = weights.reshape(len(weights), -1).T
            if not self.is_flat:
                self.is_flat = True
                self.tensor = self.writer.node(
                    "Flatten", [self.tensor], f"{name}_flatten", (1, len(matrix)), axis=1
                )
                if not self.dialect.channels_last:
                    matrix = _rows_by_channel(matrix, self.last)
            quantized = self.dialect.quantizers.weights(self.writer, name, matrix)
            self.tensor = self.writer.node(
                "MatMul", [self.tensor, quantized], name, self._shape(layer.output_shape)
            )
        else:
            order = (0, 1, 2, 3) if self.dialect.channels_last else (0, 3, 1, 2)
            quantized = self.dialect.quantizers.weights(self.writer, name, weights.transpose(order))
            self.tensor = self._node(
                "Conv",
                [self.tensor, quantized],
                name,
                layer.output_shape,
                dilations=layer.window.dilations,
                group=1,
                **_window(layer),
            )
        if layer.thresholds is not None:
            is_float = layer.reads == "integers" and not self.integer_input
            unit = self.network.grid.scale if is_float else 1.0
            self._subtract(f"{name}_threshold", (layer.thresholds - 0.5) * unit, layer)
            self.tensor = self._bits(layer)

    def _subtract(self, name: str, limits: NDArray[np.float64], layer: Layer) -> None:
        channels = len(limits)
        numbers = {
            "scale": np.ones(channels),
            "offset": -limits,
            "mean": np.zeros(channels),
            "variance": np.ones(channels),
        }
        constants = [self.writer.constant(f"{name}_{key}", v) for key, v in numbers.items()]
        self.tensor = self._node(
            "BatchNormalization",
            [self.tensor, *constants],
            name,
            layer.output_shape,
            epsilon=0.0,
        )

    def _bits(self, stage: Stage) -> str:
        shape = self._shape(stage.output_shape)
        return self.dialect.quantizers.sign(self.writer, self.tensor, f"{stage.name}_sign", shape)

    def _float_step(self, op: str, operand: NDArray[np.float32]) -> None:
        shape, output = self.writer.shapes[self.tensor], self.network.output_name
        if op == "clamp" and operand[0] == 0 and np.isinf(operand[1]):
            self.tensor = self.writer.node("Relu", [self.tensor], f"{output}_relu", shape)
            return
        if op == "clamp":
            limits = [self.writer.constant(f"{output}_limit_{v:g}", v) for v in operand]
            self.tensor = self.writer.node("Clip", [self.tensor, *limits], f"{output}_clip", shape)
            return
        values = operand[:1].reshape(()) if (operand == operand[0]).all() else operand
        kind = {"mul": "Mul", "add": "Add", "sub": "Sub", "prelu": "PRelu"}[op]
        constant = self.writer.constant(f"{output}_{op}_by", values)
        self.tensor = self.writer.node(kind, [self.tensor, constant], f"{output}_{op}", shape)

    def _node(self, op: str, inputs: list[str], name: str, shape: Shape, **attributes: Any) -> str:
        """An operator on images, in the dialect's layout."""
        full = self._shape(shape)
        domain = CHANNELS_LAST if self.dialect.channels_last and len(full) == 4 else ""
        return self.writer.node(op, inputs, name, full, domain, **attributes)

    def _shape(self, shape: Shape) -> tuple[int, ...]:
        """`[H, W, C]` in the dialect's layout, with the batch; a vector once it is flat."""
        height, width, channels = shape
        if self.is_flat:
            return (1, channels)
        return (1, *shape) if self.dialect.channels_last else (1, channels, height, width)


def _window(stage: Layer | MaxPool) -> dict[str, list[int]]:
    (top, bottom), (left, right) = stage.window.pads
    return {
        "kernel_shape": list(stage.window.size),
        "strides": list(stage.window.strides),
        "pads": [top, left, bottom, right],
    }


def _rows_by_channel(matrix: NDArray[np.float32], image: Shape) -> NDArray[np.float32]:
    """Rows in the order (H, W, C) of a flat image, put into the order (C, H, W)."""
    order = np.arange(len(matrix)).reshape(image).transpose(2, 0, 1).reshape(-1)
    return matrix[order]
