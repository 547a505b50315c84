"""Quantizers that Larq lacks.

As in Larq, a function holds the forward and the gradient formula, and a thin serialisable class
wraps it for layers.
"""

import random
from typing import Any

from onebit.errors import UsageError, near_matches
from onebit.imports import import_installed
from onebit.keras import keras, lq, tf


def binary_quantizer(name: str) -> lq.quantizers.Quantizer:
    """A new binary quantizer by its name.

    Args:
        name: Larq's, such as "ste_sign" or "approx_sign", or the name of a class that is
            registered with `keras.utils.register_keras_serializable`, such as "ScaledSign".

    Raises:
        UsageError: There is none of that name whose values are of one bit.
    """
    import_installed()
    known: dict[str, type] = {}
    for key, kind in sorted(keras.utils.get_custom_objects().items()):
        if (
            isinstance(kind, type)
            and issubclass(kind, lq.quantizers.Quantizer)
            and getattr(kind, "precision", None) == 1
        ):
            known[key.rpartition(">")[2]] = kind
    if name not in known:
        raise UsageError(f"there is no binary quantizer {name!r}; {near_matches(name, known)}")
    return known[name]()


def hard_sigmoid(x: tf.Tensor) -> tf.Tensor:
    """σ(x) = clip((x + 1) / 2, 0, 1), element by element.

    BinaryConnect, arXiv 1511.00363, equation 3. (Keras' own `hard_sigmoid` has slope 0.2.)
    """
    return tf.clip_by_value((x + 1.0) / 2.0, 0.0, 1.0)


