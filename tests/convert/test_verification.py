import numpy as np
import pytest

from convert.conversion import convert_model
from convert.errors import ConversionError
from convert.samples import Samples
from convert.tflite.graph import Graph
from convert.verification import verify
from convert.verification.probes import distance_to_threshold
from onebit.keras import keras, lq, tf
from tests.convert.models import BINARY, BOTH, images, mlp, randomise

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
    assert result == verify(model, conversion.tflite, Samples([inputs], labels, "test"))
    assert result.accuracy_keras == result.accuracy_file == 0.75
    assert result.split == "test"


@pytest.mark.parametrize("batch", [None, 8])
def test_outputs_may_have_several_rows_for_each_sample(batch):
    image = keras.Input((4, 64), batch_size=batch)
    x = lq.layers.QuantDense(96, name="inner", **BOTH)(tf.reshape(image, [-1, 64]))
    x = lq.layers.QuantDense(10, name="outer", **BOTH)(keras.layers.BatchNormalization()(x))
    model = randomise(keras.Model(image, x))
    samples = Samples([images(20, (4, 64))], np.zeros(20, int))
    result = convert_model(model, samples=samples).report.verification
    assert (result.verdict, result.samples, result.accuracy_keras) == ("exact", 20, None)
    assert result.compared_layers == ["inner", "outer"]


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
    assert {flip.layer for flip in result.bit_flips} == {layer}
    assert result.bit_flips[0].margin > result.bit_flips[0].tolerance


def test_wrong_multiplier_of_the_last_layer_is_a_mismatch(model, conversion):
    def scale(graph, ops):
        edit(graph, graph.inputs(ops[-1])[2], lambda multiplier: multiplier.__imul__(1.001))

    result = verify(model, changed(conversion.tflite, scale), [images(SAMPLES)])
    assert (result.verdict, result.flipped_samples) == ("mismatch", 0)


def adding_halves(model):
    """The same MLP, but that sums of the first layer are added up in halves."""
    first = model.get_layer("dense_1")
    with lq.context.quantized_scope(False):
        (kernel,) = first.get_weights()
    image = keras.Input(model.input_shape[1:])
    parts = [slice(len(kernel) // 2), slice(len(kernel) // 2, None)]
    halves = [lq.layers.QuantDense(first.units, **BINARY) for _ in parts]
    x = keras.layers.Add()([half(image[:, part]) for half, part in zip(halves, parts, strict=True)])
    for half, part in zip(halves, parts, strict=True):
        half.set_weights([kernel[part]])
    for layer in model.layers[model.layers.index(first) + 1 :]:
        x = layer(x)
    return keras.Model(image, x)


def test_pre_activations_within_rounding_of_the_threshold_are_flips_not_a_mismatch():
    # Sums around 300·Σ±1, which normalisation brings back to unit size: some 20 of the 100,000
    # pre-activations lie within the 5e-4 by which the order of summation changes them.
    model = mlp(units=(512,), input_shape=(784,))
    inputs = 300 + images(200, (784,))
    sums = keras.Model(model.input, model.get_layer("dense_1").output)(inputs).numpy()
    statistics = [np.ones(512), np.zeros(512), sums.mean(0), sums.var(0)]
    model.get_layer("bn_1").set_weights(statistics)
    result = verify(model, convert_model(adding_halves(model)).tflite, [inputs])
    assert result.verdict == "rounding flips"
    assert 0 < result.flipped_samples < 100
    assert result.summary() == f"rounding flips ({result.flipped_samples} of 200)"
    assert {flip.layer for flip in result.bit_flips} == {"dense_2"}
    assert all(flip.margin <= flip.tolerance for flip in result.bit_flips)


class Threshold(lq.quantizers.Quantizer):
    """sign(x − β) with a threshold β of its own for each channel, as in ReActNet."""

    precision = 1

    def __init__(self, thresholds):
        super().__init__()
        self.thresholds = np.asarray(thresholds, np.float32)

    def call(self, inputs):
        return lq.math.sign(inputs - self.thresholds)


def conv_net(quantizers, **options):
    """Three binary convolutions and normalisations; nothing is fused before the last sign."""
    x = image = keras.Input((6, 6, 32))
    for index, quantizer in enumerate(quantizers, 1):
        layer = lq.layers.QuantConv2D(
            32, 3, padding="same", pad_values=1.0, input_quantizer=quantizer,
            name=f"conv_{index}", **BINARY,
        )  # fmt: skip
        x = keras.layers.Add()([layer(x), x]) if options.get("residual") else layer(x)
        x = keras.layers.BatchNormalization(name=f"bn_{index}")(x)
    return randomise(keras.Model(image, x))


THRESHOLDS = np.linspace(-2, 2, 32)


def test_thresholds_other_than_zero_are_exact():
    model = conv_net([Threshold(THRESHOLDS), Threshold(THRESHOLDS[::-1]), "ste_sign"])
    result = verify(model, convert_model(model).tflite, [images(40, (6, 6, 32))])
    assert result.verdict != "mismatch"
    assert result.compared_layers == ["conv_1", "conv_2", "conv_3"]


def test_threshold_shifted_by_little_is_not_taken_for_rounding():
    # The file is that of a model with thresholds 1 % larger: bits flip near them, not near 0.
    model = conv_net([Threshold(THRESHOLDS), "ste_sign"])
    shifted = conv_net([Threshold(1.01 * THRESHOLDS), "ste_sign"])
    result = verify(model, convert_model(shifted).tflite, [images(40, (6, 6, 32))])
    assert result.verdict == "mismatch"
    assert {flip.layer for flip in result.bit_flips} == {"conv_1"}
    # β is at most 2 in size, so no flipped number is further than 0.02 from it.
    assert max(flip.margin for flip in result.bit_flips) <= 0.02 * (1 + 1e-5)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.5, -0.25, 0.0], [0.5, 0.25, 0.0]), ([[1.5, -1.0]], [[0.5, 1.0]])],
)
def test_distance_to_threshold(values, expected):
    sign = Threshold([1.0, -2.0]) if np.ndim(values) == 2 else lq.quantizers.SteSign()
    distance = distance_to_threshold(sign, np.array(values, np.float32))
    # Bisection ends at 2^-40 of a range below 16, float32 numbers near 2 are 2^-23 apart.
    np.testing.assert_allclose(distance, expected, atol=2.0**-22)


