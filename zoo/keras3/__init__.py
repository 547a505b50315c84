"""Binary layers for Keras 3, on every backend: Larq's names and arguments in `keras.ops`.

    from zoo import keras3 as lq

    lq.layers.QuantDense(64, input_quantizer="ste_sign", kernel_quantizer="ste_sign",
                         kernel_constraint=lq.constraints.WeightClip(1.0))

A Larq script moves to Keras 3 by this import and `import keras`; docs/keras3.md shows one. Nothing
here imports TensorFlow, tf_keras or Larq.
"""

from zoo.keras3 import constraints, layers, quantizers, weights

__all__ = ["constraints", "layers", "quantizers", "weights"]
