"""int8 operators in C compute what LCE's interpreter computes, bit for bit."""

import numpy as np
import pytest

from convert.conversion import convert_model
from convert.int8.settings import Int8
from convert.runtimes.lce_interpreter import LceInterpreter
from onebit.keras import keras, lq
from tests.convert.models import BINARY, images, randomise
from tests.support.c_networks import CNetwork
from tests.support.lce_graphs import Graph, conv_options, dense_options, schema, windows

OPS, KINDS = schema.BuiltinOperator, schema.BuiltinOptions


class Int8Graph:
    """Builds a network of one operator on int8 numbers."""

    def __init__(self, seed=0):
        self.rng, self.g = np.random.default_rng(seed), Graph()
        self.inputs = []

    def value(self, shape, scale, zero):
        return self.g.tensor(shape, np.int8, scale=scale, zero_point=zero)

    def input(self, shape, scale=0.05, zero=3):
        self.inputs.append(self.value(shape, scale, zero))
        return self.inputs[-1]

    def constant(self, data, scale, axis=0):
        index = self.g.constant(data)
        q = self.g.graph.tensors[index].quantization = schema.QuantizationParametersT()
        q.scale = [float(s) for s in np.atleast_1d(scale)]
        q.zeroPoint = [0] * len(q.scale)
        q.quantizedDimension = axis
        return index

    def check(self, output, folder):
        content = self.g.build(self.inputs, [output])
        arrays = [
            self.rng.integers(-128, 128, self.g.shape(i)).astype(np.int8) for i in self.inputs
        ]
        (expected,) = LceInterpreter(content).run_once(arrays)
        (result,) = CNetwork(content, folder).build().run(arrays)
        np.testing.assert_array_equal(result, expected)

    def filtered(self, kind, stride=(1, 1), dilation=(1, 1), same=True, activation=0, channels=16):
        rng, outputs, kernel = self.rng, 24, (3, 2)
        x = self.input([1, 9, 8, channels])
        axis, per_tensor = 0, False
        if kind == "dense":
            weights = rng.integers(-127, 128, (outputs, 72 * channels))
            shape, per_tensor = [1, outputs], True
        elif kind == "depthwise":
            outputs, axis = 2 * channels, 3
            weights = rng.integers(-127, 128, (1, *kernel, outputs))
        else:
            weights = rng.integers(-127, 128, (outputs, *kernel, channels))
        if kind != "dense":
            shape = [1, *windows((9, 8), kernel, stride, dilation, same), outputs]
        scales = rng.uniform(0.001, 0.02, 1 if per_tensor else outputs)
        biases = rng.integers(-3000, 3000, outputs).astype(np.int32)
        constants = [
            self.constant(weights.astype(np.int8), scales, axis),
            self.constant(biases, np.broadcast_to(0.05 * scales, (outputs,))),
        ]
        y = self.value(shape, 3.1 if per_tensor else 0.8, -7)
        if kind == "dense":
            self.g.operator(OPS.FULLY_CONNECTED, [x, *constants], [y],
                            builtin=dense_options(activation=activation))  # fmt: skip
        else:
            code = OPS.DEPTHWISE_CONV_2D if kind == "depthwise" else OPS.CONV_2D
            options = conv_options(stride, dilation, same, kind == "depthwise", activation, 2)
            self.g.operator(code, [x, *constants], [y], builtin=options)
        return y


@pytest.mark.parametrize("kind", ["conv", "depthwise", "dense"])
@pytest.mark.parametrize(
    "options",
    [{}, {"stride": (2, 1), "activation": 1}, {"same": False, "activation": 3}],
    ids=["same", "strided", "valid"],
)
def test_layer_with_filter(kind, options, tmp_path):
    graph = Int8Graph(len(str(options)))
    graph.check(graph.filtered(kind, **options), tmp_path)


def test_dilated_convolution(tmp_path):
    graph = Int8Graph()
    graph.check(graph.filtered("conv", dilation=(2, 3)), tmp_path)


@pytest.mark.parametrize("activation", [0, 1])
@pytest.mark.parametrize("code", ["ADD", "SUB", "MUL"])
def test_operation_of_two_values(code, activation, tmp_path):
    graph = Int8Graph()
    a, b = graph.input([1, 9, 7, 20], 0.05, 3), graph.input([1, 9, 7, 20], 0.031, -20)
    y = graph.value([1, 9, 7, 20], 0.08 if code != "MUL" else 0.16, 5)
    options = getattr(schema, f"{code.title()}OptionsT")()
    options.fusedActivationFunction = activation
    kind = getattr(KINDS, f"{code.title()}Options")
    graph.g.operator(getattr(OPS, code), [a, b], [y], builtin=(kind, options))
    graph.check(y, tmp_path)


