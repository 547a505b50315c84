"""The networks that `benchmarks.delegate` measures, and their files."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np

STACKS = {"stack64": (64, 56), "stack128": (128, 28), "stack256": (256, 14), "stack512": (512, 7)}
ZOO = ("QuickNetSmall", "QuickNet", "QuickNetLarge", "BiRealNet", "BinaryDenseNet28")
MODELS = (*ZOO, *STACKS, "mlp3x1024")


def keras_model(name: str) -> Any:
    """A larq-zoo model, or eight 3×3 convolutions with batch normalisation, with random weights."""
    import larq_zoo

    from onebit.keras import keras, lq

    keras.utils.set_random_seed(1)
    if name in ZOO:
        family = larq_zoo.sota if name.startswith("QuickNet") else larq_zoo.literature
        return getattr(family, name)(weights=None)
    channels, size = STACKS[name]
    x = inputs = keras.Input((size, size, channels))
    for _ in range(8):
        x = lq.layers.QuantConv2D(
            channels, 3, padding="same", pad_values=1, use_bias=False,
            input_quantizer="ste_sign", kernel_quantizer="ste_sign",
            kernel_constraint="weight_clip",
        )(x)  # fmt: skip
        x = keras.layers.BatchNormalization()(x)
    return keras.Model(inputs, x)


def float_model(model: Any) -> Any:
    """The same network without quantizers."""
    from onebit.keras import keras, lq

    config = model.get_config()
    for layer in config["layers"]:
        settings = layer["config"]
        for key in ("input_quantizer", "kernel_quantizer", "depthwise_quantizer"):
            if key in settings:
                settings[key] = None
        if settings.get("pad_values") == 1:
            settings["pad_values"] = 0.0
    objects = {n: getattr(lq.layers, n) for n in dir(lq.layers) if n.startswith("Quant")}
    with keras.utils.custom_object_scope(objects):
        return keras.Model.from_config(config)


def litert_files(model: Any) -> dict[str, bytes]:
    """The float32 and the int8 file of a Keras model without quantizers."""
    from onebit.keras import tf

    rng = np.random.default_rng(0)
    shape = (1, *model.input_shape[1:])
    plain = tf.lite.TFLiteConverter.from_keras_model(model)
    small = tf.lite.TFLiteConverter.from_keras_model(model)
    small.optimizations = [tf.lite.Optimize.DEFAULT]
    small.representative_dataset = lambda: (
        [rng.standard_normal(shape).astype(np.float32)] for _ in range(4)
    )
    return {"f32": plain.convert(), "int8": small.convert()}


def mlp_files() -> dict[str, bytes]:
    """784-1024×3-10 with ±1 weights, per-channel scale and bias: packed, and as floats."""
    from onebit.bits import pack
    from tests.support.lce_graphs import ABSENT, Graph, dense_options, elementwise, schema

    rng = np.random.default_rng(0)
    sizes = (784, 1024, 1024, 1024, 10)
    packed, floats = Graph(), Graph()
    ends = [packed.tensor((1, sizes[0])), floats.tensor((1, sizes[0]))]
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        signs = rng.choice([-1, 1], (outputs, inputs)).astype(np.float32)
        scale = (rng.random(outputs).astype(np.float32) + 0.5) / np.float32(inputs**0.5)
        bias = rng.standard_normal(outputs).astype(np.float32)
        activation = 1 if i + 2 < len(sizes) else 0
        code = schema.BuiltinOperator.FULLY_CONNECTED
        weights = packed.dequantize(packed.constant(pack(signs)), inputs)
        out = packed.tensor((1, outputs))
        packed.operator(code, [ends[0], weights, ABSENT], [out], builtin=dense_options())
        ends[0] = elementwise(
            packed, "ADD", elementwise(packed, "MUL", out, scale), bias, activation
        )
        out = floats.tensor((1, outputs))
        constants = [floats.constant(signs * scale[:, None]), floats.constant(bias)]
        options = dense_options(activation=activation)
        floats.operator(code, [ends[1], *constants], [out], builtin=options)
        ends[1] = out
    return {"lce": packed.build([0], [ends[0]]), "f32": floats.build([0], [ends[1]])}


def files_of(name: str, cache: Path) -> dict[str, bytes]:
    """The files of a model: lce, f32 and, where it has one, int8; kept in `cache`."""
    kinds = ("lce", "f32") if name == "mlp3x1024" else ("lce", "f32", "int8")
    paths = {kind: cache / f"{name}.{kind}.tflite" for kind in kinds}
    if not all(path.exists() for path in paths.values()):
        import larq_compute_engine

        cache.mkdir(parents=True, exist_ok=True)
        if name == "mlp3x1024":
            files = mlp_files()
        else:
            model = keras_model(name)
            files = {"lce": larq_compute_engine.convert_keras_model(model)}
            files |= litert_files(float_model(model))
        for kind, path in paths.items():
            path.write_bytes(files[kind])
    return {kind: path.read_bytes() for kind, path in paths.items()}
