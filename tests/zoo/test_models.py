import functools
import subprocess
import sys

import numpy as np
import pytest

import zoo
from onebit.keras import keras, lq, tf
from zoo.models import models
from zoo.training.losses import SquaredHinge

# Those that read text are tested by themselves.
IMAGE_MODELS = [name for name in zoo.names() if not models.get(name).takes_text]
# Small enough that a model trains a step in a second or two.
TINY = {"units": 16, "width": 4, "input_shape": (8, 8, 1), "classes": 3}
RESIDUAL = {**TINY, "input_shape": (40, 40, 3)}
SPECTRUM = {**TINY, "input_shape": (40,)}
LENET5 = {**TINY, "width": 8, "input_shape": (16, 16, 1)}
NIN = {**TINY, "width": 12}
MOBILENET = {**RESIDUAL, "width": 8}
BNEXT = {**LENET5, "width": 32, "depths": (1,)}
BNEXT_STAGES = {**RESIDUAL, "width": 64, "depths": (2, 1)}
ALEXNET = {**TINY, "input_shape": (72, 72, 3)}
FSMN = {**TINY, "filters": 4, "blocks": 1, "input_shape": (16, 16, 1)}
QUICKNET = {"input_shape": (40, 40, 3), "classes": 3, "blocks": (1,) * 4, "widths": (8, 8, 16, 16)}
# What is not listed cannot be made narrow, is deep, or is much like one that is listed: the others
# would take too long for every run.
SMALL = {
    **dict.fromkeys(("binary_connect_mlp", "float_mlp", "binary_net_mlp"), TINY),
    **dict.fromkeys(("binary_connect_cnn", "binary_net_cnn", "float_cnn"), TINY),
    "binary_alexnet": ALEXNET,
    "bi_real_net18": RESIDUAL,
    "binary_autoencoder": SPECTRUM,
    **dict.fromkeys(("xnor_net_lenet5", "float_lenet5"), LENET5),
    **dict.fromkeys(("bifsmn", "dfsmn"), FSMN),
    "quicknet": QUICKNET,
}
BIG = {**TINY, "input_shape": (96, 96, 3), "growth": 8}
BHVIT = {**TINY, "widths": (8, 16), "input_shape": (16, 16, 1), "patch": 2, "head_width": 8}
BHVIT |= {"window": 2, "dilations": (1, 3)}
DEEP_BHVIT = {
    **BHVIT,
    "input_shape": (96, 96, 3),
    "depths": (1, 1, 1, 1),
    "widths": (8, 8, 16, 16),
    "patch": 4,
    "window": 3,
}
# Pooling without padding leaves nothing of smaller images; narrower ones have dead filters.
WIDE = {
    **dict.fromkeys(("react_resnet18", "reactnet_a"), RESIDUAL),
    **dict.fromkeys(("xnor_net_resnet18", "bwn_resnet18", "float_resnet18"), RESIDUAL),
    **dict.fromkeys(("xnor_net_alexnet", "bwn_alexnet"), ALEXNET),
    "float_autoencoder": SPECTRUM,
    **dict.fromkeys(("float_ds_cnn", "float_resnet8", "sfc_w1a1", "lfc_w1a1"), TINY),
    "larq_xnor_net": {**BIG, "input_shape": (224, 224, 3)},
    **dict.fromkeys(("binary_mobilenet", "float_mobilenet"), MOBILENET),
    **dict.fromkeys(("xnor_net_nin", "float_nin"), NIN),
    **dict.fromkeys(("bnext_mini", "float_bnext_mini"), BNEXT),
    **dict.fromkeys(("bnext_t", "bnext_s", "bnext_m", "bnext_l"), BNEXT_STAGES),
    **dict.fromkeys(("bhvit_micro", "float_bhvit_micro"), BHVIT),
    **dict.fromkeys(("bhvit_tiny", "bhvit_small"), DEEP_BHVIT),
}
# A model of small images, registered since, needs no entry here.
SMALL |= {
    name: TINY
    for name in IMAGE_MODELS
    if name not in {**SMALL, **WIDE} and models.get(name).options["input_shape"][0] < 64
}
OPTIONS = {name: {**WIDE, **SMALL}.get(name, BIG) for name in IMAGE_MODELS}
VARIANTS = {
    "binary_connect_mlp": [{"stochastic": True}],
    "binary_net_mlp": [{"dropout": 0.3}],
    "react_resnet18": [{"binary_weights": False}],
}


