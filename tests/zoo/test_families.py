"""Sizes of the full networks against the authors' figures, or counts made by hand."""

import numpy as np
import pytest

import zoo
from onebit.errors import OnebitError
from onebit.keras import keras
from zoo.catalogue import describe
from zoo.datasets.preprocessing import IMAGENET
from zoo.models.reactnet import REACTNET_A_WIDTHS
from zoo.summary import layer_records, totals

LARQ_PARAMETERS = {
    # The tables in larq-zoo 2.4.0's docstrings.
    "quicknet_small": 12_655_688,
    "quicknet": 13_234_088,
    "quicknet_large": 23_342_248,
    "binary_densenet28": 5_150_504,
    "binary_densenet37": 8_734_120,
    "binary_densenet37_dilated": 8_734_120,
    "binary_densenet45": 13_939_240,
    "binary_resnet_e18": 11_699_368,
    "real_to_binary_net": 11_995_624,
    "meliusnet22": 6_944_584,
    "dorefanet": 62_403_912,
    "larq_bi_real_net": 11_699_112,
    "larq_xnor_net": 62_396_768,
    "larq_binary_alexnet": 61_859_192,
    # Larq builds the same networks; our XNOR-Net has the scales that Larq's batch norm leaves out
    # and one more of them before its dense layers, so it is counted by hand below.
    "bi_real_net18": 11_699_112,
    "binary_alexnet": 61_859_192,
}
WITHOUT_AVERAGES = {"quicknet_small", "quicknet", "quicknet_large", "meliusnet22"}
"""Those whose table leaves out what batch norms with a scale average; the others' count all."""
OPERATIONS = {
    # (binary + float) from ReActNet, arXiv 2003.03488, table 1, and its program's README, which
    # print two or three digits: OPs = binary / 64 + float.
    "reactnet_a": (4.82e9, 0.12e8, 0.87e8),
    "react_resnet18": (1.68e9, 1.39e8, 1.63e8),
    # The same table, quoted from memory; its 1.63e8 OPs for ReActNet-B are not its two summands'.
    "reactnet_b": (4.69e9, 0.44e8, None),
    "reactnet_c": (4.69e9, 1.40e8, 2.14e8),
    # MeliusNet's authors, https://github.com/hpi-xnor/BMXNet-v2-wiki, README.md, grouped_stem.
    "meliusnet22": (None, None, 2.08e8),
    "meliusnet29": (None, None, 2.14e8),
    "meliusnet42": (None, None, 3.25e8),
    "meliusnet59": (None, None, 5.32e8),
    # ReActNet's table 1 again.
    "bi_real_net18": (1.68e9, 1.39e8, 1.63e8),
    "xnor_net_resnet18": (1.70e9, 1.41e8, 1.67e8),
    # Bi-Real Net, arXiv 1808.00278, table 3: 1.93e8 in all.
    "bi_real_net34": (None, None, 1.93e8),
}
QUICK = ("bi_real_net18",)


def _cases(names):
    marks = {False: [pytest.mark.slow], True: []}
    return [pytest.param(name, marks=marks[name in QUICK]) for name in names]


@pytest.mark.parametrize("name", _cases(LARQ_PARAMETERS))
def test_parameters_are_those_that_larq_counts(name):
    model = zoo.build(name)
    averages = 0
    if name in WITHOUT_AVERAGES:
        norms = [n for n in model.layers if isinstance(n, keras.layers.BatchNormalization)]
        averages = sum(2 * norm.moving_mean.shape[0] for norm in norms if norm.scale)
    assert model.count_params() - averages == LARQ_PARAMETERS[name]
    assert model.output_shape == (None, 1000)


