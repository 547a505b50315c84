"""Signs and ±1 weights in ONNX: QONNX's quantizers, or ONNX's own operators (QCDQ)."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from convert.targets.network import Quantization
from convert.targets.qonnx.onnx_writer import QONNX, OnnxWriter

Shape = tuple[int, ...]


class Quantizers(Protocol):
    """How signs and integers are written; each function returns the name of a float tensor."""

    def sign(self, writer: OnnxWriter, tensor: str, name: str, shape: Shape) -> str:
        """+1 where a computed tensor is at least 0, else −1."""

    def weights(self, writer: OnnxWriter, name: str, weights: NDArray[np.float32]) -> str:
        """Constant ±1 weights."""

    def integers(
        self, writer: OnnxWriter, tensor: str, name: str, shape: Shape, steps: Quantization
    ) -> str:
        """A computed tensor rounded to 8-bit integers: the real numbers that these stand for."""

    def int8_weights(
        self,
        writer: OnnxWriter,
        name: str,
        weights: NDArray[np.int8],
        scales: NDArray[np.float32],
        axis: int,
    ) -> str:
        """Constant 8-bit weights times their scales: one, or one per slice along the axis."""


def bipolar_quant(writer: OnnxWriter, tensor: str, name: str, shape: Shape) -> str:
    """+1 where the tensor is at least 0, else −1, as one QONNX operator."""
    scale = writer.constant(f"{name}_scale", 1.0)
    return writer.node("BipolarQuant", [tensor, scale], name, shape, QONNX)


def quant(
    writer: OnnxWriter,
    tensor: str,
    name: str,
    shape: Shape,
    *,
    scale: float | NDArray[np.float32],
    bits: int,
    zero_point: int = 0,
    narrow: bool = False,
) -> str:
    """Signed integers times a scale, rounded to the nearest, ties to even, and saturated.

    Args:
        writer: Where to write.
        tensor: What is rounded.
        name: Of the result.
        shape: Of both.
        scale: The step, or one for each slice, broadcast to the tensor.
        bits: Of the integers.
        zero_point: The integer that stands for 0.
        narrow: Whether the smallest integer is left out, so that 2 bits hold −1, 0 and 1.
    """
    return writer.node(
        "Quant",
        [
            tensor,
            writer.constant(f"{name}_scale", scale),
            writer.constant(f"{name}_zero_point", float(zero_point)),
            writer.constant(f"{name}_bits", float(bits)),
        ],
        name,
        shape,
        QONNX,
        signed=1,
        narrow=int(narrow),
        rounding_mode="ROUND",
    )


class Bipolar:
    """BipolarQuant for signs, as FINN and QONNX's own tools have it, and Quant for integers."""

    def sign(self, writer: OnnxWriter, tensor: str, name: str, shape: Shape) -> str:
        """One BipolarQuant."""
        return bipolar_quant(writer, tensor, name, shape)

    def weights(self, writer: OnnxWriter, name: str, weights: NDArray[np.float32]) -> str:
        """A float32 constant behind BipolarQuant."""
        stored = writer.constant(f"{name}_weights", weights)
        return bipolar_quant(writer, stored, f"{name}_weights_quant", weights.shape)

    def integers(
        self, writer: OnnxWriter, tensor: str, name: str, shape: Shape, steps: Quantization
    ) -> str:
        """One Quant of 8 bits.

        QONNX rounds x / scale + zero_point to even, others round x / scale. Where the zero point is
        odd, halves would go the other way, and 8-bit pixels are often halves: they are rounded
        before.
        """
        scale, zero_point = float(steps.scale[0]), int(steps.zero_point[0])
        if zero_point % 2:
            for kind in ("Div", "Round", "Mul"):
                label = f"{name}_{kind.lower()}"
                by = [] if kind == "Round" else [writer.constant(f"{label}_by", scale)]
                tensor = writer.node(kind, [tensor, *by], label, shape)
        return quant(writer, tensor, name, shape, scale=scale, bits=8, zero_point=zero_point)

    def int8_weights(
        self,
        writer: OnnxWriter,
        name: str,
        weights: NDArray[np.int8],
        scales: NDArray[np.float32],
        axis: int,
    ) -> str:
        """Real numbers behind a Quant of 8 bits, which gives the same ones."""
        column = [1] * weights.ndim
        column[axis] = -1
        steps = scales.reshape(column) if len(scales) > 1 else scales[0]
        stored = writer.constant(f"{name}_weights", weights * steps)
        return quant(
            writer,
            stored,
            f"{name}_weights_quant",
            weights.shape,
            scale=steps,
            bits=8,
            narrow=bool(weights.min() > -128),
        )