def test_distance_to_a_threshold_that_is_never_reached_is_infinite():
    distance = distance_to_threshold(lambda x: tf.ones_like(x), np.zeros((2, 3), np.float32))
    assert np.isinf(distance).all()


def test_infinity_leaves_the_distances_of_other_numbers():
    distance = distance_to_threshold(
        lq.quantizers.SteSign(), np.array([0.5, np.inf, -np.inf], np.float32)
    )
    np.testing.assert_allclose(distance, [0.5, np.inf, np.inf], atol=2.0**-22)


def test_wrong_multiplier_in_the_middle_is_found_at_the_next_layer():
    model = conv_net(["ste_sign"] * 3, residual=True)

    def scale(graph, ops):
        edit(graph, graph.inputs(ops[0])[2], lambda multiplier: multiplier.__imul__(1.3))

    content = convert_model(model).tflite
    assert verify(model, content, [images(20, (6, 6, 32))]).verdict != "mismatch"
    result = verify(model, changed(content, scale), [images(20, (6, 6, 32))])
    assert result.verdict == "mismatch"
    assert {flip.layer for flip in result.bit_flips} == {"conv_2"}


def nested_and_shared():
    shared = lq.layers.QuantDense(32, input_quantizer="ste_sign", name="shared", **BINARY)
    inner = keras.Sequential(
        [
            keras.Input((32,)),
            lq.layers.QuantDense(32, input_quantizer="ste_sign", name="inner_dense", **BINARY),
        ],
        name="inner",
    )
    image = keras.Input((32,))
    x = inner(shared(shared(image)))
    x = keras.layers.Flatten()(keras.layers.Activation(lq.math.sign)(x))
    x = lq.layers.QuantDense(20, name="separate", **BINARY)(x)
    return randomise(keras.Model(image, x))


def test_nested_shared_and_separate_signs_are_compared():
    model = nested_and_shared()
    before = [vars(layer).get("input_quantizer") for layer in model.layers]
    result = verify(model, convert_model(model).tflite, [images(30, (32,))])
    assert result.verdict == "exact"
    assert result.compared_layers == ["shared", "inner_dense", "separate"]
    assert [vars(layer).get("input_quantizer") for layer in model.layers] == before


# The shared filter has two operators, whose error shows first at its second use.
@pytest.mark.parametrize(("position", "layer"), [(0, "shared"), (2, "separate")])
def test_errors_before_shared_layers_and_separate_signs_are_located(position, layer):
    def flip(graph, ops):
        edit(graph, graph.inputs(ops[position])[1], lambda words: words.__ixor__(0x55))

    model = nested_and_shared()
    content = changed(convert_model(model).tflite, flip)
    result = verify(model, content, [images(30, (32,))])
    assert result.verdict == "mismatch"
    assert {flip.layer for flip in result.bit_flips} == {layer}


def dorefa_net():
    x = image = keras.Input((8, 8, 16))
    for index in (1, 2, 3):
        x = lq.layers.QuantConv2D(
            64, 3, padding="same", input_quantizer=lq.quantizers.DoReFa(2), name=f"conv_{index}",
            **BINARY,
        )(x)  # fmt: skip
        x = keras.layers.BatchNormalization(name=f"bn_{index}")(x)
    return randomise(keras.Model(image, x))


def test_steps_of_several_bits_are_compared():
    model = dorefa_net()
    result = verify(model, convert_model(model).tflite, [images(40, (8, 8, 16))])
    assert result.verdict != "mismatch"
    assert result.compared_layers == ["conv_1", "conv_2", "conv_3"]


def test_error_before_a_layer_of_several_bits_is_located():
    def shift(graph, ops):
        multiplications = [op for op in graph.operators if graph.op_name(op) == "MUL"]
        scales = [
            index
            for op in multiplications
            for index in graph.inputs(op)
            if graph.is_constant(index) and graph.shape(index) == [64]
        ]
        edit(graph, scales[0], lambda scale: scale.__imul__(1.05))

    model = dorefa_net()
    content = changed(convert_model(model).tflite, shift)
    result = verify(model, content, [images(20, (8, 8, 16))])
    assert result.verdict == "mismatch"
    assert {flip.layer for flip in result.bit_flips} == {"conv_2"}


def test_lce_takes_ternary_inputs_for_signs_and_the_verification_finds_it():
    image = keras.Input((6, 6, 32))
    layer = lq.layers.QuantConv2D(16, 3, input_quantizer="ste_tern", **BINARY)
    model = randomise(keras.Model(image, layer(image)))
    result = verify(model, convert_model(model).tflite, [images(8, (6, 6, 32))])
    assert result.verdict == "mismatch"


def test_outputs_of_another_shape_are_refused(conversion):
    with pytest.raises(ConversionError, match="shape"):
        verify(mlp(units=(64, 96, 64), classes=11), conversion.tflite, [images(2)])


def test_conversion_with_samples_reports_the_verification(model):
    report = convert_model(model, samples=Samples([images(8)], None, "random")).report
    assert report.verification is not None
    assert (report.verification.samples, report.verification.split) == (8, "random")
