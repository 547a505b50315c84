"""Float `.tflite` files of Keras models, as TensorFlow Lite's own converter writes them."""

from convert.keras_model.signature import signature_of
from onebit.keras import keras, tf
from onebit.streams import held_stderr


def plain_tflite(model: keras.Model) -> bytes:
    """The file for a batch of 1."""
    signature = signature_of(model)
    specs = [tf.TensorSpec([1, *s.shape[1:]], s.dtype, s.name) for s in signature.specs]
    function = tf.function(
        lambda *inputs: signature.call(model, inputs), input_signature=specs, autograph=False
    )
    # The converter saves what it is given: with the model, it would trace each layer four times.
    holder = tf.Module()
    holder.variables_of_model = list(model.variables)
    with held_stderr():
        concrete = function.get_concrete_function()
        return tf.lite.TFLiteConverter.from_concrete_functions([concrete], holder).convert()
