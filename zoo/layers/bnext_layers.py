"""BNext's annealed sign of weights and learned mixing.

Join the High Accuracy Club on ImageNet with A Binary Neural Network Ticket, arXiv 2211.12933; the
formulas are those of the authors' program, https://github.com/hpi-xnor/BNext, `src/bnext.py`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from onebit.keras import keras, lq, tf


def annealed_sign(w: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
    """The sign, approached from a clipped line as the temperature falls.

    Forward: q(w) = clip(w / T, −1, 1) if T > 0, else sign(w); ±0 counts as +1
    Gradient: ∂q/∂w = 1

    Args:
        w: Latent weights of any shape.
        temperature: T, a scalar.
    """

    @tf.custom_gradient
    def call(w: tf.Tensor) -> tuple[tf.Tensor, Any]:
        t = tf.cast(temperature, w.dtype)
        line = tf.clip_by_value(tf.math.divide_no_nan(w, t), -1.0, 1.0)
        return tf.where(t > 0, line, lq.math.sign(w)), lambda upstream: upstream

    return call(w)


@keras.utils.register_keras_serializable(package="onebit")
class AnnealedSign(lq.quantizers.Quantizer):
    """BNext's binary weights: signs that a training approaches by a falling temperature.

    Forward: q(w) = clip(w / T, −1, 1) if T > 0, else sign(w); ±0 counts as +1
    Gradient: ∂q/∂w = 1; clip the weights, to ±1.5 in BNext

    arXiv 2211.12933; `HardBinaryConv` of the authors' program. `annealed_sign` is the function.

    T is 0 unless a training sets it (`set_temperature`): whatever is built, loaded or converted has
    signs. A recipe gives it for an epoch (`Recipe.temperature`), and so it is neither a weight of
    the model nor in a checkpoint.
    """

    precision = 1

    def __init__(self, name: str | None = None):
        super().__init__(name=name)
        # Layers may be made while a function is traced; the variable must outlive the trace. Keras
        # takes a variable that is an attribute for a weight.
        with tf.init_scope():
            self._state = SimpleNamespace(temperature=tf.Variable(0.0, trainable=False))

    @property
    def temperature(self) -> tf.Variable:
        """T, a scalar of at least 0."""
        return self._state.temperature

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """±1 of the inputs' shape, or values between while a training anneals."""
        return annealed_sign(tf.convert_to_tensor(inputs), self.temperature)


def set_temperature(model: keras.Model, temperature: float) -> None:
    """Gives every `AnnealedSign` of a model that temperature."""
    for layer in model.submodules:
        if isinstance(layer, AnnealedSign):
            layer.temperature.assign(temperature)


@keras.utils.register_keras_serializable(package="onebit")
class UnitInterval(keras.constraints.Constraint):
    """Clips weights to [0, 1]."""

    def __call__(self, w: tf.Tensor) -> tf.Tensor:
        """The clipped weights."""
        return tf.clip_by_value(w, 0.0, 1.0)


@keras.utils.register_keras_serializable(package="onebit")
class LearnedMix(keras.layers.Layer):
    """Mixes two tensors in a learned proportion per channel.

    f(x, y) = s·x + (1 − s)·y, two `[…, C]` → `[…, C]`; s, `[C]`, starts at ½ and is kept in [0, 1].

    BNext's information recoupling mixes a convolution's input and output so, to decide by both how
    much of each channel passes.
    """

    def build(self, input_shape: list[tf.TensorShape]) -> None:
        """Makes s for inputs `[…, C]`."""
        self.share = self.add_weight(
            "share",
            shape=[input_shape[0][-1]],
            initializer=keras.initializers.Constant(0.5),
            constraint=UnitInterval(),
        )
        super().build(input_shape)

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """The mixture, of one input's shape."""
        x, y = inputs
        return self.share * x + (1.0 - self.share) * y