@pytest.mark.parametrize("name", _cases(OPERATIONS))
def test_operations_are_those_of_the_papers_table(name):
    sums = totals(layer_records(zoo.build(name)))
    real = sums["macs"] - sums["binary_macs"]
    found = sums["binary_macs"], real, sums["binary_macs"] / 64 + real
    for value, reported in zip(found, OPERATIONS[name], strict=True):
        # Half of the last printed digit, and 2 % because the papers don't say what they leave out:
        # their own two summands for Bi-Real Net add up to 1.65e8.
        assert reported is None or abs(value - reported) <= 0.025 * reported


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        # What Keras counts of the programs in https://github.com/mlcommons/tiny, with biases and
        # averages, and the multiply-accumulates that are quoted for them.
        ("ds_cnn", 24_908, 2.66e6),
        ("mobilenet", 221_794, 7.49e6),
        ("resnet8", 78_666, 12.50e6),
        ("autoencoder", 269_992, 0.264e6),
    ],
)
def test_mlperf_tiny_networks_have_the_references_parameters(name, parameters, macs):
    for kind in ("float", "binary"):
        model = zoo.build(f"{kind}_{name}")
        norms = [n for n in model.layers if isinstance(n, keras.layers.BatchNormalization)]
        # The references have a bias in front of each batch normalisation.
        biases = sum(norm.moving_mean.shape[0] for norm in norms)
        assert model.count_params() + biases == parameters
        # Half of the last printed digit.
        assert abs(totals(layer_records(model))["macs"] - macs) <= 5e3


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # Counted by hand from jiecaoyu's program: kernels, biases of binary layers, batch norms.
        (
            "lenet5",
            (25 * 20 + 4 * 20)
            + (4 * 20 + 25 * 20 * 50 + 50)
            + (4 * 50 + 800 * 500 + 500)
            + (500 * 10 + 10),
        ),
        (
            "nin",
            (75 * 192 + 4 * 192)
            + sum(
                4 * inputs + size * inputs * outputs + outputs
                for inputs, outputs, size in (
                    (192, 160, 1), (160, 96, 1), (96, 192, 25), (192, 192, 1), (192, 192, 1),
                    (192, 192, 9), (192, 192, 1),
                )
            )
            + (4 * 192 + 192 * 10 + 10),
        ),
    ],
)  # fmt: skip
def test_small_xnor_nets_have_the_programs_parameters(name, parameters):
    for kind in ("xnor_net", "float"):
        assert zoo.build(f"{kind}_{name}").count_params() == parameters


def test_reactnet_a_has_the_parameters_counted_by_hand():
    count = 9 * 3 * 32 + 4 * 32
    channels = 32
    for multiple in REACTNET_A_WIDTHS:
        filters = 32 * multiple
        # 3×3 and 1×1 filters, each with thresholds in front, and batch norm and RPReLU behind.
        count += 9 * channels**2 + channels + (4 + 3) * channels
        count += channels * filters + channels + (4 + 3) * filters
        channels = filters
    count += 1024 * 1000 + 1000
    assert zoo.build("reactnet_a").count_params() == count == 29_365_480


@pytest.mark.slow
def test_xnor_net_alexnet_has_the_parameters_counted_by_hand():
    kernels = 11**2 * 3 * 96 + 25 * 96 * 256 + 9 * (256 * 384 + 384**2 + 384 * 256)
    kernels += 36 * 256 * 4096 + 4096**2 + 4096 * 1000
    norms = 4 * (96 + 96 + 256 + 384 + 384 + 256 + 4096 + 4096)
    assert zoo.build("xnor_net_alexnet").count_params() == kernels + norms + 1000
    # Weights only: batch norm behind each convolution, not in front of it.
    norms = 4 * (96 + 256 + 384 + 384 + 256 + 4096 + 4096)
    assert zoo.build("bwn_alexnet").count_params() == kernels + norms + 1000


@pytest.mark.slow
def test_resnets_have_the_sizes_of_the_papers():
    # torchvision's resnet18 and resnet34 have 11,689,512 and 21,797,672 parameters; Keras counts
    # the averages of batch norm too, two for each of its channels.
    for name, parameters in (("float_resnet18", 11_689_512), ("float_resnet34", 21_797_672)):
        assert sum(keras.backend.count_params(w) for w in zoo.build(name).trainable_weights) == (
            parameters
        )


def test_trained_weights_that_cannot_be_fetched_give_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))

    def offline(*args, **kwargs):
        raise Exception("URL fetch failure on https://host/quicknet_weights.h5: None -- no network")

    monkeypatch.setattr(keras.utils, "get_file", offline)
    with pytest.raises(OnebitError, match="quicknet's ImageNet weights are not here") as caught:
        zoo.build("quicknet", weights="imagenet")
    message = str(caught.value)
    assert "quicknet_weights.h5" in message
    assert ".keras/larq/models/quicknet" in message
    assert "\n" not in message


