"""Models that a program brings: whether they can be converted, and the form in which they can."""

from convert.errors import ConversionError
from convert.keras_model.float32 import plain_float32
from convert.keras_model.signature import not_built, signature_of
from onebit.keras import keras, tf


def checked_model(model: keras.Model) -> tuple[keras.Model, list[str]]:
    """The model in plain float32, and notes about what was changed for that.

    Raises:
        ConversionError: This is not a built Keras 2 model of stateless layers, TensorFlow is in
            graph mode, or the model computes in other types and cannot be rebuilt.
    """
    if not isinstance(model, keras.Model):
        raise ConversionError(
            f"this is not a Keras 2 model (tf_keras), but a {type(model).__module__}."
            f"{type(model).__name__}"
        )
    if not tf.executing_eagerly():
        raise ConversionError(
            "TensorFlow is in graph mode, in which a model cannot be taken apart or run",
            hint="convert without tf.compat.v1.disable_eager_execution(), and outside tf.function",
        )
    if not model.built:
        raise not_built(model)
    signature_of(model)  # refuses unknown sizes before anything else takes time
    stateful = [layer.name for layer in model.submodules if getattr(layer, "stateful", False)]
    if stateful:
        raise ConversionError(
            f"{', '.join(dict.fromkeys(stateful))} of {model.name} keeps its state from one batch "
            "to the next, and a .tflite file keeps none",
            hint="build it with stateful=False, its state an input and an output if you need it",
        )
    return plain_float32(model)
