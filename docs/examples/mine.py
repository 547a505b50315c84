"""One's own quantizer, model, loss, data set and recipe, for `onebit … --import mine.py`."""

import numpy as np

from onebit.keras import keras, lq, tf
from zoo.datasets import Dataset, Split, register_dataset
from zoo.models import register_model
from zoo.recipes import Recipe, register_loss, register_recipe


@keras.utils.register_keras_serializable(package="mine")
class LeakySign(lq.quantizers.SteSign):
    """The sign whose gradient beyond 1 is a tenth instead of 0."""

    def call(self, inputs):
        """Signs, +1 for 0, of any shape."""

        @tf.custom_gradient
        def sign(x):
            inside = tf.cast(tf.abs(x) <= self.clip_value, x.dtype)
            return lq.math.sign(x), lambda dy: dy * (0.1 + 0.9 * inside)

        outputs = sign(inputs)
        return lq.quantizers.Quantizer.call(self, outputs)


@register_dataset(input_shape=(8, 8, 1), classes=2)
def stripes(folder):
    """Stripes, upright or lying, in noise."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 600)
    waves = np.where(np.arange(8) % 4 < 2, 60, 190)
    images = np.stack(
        [np.tile(waves, (8, 1)).T if label else np.tile(waves, (8, 1)) for label in labels]
    )
    images = np.clip(images + rng.normal(0, 40, images.shape), 0, 255).astype(np.uint8)[..., None]
    split = Split(images, labels)
    return Dataset("stripes", ("upright", "lying"), split[:400], split[400:500], split[500:])


@register_model(family="mine", kind="binary weights and activations")
def leaky_net(input_shape: tuple[int, ...] = (8, 8, 1), classes: int = 2, *, units: int = 64):
    """An MLP with `LeakySign`.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        units: Width of the hidden layer.
    """
    binary = {
        "kernel_quantizer": LeakySign(),
        "kernel_constraint": "weight_clip",
        "use_bias": False,
    }
    x = image = keras.Input(input_shape, name="image")
    x = keras.layers.Flatten()(x)
    x = lq.layers.QuantDense(units, name="hidden", **binary)(x)
    x = keras.layers.BatchNormalization(name="hidden_bn")(x)
    x = lq.layers.QuantDense(classes, input_quantizer=LeakySign(), name="logits", **binary)(x)
    x = keras.layers.BatchNormalization(name="logits_bn")(x)
    return keras.Model(image, x, name="leaky_net")


@register_loss
def focal():
    """Cross-entropy in which samples that are right count less, for `--set loss=focal`."""
    return FocalLoss()


class FocalLoss(keras.losses.Loss):
    """L = −(1 − p)²·log p for the probability p of the label's class.

    Focal Loss for Dense Object Detection, arXiv 1708.02002, equation 4 with γ = 2.
    """

    def call(self, y_true, y_pred):
        """The loss of each sample, `[N]`, for labels `[N]` or `[N, 1]` and logits `[N, C]`."""
        labels = tf.reshape(tf.cast(y_true, tf.int32), [-1])
        log_p = tf.gather(tf.nn.log_softmax(y_pred), labels, batch_dims=1)
        return -tf.square(1 - tf.exp(log_p)) * log_p


@register_recipe
def leaky_net_stripes() -> Recipe:
    """`leaky_net` on stripes.

    Command: onebit zoo train leaky_net_stripes --import docs/examples/mine.py -o runs/mine
    Duration: seconds.
    Accuracy: 100 % measured.
    """
    return Recipe("leaky_net", "stripes", epochs=5, learning_rate=1e-2, smoke_options={"units": 16})
