import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import zoo
from onebit.errors import OnebitError, UsageError
from onebit.keras import keras, lq, tf
from zoo.datasets.preprocessing import Preprocessing
from zoo.layers.quantizers import binary_quantizer
from zoo.models import models
from zoo.runs import packed_weights
from zoo.runs.packed_weights import card_path, load_trained, pack, pretrained, unpack

TINY = {"units": 24, "width": 4, "input_shape": (8, 8, 1), "classes": 3}


def _tiny(name, seed=1):
    keras.utils.set_random_seed(seed)
    known = models.get(name).options
    return zoo.build(name, **{key: TINY[key] for key in TINY if key in known})


@pytest.fixture
def exported(finished_run, tmp_path):
    path = tmp_path / "bnn.npz"
    zoo.export(zoo.load_run(finished_run), path)
    return path


@pytest.mark.parametrize(
    "name", ["binary_connect_mlp", "binary_net_mlp", "binary_net_cnn", "float_mlp"]
)
def test_unpacked_weights_give_the_same_outputs(name):
    model, other = _tiny(name), _tiny(name, seed=2)
    images = np.random.default_rng(1).normal(size=(5, 8, 8, 1)).astype(np.float32)
    model(images, training=True)  # moves the averages of batch normalisation off their start
    arrays = pack(model)
    unpack(other, arrays)
    np.testing.assert_array_equal(other(images), model(images))
    kernels = sum(hasattr(layer, "kernel_quantizer") for layer in model.layers)
    assert sum(key.endswith(".bits") for key in arrays) == kernels


def test_a_binary_kernel_takes_a_bit_a_weight():
    model = _tiny("binary_net_mlp")
    arrays = pack(model)
    bits = [array for key, array in arrays.items() if key.endswith(".bits")]
    # Kernels 64×24, 24×24, 24×24 and 24×3, each row padded to a word of 32 bits.
    assert [array.shape for array in bits] == [(64, 1), (24, 1), (24, 1), (24, 1)]
    assert all(array.dtype == np.int32 for array in bits)
    assert not any(key.endswith(".scale") for key in arrays)


@keras.utils.register_keras_serializable(package="tests")
class Scaled(lq.quantizers.Quantizer):
    """The sign times a magnitude per channel (axis 0), per row (1), or per weight (None)."""

    precision = 1

    def __init__(self, axis=0, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs):
        scale = tf.abs(inputs)
        if self.axis is not None:
            scale = tf.reduce_max(scale, axis=self.axis, keepdims=True)
        return tf.sign(inputs) * scale


def _scaled(axis):
    keras.utils.set_random_seed(3)
    layer = lq.layers.QuantDense(40, kernel_quantizer=Scaled(axis), use_bias=True)
    return keras.Sequential([keras.Input((7,)), layer])


@pytest.mark.parametrize(("axis", "shape"), [(0, (40,)), (1, (7, 1))])
def test_magnitudes_of_channels_or_rows_are_kept(axis, shape):
    model, other = _scaled(axis), _scaled(axis)
    arrays = pack(model)
    (kernel,) = (key.removesuffix(".bits") for key in arrays if key.endswith(".bits"))
    assert kernel == f"{model.layers[-1].name}/kernel"
    assert arrays[f"{kernel}.bits"].shape == (7, 2)
    assert arrays[f"{kernel}.scale"].shape == shape
    other.set_weights([2 * weight for weight in model.get_weights()])
    unpack(other, arrays)
    inputs = np.random.default_rng(1).normal(size=(5, 7)).astype(np.float32)
    np.testing.assert_array_equal(other(inputs), model(inputs))


@pytest.mark.parametrize("quantizer", ["ScaledSign", "magnitude_aware_sign"])
def test_means_that_round_are_restored(quantizer):
    # A float32 mean of 500 equal numbers is seldom that number.
    def network():
        keras.utils.set_random_seed(3)
        quantized = binary_quantizer(quantizer)
        layer = lq.layers.QuantDense(
            64, kernel_quantizer=quantized, kernel_constraint="weight_clip"
        )
        return keras.Sequential([keras.Input((500,)), layer])

    model, other = network(), network()
    arrays = pack(model)
    unpack(other, arrays)
    inputs = np.random.default_rng(1).normal(size=(5, 500)).astype(np.float32)
    # Magnitudes of 0.05 are off by up to 500 roundings; sums have 500 products with inputs below 4.
    error = 500 * 2.0**-24 * 0.05 * 500 * 4
    np.testing.assert_allclose(other(inputs), model(inputs), rtol=0, atol=error)
    assert not np.allclose(other(-inputs), model(inputs), atol=error)


def test_other_magnitudes_are_refused():
    with pytest.raises(OnebitError, match=r"kernel.* cannot be exported as bits: .* per output"):
        pack(_scaled(None))


def test_weights_of_another_model_are_refused():
    arrays = pack(_tiny("binary_net_mlp"))
    with pytest.raises(OnebitError, match=r"of another model: conv_1_1.* is \[3, 3, 1, 4\] here"):
        unpack(_tiny("binary_net_cnn"), arrays)


def test_an_exported_run_is_built_with_its_options_and_weights(finished_run, exported):
    run = zoo.load_run(finished_run)
    images = run.preprocessing(run.samples.images)
    model = zoo.build("binary_net_mlp", weights=str(exported))
    np.testing.assert_array_equal(model(images), run.model(images))
    loaded = load_trained("binary_net_mlp", str(exported))
    np.testing.assert_array_equal(loaded.samples.images, run.samples.images[:100])
    np.testing.assert_array_equal(loaded.samples.labels, run.samples.labels[:100])
    np.testing.assert_array_equal(loaded.preprocessing(run.samples.images), images)
    assert loaded.card["accuracy"] == run.card["accuracy"]
    assert exported.stat().st_size < (finished_run / "model.keras").stat().st_size / 4


