"""Small .tflite files of int8 operators, one case an operator and its options."""

import numpy as np

from tests.support.lce_graphs import Graph, conv_options, dense_options, schema, windows

OPS, KINDS = schema.BuiltinOperator, schema.BuiltinOptions


class Int8Graph:
    """Builds networks of one or two operators; each method that adds them gives the output."""

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

    def build(self, output):
        """The file, and random inputs for it."""
        arrays = [
            self.rng.integers(-128, 128, self.g.shape(i)).astype(np.int8) for i in self.inputs
        ]
        return self.g.build(self.inputs, [output]), arrays

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

    def two_values(self, code, activation):
        a, b = self.input([1, 9, 7, 20], 0.05, 3), self.input([1, 9, 7, 20], 0.031, -20)
        y = self.value([1, 9, 7, 20], 0.08 if code != "MUL" else 0.16, 5)
        options = getattr(schema, f"{code.title()}OptionsT")()
        options.fusedActivationFunction = activation
        kind = getattr(KINDS, f"{code.title()}Options")
        self.g.operator(getattr(OPS, code), [a, b], [y], builtin=(kind, options))
        return y

    def all_pairs(self, code):
        """Every pair of integers at scales whose sums come close to halves."""
        a, b = self.input([1, 256, 256, 1], 0.05, 3), self.input([1, 256, 256, 1], 0.031, -20)
        y = self.value([1, 256, 256, 1], 0.08 if code != "MUL" else 0.16, 5)
        kind = getattr(KINDS, f"{code.title()}Options")
        options = getattr(schema, f"{code.title()}OptionsT")()
        options.fusedActivationFunction = 0
        self.g.operator(getattr(OPS, code), [a, b], [y], builtin=(kind, options))
        values = np.arange(-128, 128, dtype=np.int8).reshape(1, 256, 1, 1)
        arrays = [
            np.tile(values, (1, 1, 256, 1)),
            np.tile(values.reshape(1, 1, 256, 1), (1, 256, 1, 1)),
        ]
        return self.g.build(self.inputs, [y]), arrays

    def pool(self, kind, same):
        x = self.input([1, 9, 8, 20])
        y = self.value([1, *windows((9, 8), (3, 2), (2, 2), (1, 1), same), 20], 0.05, 3)
        options = schema.Pool2DOptionsT()
        options.filterHeight, options.filterWidth = 3, 2
        options.strideH = options.strideW = 2
        options.padding = schema.Padding.SAME if same else schema.Padding.VALID
        builtin = (KINDS.Pool2DOptions, options)
        self.g.operator(getattr(OPS, f"{kind}_POOL_2D"), [x], [y], builtin=builtin)
        return y

    def mean(self):
        x, y = self.input([1, 7, 5, 20]), self.value([1, 20], 0.011, -9)
        axes = self.g.constant(np.array([1, 2], np.int32))
        builtin = (KINDS.ReducerOptions, schema.ReducerOptionsT())
        self.g.operator(OPS.MEAN, [x, axes], [y], builtin=builtin)
        return y

    def function(self, code, scale, zero):
        x, y = self.input([1, 4, 80]), self.value([1, 4, 80], scale, zero)
        builtin = None
        if code == "LEAKY_RELU":
            options = schema.LeakyReluOptionsT()
            options.alpha = 0.2
            builtin = (KINDS.LeakyReluOptions, options)
        self.g.operator(getattr(OPS, code), [x], [y], builtin=builtin)
        return y

    def softmax(self):
        x, y = self.input([8, 10], 0.1, 5), self.value([8, 10], 1 / 256, -128)
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        self.g.operator(OPS.SOFTMAX, [x], [y], builtin=(KINDS.SoftmaxOptions, options))
        return y

    def joined(self, values, scale, zero):
        shapes = [self.g.shape(value) for value in values]
        y = self.value([*shapes[0][:-1], sum(shape[-1] for shape in shapes)], scale, zero)
        options = schema.ConcatenationOptionsT()
        options.axis = -1
        builtin = (KINDS.ConcatenationOptions, options)
        self.g.operator(OPS.CONCATENATION, values, [y], builtin=builtin)
        return y

    def concatenation_and_padding(self):
        a, b = self.input([1, 3, 4, 5]), self.input([1, 3, 4, 7])
        joined = self.joined([a, b], 0.05, 3)
        y = self.value([1, 6, 7, 12], 0.05, 3)
        pads = self.g.constant(np.array([[0, 0], [1, 2], [0, 3], [0, 0]], np.int32))
        builtin = (KINDS.PadOptions, schema.PadOptionsT())
        self.g.operator(OPS.PAD, [joined, pads], [y], builtin=builtin)
        return y

    def binary(self, activation):
        """Signs of integers, a binary layer that writes integers, and their signs as integers."""
        rng, outputs = self.rng, 24
        bits = self.g.quantize(self.input([1, 7, 6, 40]))
        y = self.g.bconv(
            bits,
            rng.choice([-1, 1], (outputs, 3, 3, 40)),
            channels_in=40,
            scale=rng.uniform(0.01, 0.3, outputs) * rng.choice([-1, 1], outputs),
            bias=rng.normal(0, 3, outputs),
            out_type=np.int8,
            activation=activation,
            quantization={"scale": 0.27, "zero_point": 4},
        )
        one = {"scale": 1 / 127, "zero_point": 0}
        signs = self.g.dequantize(self.g.quantize(y), outputs, np.int8, **one)
        return self.joined([y, self.rescaled(signs, 0.27, 4)], 0.27, 4)

    def rescaled(self, x, scale, zero):
        y = self.value(self.g.shape(x), scale, zero)
        self.g.operator(OPS.QUANTIZE, [x], [y])
        return y


