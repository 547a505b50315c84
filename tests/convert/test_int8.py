import numpy as np
import pytest

from convert.conversion import convert_model, verify_file
from convert.errors import ConversionError, SourceError
from convert.int8.settings import Int8, check_inputs
from convert.int8.values import from_file, representable_range, to_file
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.samples import Samples
from convert.tflite.graph import FLOAT32, INT8, Graph
from onebit.keras import keras, lq
from tests.convert.int8_models import (
    SHAPE,
    binary_connect,
    converted,
    float_net,
    kinds,
    mixed_net,
    noise_db,
    reference,
    zero_padded_net,
)
from tests.convert.models import BINARY, images, randomise


def op_names(content):
    graph = Graph.from_bytes(content)
    return [graph.op_name(op) for op in graph.operators]


def run(content, inputs):
    graph = Graph.from_bytes(content)
    return from_file(graph, LceInterpreter(content).run(to_file(graph, [inputs])))[0]


def io_types(content):
    graph = Graph.from_bytes(content)
    return [
        graph.subgraph.tensors[int(i)].type
        for i in (*graph.subgraph.inputs, *graph.subgraph.outputs)
    ]


@pytest.mark.parametrize("ranges", ["mse", "minmax", "percentile"])
def test_every_float_layer_becomes_int8(ranges):
    model = float_net()
    conversion = converted(float_net, ranges=ranges)
    assert set(kinds(conversion).values()) == {"int8"}
    assert list(kinds(conversion)) == ["stem", "depthwise", "pointwise", "dense"]
    # Nothing is converted on the way: float comes in, float goes out.
    assert [name for name in op_names(conversion.tflite) if "QUANTIZE" in name] == [
        "QUANTIZE",
        "DEQUANTIZE",
    ]
    assert conversion.report.verification.verdict == "quantised"
    inputs = images(32, SHAPE, 9)
    # Four layers of 8 bits each add noise of −35 to −45 dB; 25 leaves room for any of the three.
    assert noise_db(model(inputs).numpy(), run(conversion.tflite, inputs)) < -25


def test_file_is_smaller_than_the_float_one():
    assert len(converted(mixed_net).tflite) < 0.6 * len(convert_model(mixed_net()).tflite)


@pytest.mark.parametrize("build", [mixed_net, zero_padded_net])
def test_binary_layers_stay_binary(build):
    conversion = converted(build, scope="all")
    assert kinds(conversion) == {
        "stem": "int8",
        "binary_1": "binary",
        "binary_2": "binary",
        "head": "int8",
    }
    assert conversion.report.verification.verdict == "quantised"


def test_sums_of_binary_layers_stay_float_unless_all_is_asked_for():
    for scope, type_ in (("layers", FLOAT32), ("all", INT8)):
        graph = Graph.from_bytes(converted(mixed_net, scope=scope).tflite)
        (add,) = (op for op in graph.operators if graph.op_name(op) == "ADD")
        assert graph.subgraph.tensors[graph.outputs(add)[0]].type == type_
        for op in graph.operators:
            if graph.op_name(op) == "LceBconv2d" and scope == "all":
                assert graph.subgraph.tensors[graph.outputs(op)[0]].type == INT8


def test_zero_padded_binary_layer_keeps_float_output_which_lce_needs():
    graph = Graph.from_bytes(converted(zero_padded_net, scope="all").tflite)
    for op in graph.operators:
        if graph.op_name(op) == "LceBconv2d":
            assert graph.subgraph.tensors[graph.outputs(op)[0]].type == FLOAT32


@pytest.mark.parametrize(("build", "scope"), [(mixed_net, "layers"), (binary_connect, "all")])
def test_int8_inputs_and_outputs_hold_the_same_numbers(build, scope):
    as_float = converted(build, scope=scope)
    as_int8 = converted(build, scope=scope, io="int8")
    assert io_types(as_float.tflite) == [FLOAT32, FLOAT32]
    assert io_types(as_int8.tflite) == [INT8, INT8]
    inputs = images(16, SHAPE, 9)
    left, right = run(as_float.tflite, inputs), run(as_int8.tflite, inputs)
    # An output that was float is rounded to 8 bits now.
    assert noise_db(left, right) < -35


def test_weight_only_layers_stay_packed_and_float():
    model = binary_connect()
    conversion = converted(binary_connect)
    assert set(kinds(conversion).values()) == {"binary_weights"}
    assert len(conversion.tflite) == len(convert_model(model).tflite)
    assert conversion.report.verification.verdict == "exact"
    assert conversion.report.notes[-2] == "nothing became int8"
    assert "float, with packed weights: conv, dense;" in conversion.report.notes[-1]


def test_weight_only_layers_in_int8_keep_their_bits():
    model = binary_connect()
    conversion = converted(binary_connect, scope="all")
    assert set(kinds(conversion).values()) == {"binary_weights"}
    assert all(layer.reason == "its inputs are 8-bit numbers" for layer in conversion.report.layers)
    # Packed: within 4 kB of the float file, whose weights are packed too.
    assert len(conversion.tflite) < len(convert_model(model).tflite) + 4096
    inputs = images(16, SHAPE, 9)
    assert noise_db(model(inputs).numpy(), run(conversion.tflite, inputs)) < -25