@pytest.mark.parametrize("kind", ["MAX", "AVERAGE"])
@pytest.mark.parametrize("same", [True, False])
def test_pool(kind, same, tmp_path):
    graph = Int8Graph()
    x = graph.input([1, 9, 8, 20])
    y = graph.value([1, *windows((9, 8), (3, 2), (2, 2), (1, 1), same), 20], 0.05, 3)
    options = schema.Pool2DOptionsT()
    options.filterHeight, options.filterWidth = 3, 2
    options.strideH = options.strideW = 2
    options.padding = schema.Padding.SAME if same else schema.Padding.VALID
    graph.g.operator(
        getattr(OPS, f"{kind}_POOL_2D"), [x], [y], builtin=(KINDS.Pool2DOptions, options)
    )
    graph.check(y, tmp_path)


def test_mean(tmp_path):
    graph = Int8Graph()
    x, y = graph.input([1, 7, 5, 20]), graph.value([1, 20], 0.011, -9)
    axes = graph.g.constant(np.array([1, 2], np.int32))
    graph.g.operator(
        OPS.MEAN, [x, axes], [y], builtin=(KINDS.ReducerOptions, schema.ReducerOptionsT())
    )
    graph.check(y, tmp_path)


@pytest.mark.parametrize(
    ("code", "scale", "zero"),
    [
        ("RELU", 0.05, -128),
        ("RELU6", 6 / 255, -128),
        ("LEAKY_RELU", 0.07, 10),
        ("LOGISTIC", 1 / 256, -128),
        ("TANH", 1 / 128, 0),
        ("QUANTIZE", 0.09, 17),
    ],
)
def test_function_of_one_number(code, scale, zero, tmp_path):
    graph = Int8Graph()
    x, y = graph.input([1, 4, 80]), graph.value([1, 4, 80], scale, zero)
    builtin = None
    if code == "LEAKY_RELU":
        options = schema.LeakyReluOptionsT()
        options.alpha = 0.2
        builtin = (KINDS.LeakyReluOptions, options)
    graph.g.operator(getattr(OPS, code), [x], [y], builtin=builtin)
    graph.check(y, tmp_path)


def test_softmax(tmp_path):
    graph = Int8Graph()
    x, y = graph.input([8, 10], 0.1, 5), graph.value([8, 10], 1 / 256, -128)
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    graph.g.operator(OPS.SOFTMAX, [x], [y], builtin=(KINDS.SoftmaxOptions, options))
    graph.check(y, tmp_path)


def test_concatenation_and_padding(tmp_path):
    graph = Int8Graph()
    a, b = graph.input([1, 3, 4, 5]), graph.input([1, 3, 4, 7])
    joined = graph.value([1, 3, 4, 12], 0.05, 3)
    options = schema.ConcatenationOptionsT()
    options.axis = -1
    graph.g.operator(
        OPS.CONCATENATION, [a, b], [joined], builtin=(KINDS.ConcatenationOptions, options)
    )
    y = graph.value([1, 6, 7, 12], 0.05, 3)
    pads = graph.g.constant(np.array([[0, 0], [1, 2], [0, 3], [0, 0]], np.int32))
    graph.g.operator(OPS.PAD, [joined, pads], [y], builtin=(KINDS.PadOptions, schema.PadOptionsT()))
    graph.check(y, tmp_path)


@pytest.mark.parametrize("scope", [pytest.param("layers", marks=pytest.mark.slow), "all"])
def test_converted_model(scope, tmp_path):
    image = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(8, 3, activation="relu", padding="same")(image)
    x = keras.layers.MaxPool2D()(x)
    shortcut = x = keras.layers.Conv2D(32, 3, padding="same")(x)
    x = lq.layers.QuantConv2D(32, 3, padding="same", pad_values=1, input_quantizer="ste_sign",
                              **BINARY)(x)  # fmt: skip
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Add()([x, shortcut])
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(10, activation="softmax")(x)
    model = randomise(keras.Model(image, x))
    samples = images(30, (12, 12, 3))
    int8 = Int8([samples], "mse", "int8", scope)
    content = convert_model(model, int8=int8, verification=False).tflite
    interpreter = LceInterpreter(content)
    net = CNetwork(content, tmp_path).build()
    rng = np.random.default_rng(0)
    for _ in range(5):
        inputs = [rng.integers(-128, 128, (1, 12, 12, 3)).astype(np.int8)]
        (expected,), (result,) = interpreter.run_once(inputs), net.run(inputs)
        # The softmax's exponentials are rounded otherwise in the last place.
        np.testing.assert_allclose(result.astype(int), expected.astype(int), rtol=0, atol=1)