class NarrowWeights(Bipolar):
    """2-bit weights in {−1, 0, 1}, of which 0 is unused, for hls4ml.

    hls4ml 1.3.0 quantises BipolarQuant weights behind a fused normalisation twice, with which all
    become +1 from the second layer on.
    """

    def weights(self, writer: OnnxWriter, name: str, weights: NDArray[np.float32]) -> str:
        """A float32 constant behind a narrow Quant of 2 bits."""
        stored = writer.constant(f"{name}_weights", weights)
        return quant(
            writer, stored, f"{name}_weights_quant", weights.shape, scale=1.0, bits=2, narrow=True
        )


class Qcdq:
    """ONNX's own operators: QuantizeLinear, Clip and DequantizeLinear on int8.

    A sign has no operator there that gives +1 for 0, so a comparison chooses between ±1 first;
    the three operators then keep them as int8 where a runtime fuses them.
    """

    def sign(self, writer: OnnxWriter, tensor: str, name: str, shape: Shape) -> str:
        """GreaterOrEqual, Where, QuantizeLinear, Clip, DequantizeLinear."""
        zero = writer.constant(f"{name}_zero", 0.0)
        above = writer.node(
            "GreaterOrEqual", [tensor, zero], f"{name}_above", shape, dtype=np.bool_
        )
        signs = [writer.constant(f"{name}_{word}", value) for word, value in _LEVELS.items()]
        values = writer.node("Where", [above, *signs], f"{name}_values", shape)
        quantize, clip = f"{name}_quantize", f"{name}_clip"
        step = _step(writer, quantize)
        stored = writer.node("QuantizeLinear", [values, *step], quantize, shape, dtype=np.int8)
        limits = [writer.constant(f"{clip}_{v}", v, np.int8) for v in (-1, 1)]
        clipped = writer.node("Clip", [stored, *limits], clip, shape, dtype=np.int8)
        return writer.node("DequantizeLinear", [clipped, *_step(writer, name)], name, shape)

    def weights(self, writer: OnnxWriter, name: str, weights: NDArray[np.float32]) -> str:
        """An int8 constant behind DequantizeLinear."""
        stored = writer.constant(f"{name}_weights", weights, np.int8)
        result = f"{name}_weights_dequantize"
        return writer.node(
            "DequantizeLinear", [stored, *_step(writer, result)], result, weights.shape
        )

    def integers(
        self, writer: OnnxWriter, tensor: str, name: str, shape: Shape, steps: Quantization
    ) -> str:
        """QuantizeLinear and DequantizeLinear with the same scale and zero point."""
        scale, zero_point = steps.scale[0], int(steps.zero_point[0])
        quantize = f"{name}_quantize"
        step = _step(writer, quantize, scale, zero_point)
        stored = writer.node("QuantizeLinear", [tensor, *step], quantize, shape, dtype=np.int8)
        step = _step(writer, name, scale, zero_point)
        return writer.node("DequantizeLinear", [stored, *step], name, shape)

    def int8_weights(
        self,
        writer: OnnxWriter,
        name: str,
        weights: NDArray[np.int8],
        scales: NDArray[np.float32],
        axis: int,
    ) -> str:
        """An int8 constant behind DequantizeLinear."""
        stored = writer.constant(f"{name}_weights", weights, np.int8)
        result = f"{name}_weights_dequantize"
        step = _step(writer, result, scales[0] if len(scales) == 1 else scales)
        # ONNX ignores the axis where there is one scale.
        return writer.node("DequantizeLinear", [stored, *step], result, weights.shape, axis=axis)


_LEVELS = {"plus": 1.0, "minus": -1.0}


def _step(
    writer: OnnxWriter, name: str, scale: float | NDArray[np.float32] = 1.0, zero_point: int = 0
) -> list[str]:
    """The scale or scales, and the zero point of int8 for each."""
    return [
        writer.constant(f"{name}_scale", scale),
        writer.constant(f"{name}_zero_point", np.full(np.shape(scale), zero_point), np.int8),
    ]
