"""Losses that Keras lacks."""

from onebit.keras import keras, tf


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


def make_loss(name: str) -> keras.losses.Loss:
    """The loss of integer labels `[N]` and logits `[N, classes]` that a recipe names.

    Args:
        name: "squared_hinge" or "cross_entropy".
    """
    if name == "cross_entropy":
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return SquaredHinge()