def test_other_weights_and_other_classes_are_refused():
    with pytest.raises(OnebitError, match="weights are imagenet or none, not 'cifar10'"):
        zoo.build("quicknet", weights="cifar10")
    with pytest.raises(OnebitError, match="have 1000 classes, not 10"):
        zoo.build("quicknet", weights="imagenet", classes=10)


@pytest.mark.parametrize("name", ["binary_alexnet", "xnor_net_alexnet", "bwn_alexnet"])
def test_an_image_too_small_for_alexnet_gives_one_line(name):
    with pytest.raises(OnebitError, match=rf"{name} cannot be built.* at least 6[13]×6[13]"):
        zoo.build(name, input_shape=(32, 32, 3))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["meliusnet22", "dorefanet", "real_to_binary_net_fp"])
def test_larqs_network_gives_the_logarithms_of_its_own_probabilities(name):
    import larq_zoo

    keras.utils.set_random_seed(3)
    ours = zoo.build(name, input_shape=(64, 64, 3), classes=5)
    factory = {
        "meliusnet22": larq_zoo.literature.meliusnet.MeliusNet22Factory,
        "dorefanet": larq_zoo.literature.dorefanet.DoReFaNetFactory,
        "real_to_binary_net_fp": larq_zoo.literature.real_to_bin_nets.RealToBinNetFPFactory,
    }[name]
    theirs = factory(input_shape=(64, 64, 3), num_classes=5, weights=None).build()
    theirs.set_weights(ours.get_weights())
    images = np.random.default_rng(2).uniform(-1, 1, (3, 64, 64, 3)).astype(np.float32)
    expected = np.asarray(theirs(images))
    # A softmax of float32: some roundings on numbers up to 1.
    np.testing.assert_allclose(keras.activations.softmax(ours(images)), expected, atol=16 * 2**-24)


@pytest.mark.slow
def test_efficientnets_are_those_of_keras_behind_its_normalisation():
    # What Keras counts, with the three weights of its normalisation.
    for size, parameters in {"b0": 5_330_571, "b2": 9_177_569, "b4": 19_466_823}.items():
        assert zoo.build(f"float_efficientnet_{size}").count_params() == parameters - 7
    whole = keras.applications.EfficientNetB0(
        weights=None, input_shape=(64, 64, 3), classes=5, classifier_activation=None
    )
    deviations = np.array([58.395, 57.12, 57.375]) / 255
    means = np.array([123.675, 116.28, 103.53]) / 255
    normalization = next(n for n in whole.layers if isinstance(n, keras.layers.Normalization))
    normalization.set_weights([means, deviations**2, 0])
    model = zoo.build("float_efficientnet_b0", input_shape=(64, 64, 3), classes=5)
    model.set_weights(whole.get_weights()[3:])
    pixels = np.random.default_rng(3).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    found = model(IMAGENET.fit(pixels)(pixels))
    # Some eighty layers; the logits are below 1.
    np.testing.assert_allclose(found, whole(pixels.astype(np.float32)), atol=1e-4)


@pytest.mark.slow
def test_keras_weights_that_cannot_be_fetched_give_one_line(monkeypatch):
    build = keras.applications.EfficientNetB0

    def offline(weights=None, **options):
        if weights:
            raise Exception("URL fetch failure on https://host/b0.h5: None -- no network")
        return build(weights=None, **options)

    monkeypatch.setattr(keras.applications, "EfficientNetB0", offline)
    with pytest.raises(OnebitError, match=r"float_efficientnet_b0's ImageNet weights are not here"):
        zoo.build("float_efficientnet_b0", weights="imagenet")
    with pytest.raises(OnebitError, match="ImageNet's weights have 1000 classes, not 10"):
        zoo.build("float_efficientnet_b0", weights="imagenet", classes=10)
    # To show a recipe takes no weights.
    assert describe("float_efficientnet_b0_imagenet")["options"]["weights"] == "imagenet"
