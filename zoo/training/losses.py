"""Losses that Keras lacks."""

from typing import Any

from onebit.keras import keras, tf
from zoo.recipes import own_losses


@keras.utils.register_keras_serializable(package="onebit")
class SquaredHinge(keras.losses.Loss):
    """The multi-class L2-SVM loss: one squared hinge per class, one class against the rest.

    L = mean over samples and classes of max(0, 1 − t·z)², t = +1 for the sample's class, −1 for
    the others.

    Deep Learning using Linear Support Vector Machines, arXiv 1306.0239, section 2.1; BinaryConnect
    (arXiv 1511.00363) and BNN (arXiv 1602.02830) train with it. Keras' own squared hinge takes ±1
    targets for a single output.
    """

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each sample, `[N]`.

        Args:
            y_true: Integer labels `[N]` or `[N, 1]`.
            y_pred: Logits `[N, classes]`.
        """
        labels = tf.reshape(tf.cast(y_true, tf.int32), [-1])
        classes = y_pred.shape[-1]
        targets = tf.one_hot(labels, classes, on_value=1.0, off_value=-1.0, dtype=y_pred.dtype)
        return tf.reduce_mean(tf.square(tf.nn.relu(1.0 - targets * y_pred)), axis=-1)


@keras.utils.register_keras_serializable(package="onebit")
class SmoothedCrossEntropy(keras.losses.Loss):
    """The cross-entropy of integer labels of which every class gets a small part.

    L = −Σ_c p_c·log softmax(z)_c, p = 1 − ε + ε/C for the sample's class, ε/C for the others.

    Rethinking the Inception Architecture for Computer Vision, arXiv 1512.00567, section 7. Keras'
    own takes one-hot labels.

    Args:
        smoothing: ε.
    """

    def __init__(self, smoothing: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.smoothing = smoothing

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each sample, `[N]`, for labels `[N]` or `[N, 1]` and logits `[N, C]`."""
        labels = tf.reshape(tf.cast(y_true, tf.int32), [-1])
        return keras.losses.categorical_crossentropy(
            tf.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype),
            y_pred,
            from_logits=True,
            label_smoothing=self.smoothing,
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal loss."""
        return {**super().get_config(), "smoothing": self.smoothing}


def make_loss(name: str, smoothing: float = 0.0) -> keras.losses.Loss:
    """The loss of integer labels `[N]` and logits `[N, classes]` that a recipe names.

    Args:
        name: "squared_hinge", "cross_entropy", or registered with `zoo.recipes.register_loss`.
        smoothing: ε of the cross-entropy's labels.
    """
    if name == "cross_entropy":
        if smoothing:
            return SmoothedCrossEntropy(smoothing)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return SquaredHinge() if name == "squared_hinge" else own_losses.get(name)()
