import numpy as np
import pytest

from convert.conversion import Samples, convert_model
from convert.errors import ConversionError
from convert.flatbuffer import Graph
from convert.verification import verify
from onebit.keras import keras
from tests.convert.models import images, mlp

SAMPLES = 200


@pytest.fixture(scope="module")
def model():
    return mlp(units=(64, 96, 64), activation="relu")


@pytest.fixture(scope="module")
def conversion(model):
    return convert_model(model)


def changed(content, change):
    """The file with one binary convolution's constants changed in place by `change`."""
    graph = Graph.from_bytes(content)
    change(graph, [op for op in graph.operators if graph.op_name(op) == "LceBconv2d"])
    return graph.to_bytes()


def edit(graph, index, change):
    tensor = graph.subgraph.tensors[index]
    value = graph.constant(index).copy()
    change(value)
    graph.model.buffers[tensor.buffer].data = np.frombuffer(value.tobytes(), np.uint8)


def test_untouched_file_is_exact(model, conversion):
    result = verify(model, conversion.tflite, [images(SAMPLES)])
    assert (result.verdict, result.summary()) == ("exact", "exact")
    assert result.compared_layers == ["dense_2", "dense_3", "dense_4"]
    assert result.agreement == 1
    assert result.max_abs_difference <= result.tolerance


def test_accuracy_counts_labels(model, conversion):
    inputs = images(SAMPLES)
    labels = model.predict(inputs, verbose=0).argmax(-1)
    labels[:50] = (labels[:50] + 1) % 10
    result = verify(model, conversion.tflite, [inputs], labels, "test")
    assert result.accuracy_keras == result.accuracy_file == 0.75
    assert result.split == "test"


def shift_thresholds(graph, ops):
    edit(graph, graph.inputs(ops[0])[4], lambda thresholds: thresholds.__iadd__(3))


def swap_channels(graph, ops):
    def swap(words):
        words[[0, 1]] = words[[1, 0]]

    edit(graph, graph.inputs(ops[1])[1], swap)


def flip_one_word(graph, ops):
    def flip(words):
        words[5, 0, 0, 0] = ~words[5, 0, 0, 0]

    edit(graph, graph.inputs(ops[0])[1], flip)


@pytest.mark.parametrize(
    ("error", "layer"),
    [(shift_thresholds, "dense_3"), (swap_channels, "dense_4"), (flip_one_word, "dense_3")],
)
def test_planted_error_is_a_mismatch_at_the_layer_behind_it(model, conversion, error, layer):
    broken = changed(conversion.tflite, error)
    result = verify(model, broken, [images(SAMPLES)])
    assert result.verdict == "mismatch"
    assert result.unexplained_samples > SAMPLES / 10
    assert {flip.layer for flip in result.flips} == {layer}
    assert result.flips[0].margin > result.flips[0].tolerance


def test_wrong_multiplier_of_the_last_layer_is_a_mismatch(model, conversion):
    def scale(graph, ops):
        edit(graph, graph.inputs(ops[-1])[2], lambda multiplier: multiplier.__imul__(1.001))

    result = verify(model, changed(conversion.tflite, scale), [images(SAMPLES)])
    assert (result.verdict, result.flipped_samples) == ("mismatch", 0)


def test_pre_activations_within_rounding_of_the_threshold_are_flips_not_a_mismatch():
    # Sums around 30·Σ±1, which normalisation brings back to unit size: some 10 of the 100,000
    # pre-activations lie within the 1e-4 by which the order of summation changes them.
    model = mlp(units=(512,), input_shape=(784,))
    inputs = 30 + images(200, (784,))
    sums = keras.Model(model.input, model.get_layer("dense_1").output)(inputs).numpy()
    statistics = [np.ones(512), np.zeros(512), sums.mean(0), sums.var(0)]
    model.get_layer("bn_1").set_weights(statistics)
    result = verify(model, convert_model(model).tflite, [inputs])
    assert result.verdict == "rounding flips"
    assert 0 < result.flipped_samples < 100
    assert result.summary() == f"rounding flips ({result.flipped_samples} of 200)"
    assert {flip.layer for flip in result.flips} == {"dense_2"}
    assert all(flip.margin <= flip.tolerance for flip in result.flips)


def test_outputs_of_another_shape_are_refused(conversion):
    with pytest.raises(ConversionError, match="shape"):
        verify(mlp(units=(64, 96, 64), classes=11), conversion.tflite, [images(2)])


def test_conversion_with_samples_reports_the_verification(model):
    report = convert_model(model, samples=Samples([images(8)], None, "random")).report
    assert report.verification is not None
    assert (report.verification.samples, report.verification.split) == (8, "random")
