"""Elastic quantizers, whose scale and threshold are learned, and the weights' centred sign.

BiT: Robustly Binarized Multi-distilled Transformer, arXiv 2205.13016, section 3.2 and 3.3; the
scale's gradient follows Learned Step Size Quantization, arXiv 1902.08153.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit.keras import keras, lq, tf

SMALLEST_SCALE = 1e-5
"""A scale that training drives below counts as this one: zero would divide, negative would turn."""


def level_range(bits: int, signed: bool) -> tuple[int, int]:
    """The lowest and the highest level, in units of the scale; 1 signed bit has no level between.

    >>> level_range(1, True), level_range(1, False), level_range(2, True), level_range(2, False)
    ((-1, 1), (0, 1), (-2, 1), (0, 3))
    """
    if not signed:
        return 0, 2**bits - 1
    return (-1, 1) if bits == 1 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def elastic(
    x: tf.Tensor,
    scale: tf.Tensor,
    threshold: tf.Tensor,
    *,
    bits: int = 1,
    signed: bool = True,
    from_minimum: bool = False,
) -> tf.Tensor:
    """A few levels, a learned scale α apart, counted from a learned threshold β.

    With z = (x − β − m) / α and levels L to H (`level_range`), m = 0 unless `from_minimum`:

    Forward, one signed bit:    q(x) = α·sign(x − β), sign(±0) = +1
    Forward, one unsigned bit:  q(x) = α if x ≥ β + α/2, else 0
    Forward, more bits:         q(x) = α·clip(round(z), L, H) + m
    Gradient: ∂q/∂x = 1 if L ≤ z ≤ H, else 0
              ∂q/∂β = −∂q/∂x, summed over what shares a threshold
              ∂q/∂α = g·Σ s over what shares a scale, g = 1 / √(n·max(H, 1)) for n such elements,
                      with s = sign(z) for one signed bit, else L if z < L, H if z > H,
                      round(z) − z between

    One unsigned bit is α·clip(round(z), 0, 1) but for z = ½, which goes up, so that one sign(x − t)
    with t = β + α/2 decides.

    Args:
        x: Values of any shape.
        scale: α above 0, a scalar or of a shape that broadcasts to that of `x`.
        threshold: β, likewise.
        bits: Of a level.
        signed: Whether there are levels below the threshold; without, `x` should not be negative.
        from_minimum: With several unsigned bits, count levels from m, the least x − β of each
            sample (index of the first dimension), a constant to the gradient.
    """
    low, high = level_range(bits, signed)
    from_minimum = from_minimum and bits > 1 and not signed

    @tf.custom_gradient
    def call(x: tf.Tensor, scale: tf.Tensor, threshold: tf.Tensor) -> tuple[tf.Tensor, Any]:
        z, least = _position(x, scale, threshold, from_minimum)
        if bits == 1 and signed:
            levels = lq.math.sign(x - threshold)
        elif bits == 1:
            levels = (lq.math.sign(x - (threshold + scale / 2)) + 1.0) / 2.0
        else:
            levels = tf.clip_by_value(tf.round(z), low, high)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            inside = tf.cast((z >= low) & (z <= high), x.dtype)
            slopes = levels if bits == 1 and signed else levels - inside * z
            by_x = upstream * inside
            elements = tf.size(x) // tf.size(scale)
            g = tf.math.rsqrt(tf.cast(elements, x.dtype) * max(high, 1))
            by_scale = g * _sum_over_shared(upstream * slopes, scale.shape)
            return by_x, by_scale, -_sum_over_shared(by_x, threshold.shape)

        return levels * scale + least, gradient

    return call(x, scale, threshold)


def _position(
    x: tf.Tensor, scale: tf.Tensor, threshold: tf.Tensor, from_minimum: bool
) -> tuple[tf.Tensor, tf.Tensor | float]:
    """Numbers z = (x − β − m) / α, of the shape of `x`, and m, `[N, 1, …]` or 0."""
    shifted = x - threshold
    if not from_minimum:
        return shifted / scale, 0.0
    least = tf.reduce_min(shifted, list(range(1, shifted.shape.rank)), keepdims=True)
    return (shifted - least) / scale, least


def _sum_over_shared(x: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    """Sums a gradient over all elements that one of a parameter of `shape` was broadcast to."""
    new = x.shape.rank - shape.rank
    x = tf.reduce_sum(x, list(range(new)))
    ones = [axis for axis in range(shape.rank) if shape[axis] == 1]
    return tf.reduce_sum(x, ones, keepdims=True)


@keras.utils.register_keras_serializable(package="onebit")
class Elastic(lq.quantizers.Quantizer):
    """BiT's elastic quantizer of activations; `elastic` has the formulas.

    The scale α starts at 2·mean|x − β|/√max(H, 1) of the first training batch (signed) or
    4·mean|x − β|/√H (unsigned), as in the paper's code; untrained it is 1. The thresholds β start
    at 0. A scale below `SMALLEST_SCALE` counts as that and still has its gradient.

    With several unsigned bits the paper's code subtracts the batch's minimum and adds it back: else
    ReLU's zeros lose their gradient once their threshold is above 0. `from_minimum` takes each
    sample's minimum instead, so that no output depends on the rest of the batch, which a converted
    model does not see: attention probabilities of a text without padding have another minimum than
    a batch with it. With one bit nothing is subtracted.

    Args:
        bits: 1 for {−α, α} or {0, α}; more for the stages of a distillation.
        signed: False for non-negative inputs, such as probabilities and ReLU's outputs.
        per_channel: Whether each index of the last dimension has its own threshold.
        name: The layer's name.
        from_minimum: Whether several unsigned bits count from the sample's minimum.
        trained_threshold: Whether the thresholds are trained; else they stay 0.
        per_head: Whether each head of attention probabilities `[…, heads, S, S]` has its own scale
            and threshold.
        calibration: What takes the place of the factor 2 or 4 by which the first batch sets α.
    """

    def __init__(
        self,
        bits: int = 1,
        signed: bool = True,
        per_channel: bool = True,
        name: str | None = None,
        *,
        from_minimum: bool = False,
        trained_threshold: bool = True,
        per_head: bool = False,
        calibration: float | None = None,
    ):
        super().__init__(name=name)
        if bits < 1:
            raise ValueError(f"bits must be at least 1, not {bits}")
        if per_head and per_channel:
            raise ValueError("thresholds are either per head or per channel")
        self.per_head, self.calibration = per_head, calibration
        self.bits, self.signed, self.per_channel = bits, signed, per_channel
        self.from_minimum, self.trained_threshold = from_minimum, trained_threshold
        self.precision = bits

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates α `[]`, β `[C]` or `[]`, or both `[heads, 1, 1]`; and whether α has been set."""
        heads = [int(input_shape[-3]), 1, 1] if self.per_head else []
        channels = [int(input_shape[-1])] if self.per_channel else heads
        # Replicas that see parts of the first batch agree on the mean over it.
        self.scale = self.add_weight(
            "scale", heads, initializer="ones", aggregation=tf.VariableAggregation.MEAN
        )
        self.threshold = self.add_weight(
            "threshold", channels, initializer="zeros", trainable=self.trained_threshold
        )
        self.calibrated = self.add_weight(
            "calibrated",
            [],
            initializer="zeros",
            trainable=False,
            aggregation=tf.VariableAggregation.MEAN,
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool | tf.Tensor | None = None) -> tf.Tensor:
        """The levels times α, of the inputs' shape."""
        if training is None:
            training = keras.backend.learning_phase()
        if tf.is_tensor(training) or training:
            self._calibrate(inputs, tf.cast(training, tf.bool))
        # The bound passes the gradient on, so that a scale which fell below it can rise again.
        bound = tf.stop_gradient(self._bounded_scale)
        scale = bound + (self.scale - tf.stop_gradient(self.scale))
        return elastic(
            inputs,
            scale,
            self.threshold,
            bits=self.bits,
            signed=self.signed,
            from_minimum=self.from_minimum,
        )

    @property
    def _bounded_scale(self) -> tf.Tensor:
        return tf.maximum(self.scale, SMALLEST_SCALE)

    @property
    def step_range(self) -> tuple[int, int] | None:
        """The lowest and the highest level, L and H; None with one bit, a sign."""
        return None if self.bits == 1 else level_range(self.bits, self.signed)

    def steps(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(z, α) of inputs `[N, …]`: with several bits, the level is clip(round(z), L, H)."""
        from_minimum = self.from_minimum and not self.signed
        scale = self._bounded_scale
        return _position(x, scale, self.threshold, from_minimum)[0], scale

    def _calibrate(self, inputs: tf.Tensor, training: tf.Tensor) -> None:
        """Sets α by the first batch of a training."""
        high = max(level_range(self.bits, self.signed)[1], 1)
        factor = (self.calibration or (2 if self.signed else 4)) / math.sqrt(high)
        magnitude = tf.abs(inputs - self.threshold)
        shared = tf.cast(tf.size(magnitude) // tf.size(self.scale), magnitude.dtype)
        first = factor * _sum_over_shared(magnitude, self.scale.shape) / shared
        due = training & (self.calibrated < 0.5)
        self.scale.assign(tf.where(due, first, self.scale))
        self.calibrated.assign(tf.where(training, 1.0, self.calibrated))

    def two_levels(self) -> tuple[NDArray[np.float32], float, float] | None:
        """(t, low, high) with q(x) = high if x ≥ t, else low; None with more bits or per head.

        `t` is `[C]` or `[]`. Converters fold the levels into what stands around a sign.
        """
        if self.bits != 1 or self.per_head:
            return None
        scale = self._bounded_scale.numpy()
        if self.signed:
            return self.threshold.numpy(), -float(scale), float(scale)
        return self.threshold.numpy() + scale / np.float32(2), 0.0, float(scale)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal quantizer."""
        return {
            "name": self.name,
            "bits": self.bits,
            "signed": self.signed,
            "per_channel": self.per_channel,
            "from_minimum": self.from_minimum,
            "trained_threshold": self.trained_threshold,
            "per_head": self.per_head,
            "calibration": self.calibration,
        }


def centred_sign(w: tf.Tensor, *, per_row: bool = False) -> tf.Tensor:
    """Signs about the mean weight, times the mean magnitude.

    Forward: q(w) = m·sign(w − e), e = mean(w), m = mean|w| (of each row with `per_row`)
    Gradient: ∂q/∂w = 1
    """

    @tf.custom_gradient
    def call(w: tf.Tensor) -> tuple[tf.Tensor, Any]:
        axis = list(range(1, len(w.shape))) if per_row else None
        # In float64 the mean of equal magnitudes is that magnitude: ±m is quantized to itself.
        wide = tf.reduce_mean(tf.cast(tf.abs(w), tf.float64), axis, keepdims=True)
        signs = lq.math.sign(w - tf.reduce_mean(w))
        return signs * tf.cast(wide, w.dtype), lambda upstream: upstream

    return call(w)


@keras.utils.register_keras_serializable(package="onebit")
class CentredSign(lq.quantizers.Quantizer):
    """BiT's quantizer of weights; `centred_sign` has the formulas.

    BiT, arXiv 2205.13016, section 3.1 takes it from XNOR-Net, arXiv 1603.05279; as in the paper's
    code, a dense layer has one magnitude, an embedding one per row, and both one mean.

    Args:
        per_row: One magnitude for each index of the first dimension.
        name: The layer's name.
    """

    precision = 1

    def __init__(self, per_row: bool = False, name: str | None = None):
        super().__init__(name=name)
        self.per_row = per_row

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """±m of the weights' shape."""
        return centred_sign(tf.convert_to_tensor(inputs), per_row=self.per_row)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal quantizer."""
        return {"name": self.name, "per_row": self.per_row}
