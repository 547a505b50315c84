"""ReActNet's sign and PReLU with learned thresholds and offsets per channel.

ReActNet: Towards Precise Binary Neural Network with Generalized Activation Functions,
arXiv 2003.03488, section 4.
"""

from typing import Any

from onebit.keras import keras, lq, tf


def rsign(x: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """±1 by a threshold α per channel.

    Forward: q(x) = −1 if x < α, else +1
    Gradient: ∂q/∂x = 2 − 2·|x − α| if |x − α| ≤ 1, else 0; ∂q/∂α = −∂q/∂x

    Args:
        x: Values `[…, C]`.
        threshold: α, `[C]`.

    The gradient is that of Bi-Real Net's polynomial sign (ApproxSign), as in the authors' program.
    """
    return lq.quantizers.approx_sign(x - threshold)


def rprelu(x: tf.Tensor, shift_in: tf.Tensor, shift_out: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
    """A PReLU whose corner lies at (γ, ζ).

    Forward: f(x) = x − γ + ζ if x > γ, else β·(x − γ) + ζ
    Gradient, x > γ: ∂f/∂x = 1, ∂f/∂γ = −1, ∂f/∂ζ = 1, ∂f/∂β = 0
    Gradient, x < γ: ∂f/∂x = β, ∂f/∂γ = −β, ∂f/∂ζ = 1, ∂f/∂β = x − γ
    Gradient, x = γ: ∂f/∂x = 0, ∂f/∂γ = 0, ∂f/∂ζ = 1, ∂f/∂β = 0

    Differs from the authors' program: at x = γ PyTorch's PReLU has the gradients β and −β.

    Args:
        x: Values `[…, C]`.
        shift_in: γ, `[C]`.
        shift_out: ζ, `[C]`.
        slope: β, `[C]`.
    """
    shifted = x - shift_in
    # In Keras' own form of PReLU, with one dimension less than x: TensorFlow Lite's converter makes
    # one operator of it.
    slope = tf.reshape(slope, [1] * (x.shape.rank - 2) + [-1])
    return tf.nn.relu(shifted) + -slope * tf.nn.relu(-shifted) + shift_out


@keras.utils.register_keras_serializable(package="onebit")
class RSign(lq.quantizers.Quantizer):
    """The sign with a learned threshold per channel, for the inputs of a binary layer.

    Forward: q(x) = −1 if x < α, else +1
    Gradient: ∂q/∂x = 2 − 2·|x − α| if |x − α| ≤ 1, else 0; ∂q/∂α = −∂q/∂x

        lq.layers.QuantConv2D(64, 3, input_quantizer=RSign(), kernel_quantizer="ste_sign", …)

    Differs from the paper: x = α gives +1, as sign(0) does in Larq, not −1.

    The thresholds, `[C]`, start at 0 and are weights of the layer that has the quantizer.
    """

    precision = 1

    def build(self, input_shape: Any) -> None:
        """Makes the thresholds for inputs `[…, C]`."""
        self.threshold = self.add_weight("threshold", shape=[input_shape[-1]], initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """±1 of the inputs' shape."""
        return rsign(inputs, self.threshold)


@keras.utils.register_keras_serializable(package="onebit")
class RPReLU(keras.layers.Layer):
    """The PReLU with a learned corner (γ, ζ) and slope β per channel.

    Forward: f(x) = x − γ + ζ if x > γ, else β·(x − γ) + ζ
    Gradient, x > γ: ∂f/∂x = 1, ∂f/∂γ = −1, ∂f/∂ζ = 1, ∂f/∂β = 0
    Gradient, x < γ: ∂f/∂x = β, ∂f/∂γ = −β, ∂f/∂ζ = 1, ∂f/∂β = x − γ
    Gradient, x = γ: ∂f/∂x = 0, ∂f/∂γ = 0, ∂f/∂ζ = 1, ∂f/∂β = 0

    γ and ζ start at 0, β at 0.25 (PyTorch's PReLU, which the authors use); each is `[C]`.
    """

    def build(self, input_shape: Any) -> None:
        """Makes γ, ζ and β for inputs `[…, C]`."""
        shape = [input_shape[-1]]
        self.shift_in = self.add_weight("shift_in", shape=shape, initializer="zeros")
        self.shift_out = self.add_weight("shift_out", shape=shape, initializer="zeros")
        slope = keras.initializers.Constant(0.25)
        self.slope = self.add_weight("slope", shape=shape, initializer=slope)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Values of the inputs' shape."""
        return rprelu(inputs, self.shift_in, self.shift_out, self.slope)
