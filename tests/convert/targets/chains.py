"""Networks for FPGA targets: chains of ±1 layers, each with what a target may get wrong."""

from pathlib import Path

import numpy as np

import zoo
from convert.conversion import convert_model
from convert.int8.settings import Int8
from convert.runtimes.lce_interpreter import LceInterpreter
from onebit.keras import keras, lq
from tests.convert.models import BINARY, images, mlp, randomise

SIDE = 9


def _conv(filters, name, *, padding="valid", strides=1, binary=True, size=3):
    return lq.layers.QuantConv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        pad_values=1.0 if binary and padding == "same" else 0.0,
        input_quantizer="ste_sign" if binary else None,
        name=name,
        **BINARY,
    )


def _images(channels=3):
    return keras.Input((SIDE, SIDE, channels), name="image")


def _norm(x, name):
    return keras.layers.BatchNormalization(name=f"{name}_bn")(x)


def _end(x, image, name, classes=5):
    """A dense layer on several pixels of several channels, and logits with a scale for each."""
    x = keras.layers.Flatten(name="flatten")(x)
    x = lq.layers.QuantDense(24, input_quantizer="ste_sign", name="hidden", **BINARY)(x)
    x = _norm(x, "hidden")
    x = lq.layers.QuantDense(classes, input_quantizer="ste_sign", name="logits", **BINARY)(x)
    return randomise(keras.Model(image, _norm(x, "logits"), name=name), seed=3)


def valid_cnn():
    """8-bit input padded with zeros, pooling, strides; flattening several pixels."""
    x = image = _images()
    x = _norm(_conv(8, "first", padding="same", binary=False)(x), "first")
    x = _norm(_conv(40, "second")(x), "second")
    x = keras.layers.MaxPooling2D(2, name="pool")(x)
    x = _norm(_conv(16, "third", size=2)(x), "third")
    return _end(x, image, "valid_cnn")


def padded_cnn():
    """+1 padding behind +1 padding, and behind the layer that reads the input; stride 2."""
    x = image = _images(2)
    x = _norm(_conv(12, "first", binary=False)(x), "first")
    x = _norm(_conv(33, "second", padding="same")(x), "second")
    x = _norm(_conv(16, "third", padding="same", strides=2)(x), "third")
    return _end(x, image, "padded_cnn")


def sign_cnn():
    """Its first layer reads the signs of pixels."""
    x = image = _images(3)
    x = _norm(_conv(16, "first")(x), "first")
    x = _norm(_conv(8, "second", strides=2)(x), "second")
    return _end(x, image, "sign_cnn")


def real_mlp():
    """Its first layer reads 8-bit numbers; ReLU stands before each normalisation."""
    return mlp((40, 33), 7, input_shape=(5, 4, 3), activation="relu", seed=5)


CHAINS = {function.__name__: function for function in (valid_cnn, padded_cnn, sign_cnn, real_mlp)}


def pooled_padding():
    """+1 padding behind a pooling, which hardware cannot have."""
    x = image = _images(2)
    x = _norm(_conv(8, "first", binary=False)(x), "first")
    x = keras.layers.MaxPooling2D(2, name="pool")(x)
    x = _norm(_conv(8, "second", padding="same")(x), "second")
    return _end(x, image, "pooled_padding")


def residual():
    """A shortcut around a binary convolution."""
    x = image = _images(2)
    x = shortcut = _norm(_conv(8, "first", padding="same", binary=False)(x), "first")
    x = _norm(_conv(8, "second", padding="same")(x), "second")
    x = keras.layers.Add(name="add")([x, shortcut])
    return _end(x, image, "residual")


def zero_padded():
    """Bits padded with zeros."""
    x = image = _images(2)
    x = _norm(_conv(8, "first", binary=False)(x), "first")
    layer = _conv(8, "second", padding="same")
    layer.pad_values = 0.0
    return _end(_norm(layer(x), "second"), image, "zero_padded")


def floats():
    """No binary layer."""
    image = keras.Input((4, 4, 1), name="image")
    x = keras.layers.Flatten(name="flatten")(image)
    x = keras.layers.Dense(3, name="dense")(x)
    return randomise(keras.Model(image, x, name="floats"))


def tokens():
    """A transformer of one layer on eight words."""
    options = {"layers": 1, "units": 32, "vocabulary": 20, "input_shape": (8,)}
    return randomise(zoo.build("binary_bert_tiny", **options), seed=3)


def int8():
    """Layers with real weights, one with packed ±1, a binary one, a shortcut, and an average."""
    x = image = _images()
    x = keras.layers.Conv2D(8, 3, activation="relu", padding="same", name="first")(x)
    x = keras.layers.MaxPooling2D(2, name="pool")(x)
    x = keras.layers.Conv2D(16, 3, padding="same", name="second")(x)
    x = shortcut = _conv(16, "packed", padding="same", binary=False)(x)
    x = _norm(_conv(16, "binary", padding="same")(x), "binary")
    x = keras.layers.Add(name="add")([x, shortcut])
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    x = keras.layers.Dense(5, name="logits")(x)
    return randomise(keras.Model(image, x, name="int8"), seed=3)


REFUSED = {function.__name__: function for function in (pooled_padding, residual, zero_padded)}


INT8 = {f"int8_{scope}": (int8, scope) for scope in ("layers", "all")}
"""Name → network and scope of int8."""

BUILDERS = {**CHAINS, **REFUSED, "floats": floats, "tokens": tokens}
FILES = Path(__file__).parents[1] / "golden" / "chains"


def converted(name):
    """The `.tflite` file of one of the networks above, converted once and for all."""
    return (FILES / f"{name}.tflite").read_bytes()


def convert(name):
    """Converts one of the networks; `python -m tests.convert.targets.chains` stores all files."""
    settings = None
    if name in INT8:
        builder, scope = INT8[name]
        settings = Int8([images(32, (SIDE, SIDE, 3), seed=2)], "mse", "float", scope)
    else:
        builder = BUILDERS[name]
    conversion = convert_model(
        builder(), samples=None, verification=False, name=name, int8=settings
    )
    return conversion.tflite


def integers(shape, count=24, seed=11):
    """8-bit inputs `[count, …]`, extremes among them."""
    values = np.random.default_rng(seed).integers(-128, 128, (count, *shape[1:]))
    values[0], values[1], values[2] = -128, 127, 0
    return values


def lce_outputs(content, inputs):
    """The outputs of LCE's interpreter for float inputs `[N, …]`."""
    (outputs,) = LceInterpreter(content).run([inputs.astype(np.float32)])
    return outputs


def in_steps(network, differences):
    """Differences of a network's float outputs in steps of the int8 numbers that they were."""
    (last,) = [o for o in network.operators if o.output == network.outputs[0]]
    return differences / network.input_of(last).quantization.scale


if __name__ == "__main__":
    FILES.mkdir(parents=True, exist_ok=True)
    for file in [*BUILDERS, *INT8]:
        (FILES / f"{file}.tflite").write_bytes(convert(file))
