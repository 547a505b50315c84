"""What a Keras model takes."""

from convert.errors import ConversionError
from onebit.keras import keras, tf


def input_specs(model: keras.Model) -> list[tf.TensorSpec]:
    """The shapes (batch first), types and names of a model's inputs, of subclassed models too.

    Raises:
        ConversionError: A dimension other than the batch is unknown, for which LCE would silently
            take 1; or the model was never called, and takes nothing yet.
    """
    called = model.save_spec()
    if called is None:
        raise ConversionError(f"{model.name} is not built: call it on data once, or give its input")
    specs = tf.nest.flatten(called[0][0])
    for spec in specs:
        shape = spec.shape.as_list()
        if None in shape[1:]:
            raise ConversionError(
                f"input {spec.name} of {model.name} has the shape {shape}: a .tflite file for LCE "
                "needs fixed sizes, so build the model with keras.Input(shape=(…numbers…))"
            )
    return specs
