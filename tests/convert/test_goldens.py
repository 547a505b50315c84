"""The graph before and after each pass, and the model before and after each rewrite, as text.

`pytest tests/convert/test_goldens.py --regenerate-goldens` writes `golden/*.txt`. That the two
compute the same, and where a step must not fire, is tested beside each pass and rewrite.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

from convert.binariser.passes.binarise_layers import binarise_layers
from convert.passes import PASSES
from convert.rewrites import REWRITES
from convert.rewrites.fix_large_kernels import fix_large_kernels
from convert.runtimes.lce import convert_with_lce
from convert.tflite.graph import Graph
from onebit.keras import keras, lq, tf
from tests.convert.dumps import dump_file, dump_model
from tests.convert.models import BINARY, randomise

GOLDEN = Path(__file__).parent / "golden"
BOTH = {**BINARY, "input_quantizer": "ste_sign"}


def pooled_conv():
    """conv → MaxPool → BN → sign, with positive gammas."""
    x = image = keras.Input((8, 8, 32), name="image")
    x = lq.layers.QuantConv2D(32, 3, padding="same", pad_values=1.0, name="conv", **BOTH)(x)
    x = keras.layers.MaxPooling2D(2, name="pool")(x)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = lq.layers.QuantConv2D(8, 3, name="next", **BOTH)(x)
    model = randomise(keras.Model(image, x))
    norm = model.get_layer("bn")
    gamma, *rest = norm.get_weights()
    norm.set_weights([np.abs(gamma), *rest])
    return model


def separate_sign():
    """sign → Flatten → dense layer with binary weights."""
    x = image = keras.Input((4, 4, 64), name="image")
    x = keras.layers.Activation(lq.math.sign, name="sign")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = lq.layers.QuantDense(12, name="dense", **BINARY)(x)
    return randomise(keras.Model(image, x))


def sequence():
    """A binary dense layer on a sequence."""
    x = image = keras.Input((7, 33), name="image")
    x = lq.layers.QuantDense(12, name="dense", activation="relu", **{**BOTH, "use_bias": True})(x)
    return randomise(keras.Model(image, x))


def sequence_conv():
    """A binary one-dimensional convolution with dilation."""
    x = image = keras.Input((12, 32), name="image")
    x = lq.layers.QuantConv1D(
        16, 3, padding="same", pad_values=1.0, dilation_rate=2, name="conv", **BOTH
    )(x)
    return randomise(keras.Model(image, x))


def weights_only():
    """A convolution and a dense layer with binary weights, both behind real inputs."""
    x = image = keras.Input((8, 8, 3), name="image")
    x = lq.layers.QuantConv2D(16, 3, strides=2, name="conv", **BINARY)(x)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = lq.layers.QuantDense(10, name="dense", **BINARY)(x)
    return randomise(keras.Model(image, x))


def two_branches():
    """Two convolutions with filters of one shape, which packing stores twice."""
    image = keras.Input((8, 8, 3), name="image")
    convs = [lq.layers.QuantConv2D(16, 3, name=f"conv_{i}", **BINARY) for i in (1, 2)]
    return randomise(keras.Model(image, keras.layers.Add(name="add")([c(image) for c in convs])))


def token_table():
    """The look-up of token ids in a table of ±1."""
    ids = keras.Input((6,), dtype="int32", name="ids")
    table = keras.layers.Embedding(
        300, 40, embeddings_initializer=lambda shape, dtype: lq.math.sign(tf.random.normal(shape))
    )
    return keras.Model(ids, table(ids))


MODEL_OF_REWRITE = {
    "conv1d_to_conv2d": sequence_conv,
    "fix_large_kernels": separate_sign,
}
MODEL_OF_PASS = {
    "pack_binary_weights": weights_only,
    "pack_binary_tables": token_table,
    "merge_equal_constants": two_branches,
    "drop_unused": weights_only,
}


@pytest.mark.parametrize("step", REWRITES, ids=lambda step: step.__name__)
def test_rewrite_turns_the_model_into_the_golden_one(step, check_golden, monkeypatch):
    # A model of 2^25 weights would take seconds.
    monkeypatch.setattr(sys.modules[fix_large_kernels.__module__], "MAX_FOLDED_WEIGHTS", 1000)
    model = MODEL_OF_REWRITE[step.__name__]()
    rewritten, changed = step(model)
    assert changed
    text = f"before {step.__name__}\n{dump_model(model)}\nafter\n{dump_model(rewritten)}"
    check_golden(GOLDEN / f"{step.__name__}.txt", text)


@pytest.mark.parametrize("step", PASSES, ids=lambda step: step.__name__)
def test_pass_turns_the_file_into_the_golden_one(step, check_golden):
    graph = Graph.from_bytes(convert_with_lce(MODEL_OF_PASS[step.__name__]()))
    binarise_layers(graph)
    for earlier in PASSES[: PASSES.index(step)]:
        earlier(graph)
    before = dump_file(graph.to_bytes())
    assert step(graph)
    text = f"before {step.__name__}\n{before}\nafter\n{dump_file(graph.to_bytes())}"
    check_golden(GOLDEN / f"{step.__name__}.txt", text)
