"""Models that mix float, binary and weight-only layers, and their int8 files."""

import functools

import numpy as np

import convert
from convert.binariser import binarise
from convert.conversion import convert_model, convert_plainly
from convert.int8.settings import Int8
from convert.samples import Samples
from convert.tflite.graph import Graph
from onebit.keras import keras, lq
from tests.convert.models import BINARY, images, randomise

SHAPE = (12, 12, 3)


def float_net():
    """conv → BN → ReLU → MaxPool → depthwise → conv → add → mean → dense."""
    x = image = keras.Input(SHAPE, name="image")
    x = keras.layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(x)
    x = keras.layers.BatchNormalization()(x)
    x = shortcut = keras.layers.MaxPooling2D()(keras.layers.ReLU()(x))
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = keras.layers.Conv2D(16, 1, name="pointwise", activation="relu")(x)
    x = keras.layers.Add(name="sum")([x, shortcut])
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    x = keras.layers.Dense(5, name="dense")(x)
    return randomise(keras.Model(image, x, name="float_net"), 3)


def mixed_net(pad_values=1):
    """A float stem, a binary layer with a shortcut, a binary one without, a float head."""
    options = {**BINARY, "input_quantizer": "ste_sign", "padding": "same", "pad_values": pad_values}
    x = image = keras.Input(SHAPE, name="image")
    x = keras.layers.Conv2D(32, 3, strides=2, use_bias=False, name="stem")(x)
    x = shortcut = keras.layers.BatchNormalization()(x)
    x = lq.layers.QuantConv2D(32, 3, name="binary_1", **options)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Add(name="sum")([x, shortcut])
    x = lq.layers.QuantConv2D(40, 3, name="binary_2", **options)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Flatten()(keras.layers.ReLU()(x))
    x = keras.layers.Dense(5, name="head")(x)
    return randomise(keras.Model(image, x, name="mixed_net"), 4)


def sign_net():
    """A float convolution whose numbers only a sign sees, and a binary layer."""
    x = image = keras.Input(SHAPE, name="image")
    x = keras.layers.Conv2D(32, 3, use_bias=False, name="stem")(x)
    x = keras.layers.BatchNormalization()(x)
    x = lq.layers.QuantConv2D(8, 10, input_quantizer="ste_sign", name="binary", **BINARY)(x)
    x = keras.layers.Flatten()(x)
    return randomise(keras.Model(image, x, name="sign_net"), 5)


def binary_connect():
    """Two layers with binary weights and real inputs."""
    x = image = keras.Input(SHAPE, name="image")
    x = lq.layers.QuantConv2D(32, 3, name="conv", **BINARY)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Flatten()(x)
    x = lq.layers.QuantDense(10, name="dense", **BINARY)(x)
    x = keras.layers.BatchNormalization()(x)
    return randomise(keras.Model(image, x, name="binary_connect"), 6)


@functools.cache
def converted(build, **settings) -> convert.Conversion:
    """A model's int8 conversion, verified on other samples than it was calibrated on."""
    int8 = Int8([images(64, SHAPE, 7)], **settings)
    return convert_model(build(), int8=int8, samples=Samples([images(32, SHAPE, 8)]))


@functools.cache
def reference(build) -> Graph:
    """The float file that LCE makes of a model."""
    graph = convert_plainly(build())[1]
    binarise(graph)
    return graph


def zero_padded_net():
    """A mixed net whose binary layers are padded with zeros."""
    return mixed_net(0)


def kinds(conversion) -> dict[str, str]:
    return {layer.name: layer.kind for layer in conversion.report.layers}


def noise_db(expected, outputs) -> float:
    """The mean square difference relative to the variance, in dB; −inf where there is none."""
    with np.errstate(divide="ignore"):
        return 10 * float(np.log10(np.mean((expected - outputs) ** 2) / np.var(expected)))
