"""Every sign is compared, whatever its layer became; a mismatch names layer, sample and size."""

import re

import numpy as np
import pytest

import zoo
from convert.conversion import convert_model
from convert.errors import ConversionError
from convert.int8.settings import Int8
from convert.samples import Samples
from convert.tflite.graph import Graph
from convert.verification import verify
from onebit.keras import keras, lq, tf
from tests.convert.models import BINARY, images, randomise

L, Q = keras.layers, lq.layers
BOTH = {**BINARY, "input_quantizer": "ste_sign"}
DEPTHWISE = {"depthwise_quantizer": "ste_sign", "depthwise_constraint": "weight_clip",
             "input_quantizer": "ste_sign", "use_bias": False}  # fmt: skip


def digits(count):
    """Real digits, scaled up to 96×96."""
    split = zoo.load_dataset("mnist_5k").test
    inputs = tf.image.resize(split.images[:count] / np.float32(127.5) - 1, (96, 96))
    return inputs.numpy(), split.labels[:count]


def large_network(seed):
    """A stem, five binary blocks with residuals, a binary depthwise and a DoReFa pointwise layer.

    Batch normalisation is calibrated on digits, so that activations are balanced as after training.
    """
    keras.utils.set_random_seed(seed)
    x = image = keras.Input((96, 96, 1))
    x = L.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = L.ReLU()(L.BatchNormalization()(x))
    x = L.Conv2D(64, 3, strides=2, padding="same", use_bias=False, name="stem2")(x)
    x = L.BatchNormalization()(x)
    for number in range(5):
        y = Q.QuantConv2D(64, 3, padding="same", pad_values=1.0, name=f"block{number}", **BOTH)(x)
        x = L.Add()([x, L.BatchNormalization()(y)])
        x = L.MaxPooling2D(2)(x) if number == 2 else x
    x = Q.QuantDepthwiseConv2D(3, padding="same", name="dw", **DEPTHWISE)(x)
    x = L.ReLU()(L.BatchNormalization()(x))
    x = Q.QuantConv2D(64, 1, input_quantizer=lq.quantizers.DoReFa(2), name="pw", **BINARY)(x)
    x = L.ReLU()(L.BatchNormalization()(x))
    x = L.SeparableConv2D(64, 3, padding="same", name="sep")(x)
    x = L.GlobalAveragePooling2D()(L.ReLU()(L.BatchNormalization()(x)))
    model = keras.Model(image, L.Dense(10, activation="softmax", name="probs")(x), name="kws")
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.momentum = 0.0
            layer.gamma.assign(random.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(random.normal(0, 0.3, layer.beta.shape))
    model(digits(64)[0], training=True)
    return model


@pytest.mark.slow
def test_rounding_flips_in_front_of_a_packed_depthwise_layer_are_no_mismatch():
    # Of this seed, pre-activations of dw are within 1e-6 of 0 in four of the thousand digits.
    inputs, labels = digits(1000)
    report = convert_model(
        large_network(1), samples=Samples(inputs, labels, "test"), with_delegate=False
    ).report
    verification = report.verification
    assert verification.verdict == "rounding flips"
    assert set(verification.compared_layers) >= {*(f"block{i}" for i in range(5)), "dw", "pw"}
    assert "dw" in {flip.layer for flip in verification.bit_flips}
    assert all(flip.explained for flip in verification.bit_flips)
    names = {layer.name for layer in report.layers}
    assert {"stem", "dw", "pw", "sep (depthwise)", "sep (pointwise)", "probs"} <= names


def behind(layer, shape=(8, 8, 32), before=None):
    """A layer with signs in front, behind a normalisation."""
    x = image = keras.Input(shape)
    x = L.BatchNormalization()(x)
    x = before(x) if before else x
    return randomise(keras.Model(image, layer(x)))


LAYERS = {
    "depthwise": lambda: behind(Q.QuantDepthwiseConv2D(3, name="layer", **DEPTHWISE)),
    "transposed": lambda: behind(Q.QuantConv2DTranspose(8, 3, name="layer", **BOTH)),
    "volumes": lambda: behind(Q.QuantConv3D(8, 3, name="layer", **BOTH), (5, 5, 5, 32)),
    "transposed volumes": lambda: behind(
        Q.QuantConv3DTranspose(8, 3, name="layer", **BOTH), (5, 5, 5, 32)
    ),
    "grouped": lambda: behind(Q.QuantConv2D(32, 3, groups=2, name="layer", **BOTH)),
    "separable": lambda: behind(
        Q.QuantSeparableConv2D(
            8, 3, input_quantizer="ste_sign", depthwise_quantizer="ste_sign",
            pointwise_quantizer="ste_sign", name="layer",
        )
    ),
    "real weights": lambda: behind(Q.QuantConv2D(8, 3, input_quantizer="ste_sign", name="layer")),
    "tf.sign": lambda: behind(Q.QuantConv2D(8, 3, name="layer",
                                            **{**BOTH, "input_quantizer": tf.sign})),
    "causal": lambda: behind(Q.QuantConv1D(8, 3, padding="causal", name="layer", **BOTH), (9, 32)),
    "time distributed": lambda: behind(
        L.TimeDistributed(Q.QuantConv2D(8, 3, name="layer", **BOTH)), (3, 6, 6, 32)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_bits_in_front_of_a_layer_of_any_kind_are_compared(name):
    model = LAYERS[name]()
    samples = images(30, model.input_shape[1:])
    report = convert_model(model, samples=samples, with_delegate=False).report
    assert report.verification.verdict != "mismatch"
    assert len(report.verification.compared_layers) == 1


def shifted(content, by):
    """The file with everything that a normalisation adds moved by a number."""
    graph = Graph.from_bytes(content)
    adds = [op for op in graph.operators if graph.op_name(op) == "ADD"]
    index = next(i for i in graph.inputs(adds[0]) if graph.is_constant(i))
    value = graph.constant(index) + np.float32(by)
    tensor = graph.subgraph.tensors[index]
    graph.model.buffers[tensor.buffer].data = np.frombuffer(value.tobytes(), np.uint8)
    return graph.to_bytes()


@pytest.mark.parametrize("name", ["depthwise", "transposed", "real weights"])
def test_error_in_front_of_a_layer_of_any_kind_is_found_there(name):
    model = LAYERS[name]()
    content = shifted(convert_model(model, verification=False).tflite, 0.2)
    result = verify(model, content, images(30, model.input_shape[1:]), with_delegate=False)
    assert result.verdict == "mismatch"
    assert {flip.layer for flip in result.bit_flips} == {"layer"}
    first = result.bit_flips[0]
    assert 0.01 < first.margin <= 0.2 * (1 + 1e-3)
    assert f"layer is the first to differ in sample {first.sample}" in result.summary()
    assert f"by a number {first.margin:.2g} from its threshold" in result.summary()


def test_wrong_output_is_named_even_beside_a_larger_one():
    image = keras.Input((32,), name="image")
    large = L.Dense(4, name="large", kernel_initializer=keras.initializers.Constant(1e5))(image)
    small = L.Dense(4, name="small")(image)
    model = keras.Model(image, [large, small])
    graph = Graph.from_bytes(convert_model(model, verification=False).tflite)
    (op,) = (o for o in graph.operators if graph.tensor_name(graph.outputs(o)[0]) == "small")
    tensor = graph.subgraph.tensors[graph.inputs(op)[1]]
    changed = graph.constant(graph.inputs(op)[1]) * np.float32(1.01)
    graph.model.buffers[tensor.buffer].data = np.frombuffer(changed.tobytes(), np.uint8)
    result = verify(model, graph.to_bytes(), images(10, (32,)), with_delegate=False)
    assert result.verdict == "mismatch"
    assert result.worst_output == "small"
    assert f"output small of sample {result.worst_sample} differs by" in result.summary()


def test_conversion_without_data_is_compared_and_a_mismatch_is_not_saved(tmp_path):
    image = keras.Input((6, 6, 32))
    # LCE takes ternary inputs for signs.
    layer = Q.QuantConv2D(16, 3, input_quantizer="ste_tern", **BINARY)
    conversion = convert_model(randomise(keras.Model(image, layer(image))), with_delegate=False)
    assert (conversion.report.verification.samples, conversion.report.verification.split) == (
        16,
        "random",
    )
    with pytest.raises(ConversionError, match=r"disagrees with Keras: mismatch.*keep_mismatch"):
        conversion.save(tmp_path / "x.tflite")
    assert list(tmp_path.iterdir()) == []
    conversion.save(tmp_path / "x.tflite", keep_mismatch=True)
    assert (tmp_path / "x.tflite").exists()


def test_int8_without_data_is_compared_on_the_samples_of_its_ranges():
    # Ranges learnt from small numbers are too narrow for random ones in [-1, 1).
    small = images(64, (16,)) / 50
    x = keras.Input((16,))
    model = keras.Model(x, L.Dense(4)(L.Dense(32, activation="relu")(x)))
    report = convert_model(model, int8=Int8(small)).report
    assert (report.verification.verdict, report.verification.split) == (
        "quantised",
        "representative",
    )
    wide = convert_model(model, int8=Int8(small), samples=images(64, (16,))).report.verification
    assert wide.verdict == "mismatch"


def test_gate_that_stays_open_is_no_mismatch_in_int8():
    image = keras.Input((16, 16, 3))
    x = L.Conv2D(16, 3, strides=2, activation="relu")(image)
    gate = L.Conv2D(4, 1, activation="relu")(L.GlobalAveragePooling2D(keepdims=True)(x))
    gate = L.Conv2D(16, 1, activation="sigmoid",
                    bias_initializer=keras.initializers.Constant(5.0))(gate)  # fmt: skip
    model = keras.Model(image, L.Dense(10)(L.Flatten()(L.Multiply()([x, gate]))))
    samples = images(64, (16, 16, 3))
    verification = convert_model(model, samples=samples, int8=Int8(samples)).report.verification
    assert (verification.verdict, verification.quantization.faults) == ("quantised", [])


def test_attention_heads_of_different_ranges_become_int8():
    """TensorFlow Lite's quantizer gives all that a PACK joins the range of the first."""
    x = keras.Input((5, 16))
    attention = L.MultiHeadAttention(2, 4, name="attention")
    model = randomise(keras.Model(x, L.Dense(4)(L.Flatten()(attention(x, x)))))
    kernel, *rest = attention._query_dense.get_weights()
    kernel[:, 1] *= 8
    attention._query_dense.set_weights([kernel, *rest])
    samples = images(64, (5, 16))
    verification = convert_model(model, int8=Int8(samples), samples=samples).report.verification
    assert (verification.verdict, verification.quantization.faults) == ("quantised", [])


def test_int8_of_a_model_with_a_fixed_batch_is_refused_in_one_line():
    x = keras.Input((32,), batch_size=4)
    model = keras.Model(x, tf.reshape(L.Dense(8)(x), [4, 2, 4]))
    with pytest.raises(ConversionError, match=r"batch size of 4.*takes any batch size"):
        convert_model(model, int8=Int8(images(40, (32,))))


class Noise(L.Layer):
    def call(self, inputs):
        return inputs + tf.random.normal(tf.shape(inputs))


@pytest.mark.parametrize(
    ("layer", "cause"),
    [
        (lambda: Q.QuantConv2D(8, 3, input_quantizer="ste_tern", name="t", **BINARY),
         r'LCE takes the inputs of t for -1 and \+1.*"ste_sign"'),
        (Noise, "gives other outputs for the same inputs"),
        (lambda: Q.QuantConv2D(8, 3, input_quantizer="magnitude_aware_sign", **BINARY),
         "depends on the other samples of its batch"),
    ],
)  # fmt: skip
def test_mismatch_is_explained_where_the_cause_is_known(layer, cause):
    image = keras.Input((6, 6, 32))
    model = randomise(keras.Model(image, layer()(image)))
    report = convert_model(model, with_delegate=False).report
    assert report.verification.verdict == "mismatch"
    assert any(re.search(cause, warning) for warning in report.verification.warnings)