def test_gamma_of_zero_keeps_the_layer_float():
    model = binary_connect()
    norm = model.layers[2]
    gamma, *rest = norm.get_weights()
    gamma[3] = 0
    norm.set_weights([gamma, *rest])
    conversion = converted(lambda: model, scope="all")
    assert [layer.reason for layer in conversion.report.layers] == [
        "its inputs are real numbers",
        "its inputs are 8-bit numbers",
    ]
    assert conversion.report.verification.verdict == "quantised"


def test_existing_file_is_verified_against_a_new_float_file():
    content = converted(mixed_net).tflite
    result = verify_file(mixed_net(), content, Samples([images(16, SHAPE, 9)]))
    assert result.verdict == "quantised"
    assert result.summary().startswith("quantised (argmax agrees on ")
    assert result.quantization.float_file == "exact"


def test_model_is_not_changed():
    model = mixed_net()
    before = [weights.copy() for weights in model.get_weights()]
    convert_model(model, int8=Int8([images(64, SHAPE, 7)]))
    for left, right in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((40, *SHAPE), np.float32), "every number of the representative samples is 0"),
        (np.repeat(images(1, SHAPE), 40, 0), "40 representative samples are all the same"),
    ],
)
def test_useless_samples_are_refused(inputs, message):
    with pytest.raises(ConversionError, match=message):
        check_inputs([inputs])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.full((40, *SHAPE), np.nan, np.float32), "NaN or infinity in int8.inputs: inputs"),
        (images(40, (12, 12, 1)), r"shape \[40, 12, 12, 1\], the model takes \[N, 12, 12, 3\]"),
        (images(0, SHAPE), "int8.inputs has no samples"),
        (np.zeros((40, *SHAPE), np.uint8), "inputs are uint8"),
        ([images(40, SHAPE)] * 2, "2 arrays, the model takes 1 input"),
    ],
)
def test_unfit_samples_are_refused_as_those_of_the_verification_are(inputs, message):
    with pytest.raises(SourceError, match=message):
        convert_model(float_net(), int8=Int8(inputs))


@pytest.mark.parametrize(
    "settings", [{"ranges": "max"}, {"io": "uint8"}, {"scope": "everything"}, {"io": None}]
)
def test_unknown_settings_are_refused(settings):
    (name,) = settings
    with pytest.raises(ConversionError, match=f"Int8 has no {name} "):
        Int8([images(40, SHAPE)], **settings)


def test_unknown_pass_to_leave_out_is_refused():
    settings = Int8([images(40, SHAPE)], without_passes=frozenset({"center_sign"}))
    with pytest.raises(ConversionError, match="did you mean center_signs"):
        convert_model(float_net(), int8=settings)


def test_few_samples_are_warned_about():
    (warning,) = check_inputs([images(1, SHAPE)])
    assert "int8 ranges come from 1 sample only" in warning
    assert check_inputs([images(32, SHAPE)]) == []


def pooled_shortcut():
    """A binary layer with a shortcut, its average, and a dense layer."""
    x = image = keras.Input(SHAPE, name="image")
    x = keras.layers.Conv2D(32, 3, use_bias=False, name="stem")(x)
    x = shortcut = keras.layers.BatchNormalization()(x)
    x = lq.layers.QuantConv2D(
        32, 3, input_quantizer="ste_sign", padding="same", pad_values=1, name="binary", **BINARY
    )(x)
    x = keras.layers.Add()([keras.layers.BatchNormalization()(x), shortcut])
    x = keras.layers.AveragePooling2D(10, name="average")(keras.layers.ReLU()(x))
    x = keras.layers.Dense(5, name="head")(keras.layers.Flatten()(x))
    return randomise(keras.Model(image, x, name="pooled_shortcut"), 8)


def test_pooling_of_floats_stays_float():
    """TensorFlow Lite's quantizer would give the sum the narrow range of its average."""
    conversion = converted(pooled_shortcut)
    graph = Graph.from_bytes(conversion.tflite)
    (pool,) = (op for op in graph.operators if graph.op_name(op) in ("AVERAGE_POOL_2D", "MEAN"))
    assert graph.subgraph.tensors[graph.inputs(pool)[0]].type == FLOAT32
    assert conversion.report.verification.verdict == "quantised"


def test_outputs_have_room_beyond_those_of_the_samples():
    graph = Graph.from_bytes(converted(float_net, io="int8").tflite)
    low, high, _ = representable_range(graph, int(graph.subgraph.outputs[0]))
    (outputs,) = LceInterpreter(reference(float_net).to_bytes()).run([images(64, SHAPE, 7)])
    width = outputs.max() - outputs.min()
    assert low == pytest.approx(outputs.min() - width / 4, rel=0.02)
    assert high == pytest.approx(outputs.max() + width / 4, rel=0.02)