def test_a_file_names_each_weight_and_its_shape(exported):
    card = json.loads(card_path(exported).read_text())
    assert card["weights"]["hidden_2/kernel"] == [32, 32]
    with np.load(exported) as arrays:
        stored = {key for key in arrays if "/" in key}
    kinds = {name: "bits" if name.endswith("kernel") else "values" for name in card["weights"]}
    assert stored == {f"{name}.{kind}" for name, kind in kinds.items()}


def test_export_replaces_exported_weights_and_nothing_else(finished_run, exported, tmp_path):
    run = zoo.load_run(finished_run)
    zoo.export(run, exported)
    for name in ("card.npz", "samples.npz"):  # the run's own card and samples
        before = [(finished_run / file).read_bytes() for file in ("card.json", "samples.npz")]
        with pytest.raises(OnebitError, match=r"is not an earlier output.*--force"):
            zoo.export(run, finished_run / name)
        after = [(finished_run / file).read_bytes() for file in ("card.json", "samples.npz")]
        assert before == after
    other = tmp_path / "data.npz"
    other.write_bytes(b"measured for weeks")
    with pytest.raises(OnebitError, match=r"data\.npz exists"):
        zoo.export(run, other)
    zoo.export(run, other, force=True)
    assert load_trained("binary_net_mlp", str(other)).card["name"] == "binary_net_mlp"


def test_whitening_is_exported_with_the_weights(finished_run, tmp_path):
    run = zoo.load_run(finished_run)
    preprocessing = Preprocessing(1.0, 0.0, contrast="global", whitening=True)
    card = {**run.card, "preprocessing": dataclasses.asdict(preprocessing)}
    fitted = preprocessing.fit(run.samples.images[:50])
    zoo.export(dataclasses.replace(run, preprocessing=fitted, card=card), tmp_path / "white.npz")
    loaded = load_trained("binary_net_mlp", str(tmp_path / "white.npz"))
    images = run.samples.images[:3]
    np.testing.assert_array_equal(loaded.preprocessing(images), fitted(images))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("float_mlp", {}, "holds weights of binary_net_mlp, not of float_mlp"),
        ("binary_net_mlp", {"units": 64}, "was trained with units=32, not 64"),
    ],
)
def test_weights_that_do_not_fit_the_call_raise(exported, name, options, message):
    with pytest.raises(UsageError, match=message):
        zoo.build(name, weights=str(exported), **options)


def test_a_damaged_file_raises(exported):
    content = exported.read_bytes()
    exported.write_bytes(content[:-9])
    with pytest.raises(OnebitError, match=r"bnn.npz is not the file that bnn.json describes"):
        zoo.build("binary_net_mlp", weights=str(exported))
    card = json.loads(card_path(exported).read_text())
    for other in ({**card, "schema_version": 99}, []):
        card_path(exported).write_text(json.dumps(other))
        with pytest.raises(OnebitError, match="is not a card that this version reads"):
            zoo.build("binary_net_mlp", weights=str(exported))
    card_path(exported).write_text(json.dumps({**card, "options": None}))
    with pytest.raises(OnebitError, match=r"bnn.json is damaged: card.options is not of type dict"):
        zoo.build("binary_net_mlp", weights=str(exported))
    card_path(exported).unlink()
    with pytest.raises(OnebitError, match=r"bnn.json does not exist"):
        zoo.build("binary_net_mlp", weights=str(exported))


def test_what_ships_is_found_by_its_data_set(exported, tmp_path, monkeypatch):
    monkeypatch.setattr(packed_weights, "_folder", lambda: tmp_path)
    assert pretrained("binary_net_mlp") == []
    with pytest.raises(UsageError, match=r"no weights 'mnist_5k'; none ship for it; or give"):
        zoo.build("binary_net_mlp", weights="mnist_5k")
    for path in (exported, card_path(exported)):
        shutil.copy(path, tmp_path / f"binary_net_mlp@mnist_5k{path.suffix}")
    assert pretrained("binary_net_mlp") == ["mnist_5k"]
    assert pretrained("binary_net") == []
    assert zoo.build("binary_net_mlp", weights="mnist_5k").count_params()
    with pytest.raises(UsageError, match=r"no weights 'mnist'; did you mean .*mnist_5k"):
        zoo.build("binary_net_mlp", weights="mnist")


PRETRAINED = [(name, tag) for name in zoo.names() for tag in pretrained(name)]


SLOW = ("bhvit_micro", "bifsmn", "bnext_mini", "binary_bert_tiny")
"""Deep networks, which take five seconds to build."""


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        pytest.param(name, tag, marks=[pytest.mark.slow] if name in SLOW else [])
        for name, tag in PRETRAINED
    ],
)
def test_shipped_weights_are_small_whole_and_as_accurate_as_their_card_says(name, tag):
    run = load_trained(name, tag)
    assert (run.folder / f"{name}@{tag}.npz").stat().st_size <= 1e6
    images = (
        run.samples.images if run.preprocessing is None else run.preprocessing(run.samples.images)
    )
    right = np.argmax(run.model(images), axis=-1) == run.samples.labels
    claimed = run.card["accuracy"]["value"]
    # Of 100 samples: four standard deviations of a binomial of the claimed accuracy.
    assert abs(right.mean() - claimed) <= 4 * np.sqrt(claimed * (1 - claimed) / len(right))


def test_shipped_cards_name_no_folder_of_the_machine_that_trained_them():
    cards = list((Path(zoo.__file__).parent / "weights").glob("*.json"))
    assert cards
    for card in cards:
        assert " /" not in json.loads(card.read_text())["command"], card.name