def _marked(name, *values, slow=False):
    marks = [pytest.mark.slow] if slow or name not in SMALL else []
    identity = name + "".join(f"-{key}" for value in values for key in value)
    return pytest.param(name, *values, id=identity, marks=marks)


CASES = [_marked(name, extra) for name in IMAGE_MODELS for extra in [{}, *VARIANTS.get(name, [])]]
NAMES = [_marked(name) for name in IMAGE_MODELS]
OWN = [
    _marked(name)
    for name in IMAGE_MODELS
    if "larq_model" not in models.get(name).builder.__globals__
]


@functools.cache
def _tiny(name, **extra):
    """A small model, made once: a test may train it, but not change its layers."""
    keras.utils.set_random_seed(11)
    known = models.get(name).options
    tiny = OPTIONS[name]
    return zoo.build(name, **{key: tiny[key] for key in tiny if key in known}, **extra)


def _batch(model):
    generator = np.random.default_rng(5)
    shape = (12, *model.input_shape[1:])
    return generator.uniform(-1, 1, shape).astype(np.float32), generator.integers(3, size=12)


@pytest.mark.parametrize(("name", "extra"), CASES)
def test_model_trains_a_step_with_gradients_everywhere(name, extra):
    model = _tiny(name, **extra)
    images, labels = _batch(model)
    optimizer = keras.optimizers.Adam(0.01)
    before = [weight.numpy() for weight in model.trainable_weights]
    with tf.GradientTape() as tape:
        loss = SquaredHinge()(labels, model(images, training=True))
    gradients = tape.gradient(loss, model.trainable_weights)
    assert np.isfinite(loss)
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert gradient is not None, weight.name
        assert np.all(np.isfinite(gradient)), weight.name
        assert np.any(gradient), weight.name
    optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert not np.array_equal(weight, old), weight.name


@pytest.mark.parametrize(("name", "extra"), CASES)
def test_model_saves_and_loads_to_the_same_output(name, extra, tmp_path):
    model = _tiny(name, **extra)
    images, _ = _batch(model)
    model(images, training=True)  # moves the averages of batch normalisation off their start
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(images), model(images))
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]


@pytest.mark.parametrize("name", NAMES)
def test_model_has_the_shape_and_classes_that_it_was_asked_for(name):
    model = _tiny(name)
    assert model.name == name
    assert model.input_shape == (None, *OPTIONS[name]["input_shape"])
    # An autoencoder has as many outputs as inputs.
    classes = "classes" in models.get(name).options
    assert model.output_shape == ((None, 3) if classes else model.input_shape)
    # Code in a file is refused when it is loaded.
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in model.layers)
    assert '"module": "larq_zoo' not in model.to_json()


def _shapes(model):
    """Those of a model's weights, but for what quantizers train.

    Nor of PReLUs: where BiFSMN has them, its float network has some ReLUs, which have no weights.
    """
    quantizers = [part for part in model.submodules if isinstance(part, lq.quantizers.Quantizer)]
    theirs = {id(weight) for quantizer in quantizers for weight in quantizer.weights}
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.PReLU)]
    weights = [weight for layer in layers for weight in layer.weights]
    return [tuple(weight.shape) for weight in weights if id(weight) not in theirs]


@pytest.mark.parametrize(
    "name", [_marked(name) for name in IMAGE_MODELS if models.get(name).float_baseline]
)
def test_baseline_has_the_same_shape_and_no_quantizer(name):
    model, plain = _tiny(name), _tiny(models.get(name).float_baseline)
    assert _shapes(model) == _shapes(plain)
    assert not any(type(layer).__module__.startswith("larq") for layer in plain.layers)


def _precisions(layer):
    """Bits of a layer's weights and inputs, None for real ones."""
    quantizers = [getattr(layer, f"{kind}_quantizer", None) for kind in ("kernel", "input")]
    return tuple(getattr(quantizer, "precision", None) for quantizer in quantizers)


@pytest.mark.parametrize("name", NAMES)
def test_binarisation_is_what_the_registry_says(name):
    expected = {
        "float": (None, None),
        "binary weights": (1, None),
        "binary weights, 2-bit activations": (1, 2),
        "binary activations": (None, 1),
        "binary weights and activations": (1, 1),
    }[models.get(name).kind]
    found = [_precisions(layer) for layer in _tiny(name).layers if hasattr(layer, "kernel")]
    # The first layer sees real pixels; many families keep the first, last and shortcut layers real.
    assert set(found) <= {expected, (expected[0], None), (None, None)}
    assert found.count(expected) >= 2
    if models.get(name).family in ("BinaryConnect", "BNN"):
        assert found[0] == (1, None)
        assert set(found[1:]) == {expected}