def stochastic_sign(x: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """±1, drawn with probabilities that grow linearly with `x`.

    Forward: q(x) = +1 if u < σ(x), else −1, with σ(x) = clip((x + 1) / 2, 0, 1)
    Gradient: ∂q/∂x = 1

    Args:
        x: Values of any shape.
        uniform: u, drawn uniformly from [0, 1), of the same shape.

    The gradient passes everywhere, as in BinaryConnect, which clips the values themselves to
    [-1, 1] instead.
    """

    @tf.custom_gradient
    def call(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
        # u < 1 always, and never u < 0: at the clip edges the outcome is certain.
        drawn = tf.cast(uniform < hard_sigmoid(x), x.dtype)
        # tf.where takes four times as long in bfloat16.
        return 2.0 * drawn - 1.0, lambda upstream: upstream

    return call(x)


def straight_through_sign(x: tf.Tensor) -> tf.Tensor:
    """The sign with the gradient of `stochastic_sign`.

    Forward: q(x) = −1 if x < 0, else +1; ±0 counts as +1
    Gradient: ∂q/∂x = 1
    """
    return lq.quantizers.SteSign(clip_value=None)(x)


@keras.utils.register_keras_serializable(package="onebit")
class StochasticSign(lq.quantizers.Quantizer):
    """BinaryConnect's stochastic sign: drawn in training, the plain sign otherwise.

    Forward, training: q(w) = +1 with probability σ(w) = clip((w + 1) / 2, 0, 1), else −1
    Forward, otherwise: q(w) = −1 if w < 0, else +1
    Gradient: ∂q/∂w = 1; clip the weights with `larq.constraints.WeightClip(1.0)`

    BinaryConnect: Training Deep Neural Networks with binary weights during propagations,
    arXiv 1511.00363, equations 2 and 3.

    Differs from the paper: outside training it gives the sign, where the paper's stochastic form
    uses the real-valued weights.

    The draws come from a `tf.random.Generator` that checkpoints save, so that a resumed training
    continues the sequence; it is not a weight of the model.

    Args:
        seed: Start of the sequence; None takes one from Python's `random`, which
            `keras.utils.set_random_seed` seeds.
        name: The layer's name.
    """

    precision = 1

    def __init__(self, seed: int | None = None, name: str | None = None):
        super().__init__(name=name)
        self.seed = seed
        start = random.randrange(2**31) if seed is None else seed
        # Layers may be made while a function is traced; the state must outlive the trace.
        with tf.init_scope():
            self.generator = tf.random.Generator.from_seed(start, alg="philox")

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """±1 of the inputs' shape, or the latent values' signs outside training."""
        inputs = tf.convert_to_tensor(inputs)
        if training is None:
            training = keras.backend.learning_phase()
        if not isinstance(training, int | bool):
            return tf.cond(
                tf.cast(training, tf.bool),
                lambda: self._draw(inputs),
                lambda: straight_through_sign(inputs),
            )
        return self._draw(inputs) if training else straight_through_sign(inputs)

    def _draw(self, inputs: tf.Tensor) -> tf.Tensor:
        return stochastic_sign(inputs, self.generator.uniform(tf.shape(inputs), dtype=inputs.dtype))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal quantizer."""
        return {"name": self.name, "seed": self.seed}


def scaled_sign(x: tf.Tensor) -> tf.Tensor:
    """The sign, scaled per output channel by the mean magnitude of the channel's weights.

    Forward: q(w) = α·sign(w), α = mean |w| over the channel; ±0 counts as +1
    Gradient: ∂q/∂w = 1/n + α if |w| ≤ 1, else 1/n, element by element

    Args:
        x: Latent weights w `[…, O]`; n is the number of weights of one of the O channels.

    XNOR-Net, arXiv 1603.05279, equation 6 for α and section 3.1 for the gradient, with
    ∂sign(w)/∂w = 1 if |w| ≤ 1. The paper prints w in place of that 1; the authors' program has 1.

    Differs from the program (https://github.com/allenai/XNOR-Net, util.lua): at |w| = 1, where the
    clip leaves weights, its gradient is 1/n only; and it multiplies a layer's gradients by a
    constant, for which SGD has `zoo.training.optimizers.FanInScaledSGD`.
    """

    @tf.custom_gradient
    def call(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
        magnitude = tf.abs(x)
        scale = tf.reduce_mean(magnitude, axis=list(range(x.shape.rank - 1)))
        share = x.shape[-1] / x.shape.num_elements()

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return upstream * (share + tf.where(magnitude <= 1.0, scale, tf.zeros_like(x)))

        return scale * lq.math.sign(x), gradient

    return call(x)


@keras.utils.register_keras_serializable(package="onebit")
class ScaledSign(lq.quantizers.Quantizer):
    """XNOR-Net's binary weights: the sign times one scaling factor per output channel.

    Forward: q(w) = α·sign(w), α = mean |w| over the channel; ±0 counts as +1
    Gradient: ∂q/∂w = 1/n + α if |w| ≤ 1, else 1/n, for n weights per channel

    XNOR-Net: ImageNet Classification Using Binary Convolutional Neural Networks,
    arXiv 1603.05279, section 3.1; `scaled_sign` is the function.
    """

    precision = 1

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """±α of the inputs' shape `[…, O]`."""
        return scaled_sign(tf.convert_to_tensor(inputs))


def centred_scaled_sign(x: tf.Tensor) -> tf.Tensor:
    """The sign about the channel's mean, scaled by the mean magnitude of the channel's weights.

    Forward: q(w) = α·sign(w − e), α = mean |w| and e = mean w over the channel; ±0 counts as +1
    Gradient: ∂L/∂w = d − mean d over the channel, d = ∂L/∂q if |w − e| ≤ 1, else 0; none through α

    Args:
        x: Latent weights w `[…, O]` of O channels.
    """

    @tf.custom_gradient
    def call(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
        axes = list(range(x.shape.rank - 1))
        # In float64 the mean of equal numbers is that number: ±α is quantized to itself.
        wide = tf.cast(x, tf.float64)
        scale = tf.cast(tf.reduce_mean(tf.abs(wide), axes), x.dtype)
        centred = x - tf.cast(tf.reduce_mean(wide, axes), x.dtype)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            inside = upstream * tf.cast(tf.abs(centred) <= 1.0, x.dtype)
            return inside - tf.reduce_mean(inside, axes)

        return scale * lq.math.sign(centred), gradient

    return call(x)


@keras.utils.register_keras_serializable(package="onebit")
class CentredScaledSign(lq.quantizers.Quantizer):
    """The scaled sign of weights whose mean in each output channel is taken away first.

    Forward: q(w) = α·sign(w − e), α = mean |w| and e = mean w over the channel; ±0 counts as +1
    Gradient: ∂L/∂w = d − mean d over the channel, d = ∂L/∂q if |w − e| ≤ 1, else 0; none through α

    As BHViT's program has it, https://github.com/IMRL/BHViT (transformer/utils_quant.py), without
    its options; `centred_scaled_sign` is the function.
    """

    precision = 1

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """±α of the inputs' shape `[…, O]`."""
        return centred_scaled_sign(tf.convert_to_tensor(inputs))


def layer_scaled_sign(x: tf.Tensor) -> tf.Tensor:
    """The sign, scaled by the mean magnitude of all the layer's weights.

    Forward: q(w) = α·sign(w), α = mean |w| over the whole layer; ±0 counts as +1
    Gradient: ∂q/∂w = 1, and none through α

    DoReFa-Net, arXiv 1606.06160, section 2.3.
    """

    @tf.custom_gradient
    def call(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
        scale = tf.reduce_mean(tf.abs(x))
        return scale * lq.math.sign(x), lambda upstream: upstream

    return call(x)


@keras.utils.register_keras_serializable(package="onebit")
class LayerScaledSign(lq.quantizers.Quantizer):
    """DoReFa-Net's binary weights: the sign times one scaling factor per layer.

    Forward: q(w) = α·sign(w), α = mean |w| over the whole layer; ±0 counts as +1
    Gradient: ∂q/∂w = 1, and none through α

    DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth Gradients,
    arXiv 1606.06160, section 2.3; `layer_scaled_sign` is the function.
    """

    precision = 1

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """±α of the inputs' shape."""
        return layer_scaled_sign(tf.convert_to_tensor(inputs))


def centred_ste_sign(w: tf.Tensor) -> tf.Tensor:
    """Signs about the mean of all the layer's weights.

    Forward: q(w) = sign(w − e), e = mean(w); ±0 counts as +1
    Gradient: g − mean(g), g the upstream gradient where |w − e| ≤ 1, else 0
    """
    return lq.quantizers.SteSign()(w - tf.reduce_mean(w))


@keras.utils.register_keras_serializable(package="onebit")
class CentredSteSign(lq.quantizers.Quantizer):
    """BiFSMN's binary weights; `centred_ste_sign` has the formulas.

    BiFSMN, arXiv 2202.06483, with BiConv1dVanilla of the program, https://github.com/htqin/BiFSMN,
    basic.py. Differs from it: no scale; batch normalisation is to follow.
    """

    precision = 1

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """±1 of the inputs' shape."""
        return centred_ste_sign(tf.convert_to_tensor(inputs))