_LAYERS = {"same": {}, "strided": {"stride": (2, 1), "activation": 1}}
_LAYERS["valid"] = {"same": False, "activation": 3}
_FUNCTIONS = {
    "RELU": (0.05, -128),
    "RELU6": (6 / 255, -128),
    "LEAKY_RELU": (0.07, 10),
    "LOGISTIC": (1 / 256, -128),
    "TANH": (1 / 128, 0),
    "QUANTIZE": (0.09, 17),
}

CASES = {
    f"{kind}-{name}": (lambda g, kind=kind, options=options: g.filtered(kind, **options))
    for kind in ("conv", "depthwise", "dense")
    for name, options in _LAYERS.items()
}
CASES["conv-dilated"] = lambda g: g.filtered("conv", dilation=(2, 3))
CASES["conv-odd-channels"] = lambda g: g.filtered("conv", channels=13)  # 78 taps
CASES |= {
    f"{code}-{activation}": (lambda g, code=code, a=activation: g.two_values(code, a))
    for code in ("ADD", "SUB", "MUL")
    for activation in (0, 1)
}
CASES |= {
    f"{kind}-pool-{'same' if same else 'valid'}": (lambda g, k=kind, same=same: g.pool(k, same))
    for kind in ("MAX", "AVERAGE")
    for same in (True, False)
}
CASES |= {
    code: (lambda g, code=code, output=output: g.function(code, *output))
    for code, output in _FUNCTIONS.items()
}
CASES |= {
    f"binary-{activation}": (lambda g, activation=activation: g.binary(activation))
    for activation in (0, 1, 3)
}
CASES["mean"] = Int8Graph.mean
CASES["softmax"] = Int8Graph.softmax
CASES["concatenation-and-padding"] = Int8Graph.concatenation_and_padding
"""Name → what adds the operators to an `Int8Graph` and gives their output."""


def int8_case(name):
    """The file of one case, and random inputs for it."""
    graph = Int8Graph(len(name))
    return graph.build(CASES[name](graph))