@pytest.mark.parametrize("name", OWN)
def test_layers_before_batch_norm_have_no_bias(name):
    for layer in _tiny(name).layers:
        followers = [node.outbound_layer for node in layer.outbound_nodes]
        if any(isinstance(follower, keras.layers.BatchNormalization) for follower in followers):
            assert not getattr(layer, "use_bias", False), layer.name


def test_binary_kernels_are_plus_or_minus_one_and_latent_weights_stay_clipped():
    model = _tiny("binary_net_mlp")
    images, labels = _batch(model)
    model.compile(keras.optimizers.Adam(5.0), SquaredHinge())
    model.fit(images, labels, epochs=2, verbose=0)
    latent = model.get_layer("hidden_2").kernel
    assert np.max(np.abs(latent.numpy())) == 1.0
    with lq.context.quantized_scope(True):
        assert set(np.unique(model.get_layer("hidden_2").get_weights()[0])) == {-1.0, 1.0}


@pytest.mark.slow
@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_model_converts_with_its_binary_layers_binary(name):
    import convert
    from convert.verification import verify

    tiny = OPTIONS[name]
    if tiny not in (TINY, FSMN) and len(tiny["input_shape"]) == 3 and tiny["input_shape"][0] < 72:
        # LCE pads images smaller than the filter wrongly: 72 pixels leave 3×3 after five halvings.
        tiny = {**tiny, "input_shape": (72, 72, 3)}
    keras.utils.set_random_seed(11)
    known = models.get(name).options
    model = zoo.build(name, **{key: tiny[key] for key in tiny if key in known})
    images, _ = _batch(model)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(images, training=True)
    conversion = convert.convert_model(model)
    layers = conversion.report.layers
    precisions = [_precisions(layer) for layer in model.layers if hasattr(layer, "kernel")]
    assert sum(layer.kind == "binary" for layer in layers) == precisions.count((1, 1))
    packed = sum(layer.kind == "binary_weights" for layer in layers)
    tiny = sum("too few for packing" in layer.reason for layer in layers if layer.kind == "float")
    # LCE has no binary depthwise layer.
    depthwise = sum(isinstance(layer, lq.layers.QuantDepthwiseConv2D) for layer in model.layers)
    assert packed + tiny == depthwise + sum(p[0] == 1 != p[1] for p in precisions)
    result = verify(model, conversion.tflite, [images[:4]], split="random")
    assert result.verdict != "mismatch", result.summary()


def test_binary_convolutions_pad_with_one_and_the_first_with_zero():
    model = _tiny("binary_net_cnn")
    pads = [layer.pad_values for layer in model.layers if isinstance(layer, lq.layers.QuantConv2D)]
    assert pads == [0.0] + [1.0] * 5


def test_the_convolutional_network_has_the_papers_size():
    # (2×128C3)-MP2-(2×256C3)-MP2-(2×512C3)-MP2-(2×1024FC)-10 on 32×32×3, counted by hand.
    convolutions = 9 * (3 * 128 + 128**2 + 128 * 256 + 256**2 + 256 * 512 + 512**2)
    dense = 512 * 4 * 4 * 1024 + 1024**2 + 1024 * 10
    norms = 4 * (2 * 128 + 2 * 256 + 2 * 512 + 2 * 1024 + 10)
    assert zoo.build("binary_net_cnn").count_params() == convolutions + dense + norms


def test_dense_units_and_the_range_of_latent_weights_are_options():
    model = zoo.build("binary_net_cnn", **{**TINY, "units": 24}, initial_range=1.0)
    assert model.get_layer("hidden_2").kernel.shape == (24, 24)
    latent = np.abs(model.get_layer("hidden_2").kernel.numpy())
    # Of 576 uniform draws; Glorot's range ends at 0.35.
    assert 0.9 < latent.max() <= 1


def test_a_saved_model_loads_in_a_process_that_only_imports_zoo(tmp_path):
    _tiny("binary_connect_mlp", stochastic=True).save(tmp_path / "model.keras")
    code = (
        "import sys, zoo; from onebit.keras import keras;"
        "model = keras.models.load_model(sys.argv[1], safe_mode=True);"
        "print(type(model.get_layer('logits').kernel_quantizer).__name__)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "model.keras")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "StochasticSign"
