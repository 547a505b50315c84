"""The one place that imports TensorFlow and Keras.

Larq and Larq Compute Engine need Keras 2, so `tf.keras` must be the package tf-keras:

    from onebit.keras import keras, lq, tf
"""

import os
import sys
import warnings

import onebit
from onebit.interrupts import importing
from onebit.streams import held_stderr

_loaded_before = sys.modules.get("tensorflow")
# A private flag of TensorFlow, but its only trace of the decision; absent means Keras 3 or unknown.
if _loaded_before is not None and not getattr(_loaded_before, "_tf_uses_legacy_keras", False):
    raise ImportError(
        "TensorFlow was imported before Onebit and chose Keras 3, which Larq cannot use: import "
        "zoo or convert before tensorflow, or set TF_USE_LEGACY_KERAS=1 in the environment"
    )

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # its start-up notices about CUDA and AVX
# zookeeper, which larq-zoo imports, uses pkg_resources.
warnings.filterwarnings("ignore", message=".*pkg_resources.*", category=UserWarning)


# TensorFlow's libraries write notices about absent GPUs before any log level applies to them.
with importing(), held_stderr():
    import larq as lq
    import tensorflow as tf

tf.get_logger().setLevel("ERROR")
keras = tf.keras

__all__ = ["keras", "lq", "tf"]

with importing():
    onebit.import_keras_modules()
